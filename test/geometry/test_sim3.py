# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from videodepth_ros.geometry.rotation import hat, so3_exp, so3_log
from videodepth_ros.geometry.sim3 import Sim3, umeyama_alignment

SEEDS = st.integers(0, 10_000)


def random_sim3(rng, count=4):
    return Sim3(
        np.exp(rng.normal(size=count)),
        so3_exp(rng.normal(size=(count, 3))),
        rng.normal(size=(count, 3)),
    )


@given(SEEDS)
def test_composition_applies_the_right_factor_first(seed):
    rng = np.random.default_rng(seed)
    first, second, points = random_sim3(rng), random_sim3(rng), rng.normal(size=(4, 3, 6))
    np.testing.assert_allclose((second @ first).apply(points), second.apply(first.apply(points)))


@given(SEEDS)
def test_inverse_times_transform_is_identity(seed):
    rng = np.random.default_rng(seed)
    T, points = random_sim3(rng), rng.normal(size=(4, 3, 6))
    np.testing.assert_allclose(T.inverse().apply(T.apply(points)), points, atol=1e-12)


@given(SEEDS)
def test_adjoint_moves_a_twist_to_the_left(seed):
    rng = np.random.default_rng(seed)
    T, twist, still = random_sim3(rng), 1e-6 * rng.normal(size=(4, 7)), Sim3.identity(4)
    points = rng.normal(size=(4, 3, 6))
    carried = (T.adjoint() @ twist[..., None])[..., 0]
    before = (T @ still.retract(twist)).apply(points)
    after = T.retract(carried).apply(points)
    np.testing.assert_allclose(after, before, atol=1e-9)  # second order in the twist


def test_a_twist_moves_points_to_first_order():
    point, twist = np.array([1.0, 2.0, 3.0]), 1e-6 * np.arange(1.0, 8.0)
    moved = Sim3.identity(1).retract(twist[None]).apply(point[None, :, None])[0, :, 0]
    change = twist[:3] + np.cross(twist[3:6], point) + twist[6] * point
    np.testing.assert_allclose(moved - point, change, rtol=1e-4)


@pytest.mark.parametrize('angle', [0.0, 1e-12, 1e-7, 1e-3, 1.0, 3.0])
def test_so3_log_inverts_so3_exp(angle):
    vector = angle * np.array([2.0, -1.0, 2.0]) / 3
    np.testing.assert_allclose(so3_log(so3_exp(vector)), vector, rtol=1e-6, atol=1e-15)


def test_hat_is_the_cross_product():
    a, b = np.array([1.0, 2.0, 3.0]), np.array([-2.0, 0.5, 4.0])
    np.testing.assert_allclose(hat(a) @ b, np.cross(a, b))


@given(SEEDS)
def test_umeyama_recovers_the_similarity_with_weights(seed):
    rng = np.random.default_rng(seed)
    T, source = random_sim3(rng, 1)[0], rng.normal(size=(3, 20))
    target, weight = T.apply(source), np.ones(20)
    target[:, 3], weight[3] = 100.0, 0.0
    found = umeyama_alignment(source, target, weight)
    np.testing.assert_allclose(found.apply(source[:, :3]), target[:, :3], atol=1e-9)
    assert np.linalg.det(found.rotation) == pytest.approx(1)


def test_umeyama_of_coincident_points_has_scale_one():
    found = umeyama_alignment(np.ones((3, 5)), np.full((3, 5), 2.0), np.ones(5))
    assert found.scale == 1
    np.testing.assert_allclose(found.apply(np.ones((3, 1)))[:, 0], 2.0)


def test_umeyama_without_scale_is_a_proper_rotation():
    points = np.random.default_rng(0).normal(size=(3, 20))
    found = umeyama_alignment(points, 2.0 * points * [[1], [1], [-1]], with_scale=False)
    assert found.scale == 1
    assert np.linalg.det(found.rotation) == pytest.approx(1)


def test_se3_round_trips():
    T = random_sim3(np.random.default_rng(0)).se3
    np.testing.assert_array_equal(Sim3.from_se3(T).se3, T)
