# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from videodepth_ros.geometry.block_solver import BORDER, FIXED, NormalEquations


def random_equations(block_of, seed=0, factors=80):
    """Return equations of random factors over neighbouring blocks, and the same dense."""
    rng, size = np.random.default_rng(seed), len(block_of)
    equations, H, gradient = NormalEquations(block_of), np.zeros((size, size)), np.zeros(size)
    for _ in range(factors):
        k = rng.integers(0, max(block_of.max(), 1))
        touched = rng.permutation(
            np.flatnonzero((block_of == k) | (block_of == k + 1) | (block_of < 0))
        )[:5]
        A, b = rng.normal(size=(7, len(touched))), rng.normal(size=7)
        equations.add(touched, A.T @ A, A.T @ b)
        H[np.ix_(touched, touched)] += A.T @ A
        gradient[touched] += A.T @ b
    curvature, right = rng.uniform(1, 2, size), rng.normal(size=size)
    equations.add_diagonal(np.arange(size), curvature, right)
    return equations, H + np.diag(curvature), gradient + right


@pytest.mark.parametrize('blocks', [1, 2, 6])
@pytest.mark.parametrize('damping', [0.0, 0.3])
def test_block_elimination_equals_the_dense_solution(blocks, damping):
    block_of = np.append(np.repeat(np.arange(blocks), 4), [BORDER, BORDER, FIXED])
    equations, H, gradient = random_equations(block_of)
    free = block_of != FIXED
    damped = (H + damping * np.diag(np.diag(H)))[np.ix_(free, free)]
    step = equations.solve(damping)
    np.testing.assert_allclose(
        step[free], np.linalg.solve(damped, -gradient[free]), rtol=1e-8, atol=1e-10
    )
    assert step[~free] == 0


def test_solve_leaves_the_equations_unchanged():
    equations, _, _ = random_equations(np.repeat(np.arange(3), 4))
    np.testing.assert_array_equal(equations.solve(0.1), equations.solve(0.1))


def test_a_parameter_without_factors_has_step_zero():
    equations = NormalEquations(np.zeros(3, np.intp))
    equations.add(np.array([0, 2]), np.eye(2), np.ones(2))
    np.testing.assert_allclose(equations.solve(0.0), [-1, 0, -1])


def test_a_lagrange_multiplier_constrains_a_sum():
    equations = NormalEquations(np.array([0, 0, BORDER]))
    equations.add(np.arange(2), np.diag([1.0, 3.0]), np.array([1.0, 2.0]))
    equations.add(np.arange(3), np.array([[0, 0, 1], [0, 0, 1], [1, 1, 0.0]]), np.zeros(3))
    step = equations.solve(0.0)
    assert step[0] + step[1] == pytest.approx(0, abs=1e-9)
    assert step[0] != 0


def test_variance_is_an_entry_of_the_inverse():
    equations, H, _ = random_equations(np.append(np.repeat(np.arange(3), 4), BORDER))
    inverse = np.linalg.inv(H)
    assert equations.variance(12) == pytest.approx(inverse[12, 12])
    assert equations.variance(5) == pytest.approx(inverse[5, 5])
