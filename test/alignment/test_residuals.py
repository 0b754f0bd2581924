# SPDX-License-Identifier: Apache-2.0
"""Derivatives against finite differences, elimination against the whole system."""

from __future__ import annotations

import numpy as np
import pytest

from videodepth_ros.alignment.observations import FrameObservations
from videodepth_ros.alignment.residuals import (
    eliminate_depth,
    flow_residuals,
    measured_depth_residuals,
    point_map_residuals,
)
from videodepth_ros.geometry.sim3 import Sim3

P, FX, ASPECT, STEP = 40, 50.0, 1.1, 1e-3
RNG = np.random.default_rng(3)
OFFSET = RNG.uniform(-20, 20, (2, P)).astype(np.float32)
DEPTH = RNG.uniform(1, 3, P).astype(np.float32)
POINTS = RNG.normal(size=(3, 3, P)).astype(np.float32) + np.array([[0], [0], [2]], np.float32)
WEIGHT = RNG.uniform(0.5, 2, (3, P)).astype(np.float32)
OTHERS = Sim3.identity(2).retract(0.05 * RNG.normal(size=(2, 7)) * [1, 1, 1, 1, 1, 1, 0])
VIEW = FrameObservations(
    0,
    OFFSET,
    np.arange(3),
    POINTS,
    WEIGHT,
    np.arange(1, 3),
    OFFSET + RNG.normal(size=(2, 2, P)).astype(np.float32),
    (RNG.random((2, P)) < 0.9).astype(np.float32),
    np.full(P, np.nan, np.float32),
)


def rays(log_f=0.0):
    fx = FX * np.exp(log_f)
    return np.stack([OFFSET[0] / fx, OFFSET[1] / (fx * ASPECT), np.ones(P)]).astype(np.float32)


def points(twist=0.0, log_f=0.0, deeper=0.0):
    seen = Sim3.identity(3).retract(np.broadcast_to(twist, (3, 7)) + 0.0).apply(POINTS)
    return point_map_residuals(DEPTH + np.float32(deeper), rays(log_f), seen, WEIGHT)


def flow(twist=0.0, log_f=0.0, deeper=0.0, other_log_f=0.0):
    others = OTHERS.retract(np.broadcast_to(twist, (2, 7)) + 0.0)
    fx = np.full(2, FX * np.exp(other_log_f))
    return flow_residuals(DEPTH + np.float32(deeper), rays(log_f), others, fx, ASPECT, VIEW)


@pytest.mark.parametrize('residuals', [points, flow])
@pytest.mark.parametrize('axis', range(6))
def test_derivative_by_a_twist(residuals, axis):
    twist = STEP * np.eye(7)[axis]
    change = (residuals(twist).residual - residuals(-twist).residual) / (2 * STEP)
    np.testing.assert_allclose(residuals().twist[:, axis], change, rtol=1e-2, atol=2e-2)


def test_derivative_of_points_by_scale():
    twist = STEP * np.eye(7)[6]
    change = (points(twist).residual - points(-twist).residual) / (2 * STEP)
    np.testing.assert_allclose(points().twist[:, 6], change, rtol=1e-2, atol=1e-2)


def test_derivative_of_flow_by_the_other_focal_length():
    change = (flow(other_log_f=STEP).residual - flow(other_log_f=-STEP).residual) / (2 * STEP)
    np.testing.assert_allclose(flow().twist[:, 6], change, rtol=1e-2, atol=2e-2)


@pytest.mark.parametrize('residuals', [points, flow])
def test_derivative_by_focal_length_and_depth(residuals):
    change = (residuals(log_f=STEP).residual - residuals(log_f=-STEP).residual) / (2 * STEP)
    np.testing.assert_allclose(residuals().focal, change, rtol=1e-2, atol=2e-2)
    change = (residuals(deeper=STEP).residual - residuals(deeper=-STEP).residual) / (2 * STEP)
    np.testing.assert_allclose(residuals().depth, change, rtol=1e-2, atol=2e-2)


def test_values_are_the_norms():
    length = np.linalg.norm(points().residual, axis=1)
    assert points().value == pytest.approx(float((WEIGHT * length).sum()), rel=1e-5)
    error = np.abs(flow().residual)
    smooth = np.where(error < 1, error**2 / 2, error - 0.5) * (VIEW.flow_weight > 0)[:, None]
    assert flow().value == pytest.approx(float(smooth.sum()), rel=1e-5)


def test_unknown_measured_depth_has_no_weight():
    measured = DEPTH + 1
    measured[::2] = np.nan
    block = measured_depth_residuals(DEPTH, rays(), measured, 2.0)
    assert not block.weight[..., ::2].any()
    assert block.value == pytest.approx(2 * np.linalg.norm(rays(), axis=0)[1::2].sum(), rel=1e-5)


def test_elimination_is_the_schur_complement():
    blocks = [points(), flow(), measured_depth_residuals(DEPTH, rays(), DEPTH + 0.1, 2.0)]
    shared, rows = 7 * 6 + 2, []
    start = 0
    for block in blocks:
        for m in range(len(block.residual)):
            for d in range(block.residual.shape[1]):
                part = np.zeros((P, shared + P))
                part[:, start : start + 7] = block.twist[m, :, d].T
                part[:, shared - 2], part[:, shared - 1] = block.focal[m, d], block.residual[m, d]
                part[:, shared:] = np.diag(block.depth[m, d])
                weight = np.broadcast_to(block.weight, block.residual.shape)[m, d]
                rows.append(part * np.sqrt(weight.astype(np.float64))[:, None])
            start += 7
    J = np.concatenate(rows)
    H = J.T @ J
    expected = H[:shared, :shared] - H[:shared, shared:] @ np.linalg.solve(
        H[shared:, shared:], H[shared:, :shared]
    )
    np.testing.assert_allclose(eliminate_depth(blocks), expected, atol=1e-5 * np.abs(H).max())
