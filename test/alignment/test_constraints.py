# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from bench.room import walk
from videodepth_ros.alignment.constraints import (
    Constraints,
    PoseFactor,
    RelativePose,
    ScaleReference,
    constraint_factors,
    fix_gauge,
    smoothness_factors,
)
from videodepth_ros.alignment.options import FocalModel
from videodepth_ros.alignment.parameters import AlignmentState, ParameterLayout
from videodepth_ros.geometry.block_solver import NormalEquations
from videodepth_ros.geometry.rotation import so3_exp
from videodepth_ros.geometry.sim3 import Sim3

POSES = walk(5)
ELSEWHERE = Sim3(np.array(0.4), so3_exp(np.array([0.3, -0.2, 0.1])), np.array([1.0, 2.0, 3.0]))
STATE = AlignmentState(Sim3.from_se3(POSES), Sim3.identity(4), np.zeros(5), 1.0).transformed(
    ELSEWHERE
)


def steps(frames):
    return [
        RelativePose(n, n + 1, np.linalg.inv(POSES[n]) @ POSES[n + 1]) for n in range(frames - 1)
    ]


def test_poses_set_world_and_scale():
    state, source = fix_gauge(STATE, Constraints(T_world_cam=POSES), [])
    assert source is ScaleReference.POSES
    np.testing.assert_allclose(state.cameras.se3, POSES, atol=1e-9)


def test_one_pose_sets_the_world_but_no_scale():
    known = np.full_like(POSES, np.nan)
    known[3] = POSES[3]
    state, source = fix_gauge(STATE, Constraints(T_world_cam=known), [])
    assert source is ScaleReference.PAIRS
    np.testing.assert_allclose(state.cameras.se3[3], POSES[3], atol=1e-9)


@pytest.mark.parametrize(
    'constraints, depths, source',
    [
        (Constraints(odometry=steps(5)), [], ScaleReference.ODOMETRY),
        (
            Constraints(),
            [(np.full(9, 0.4, np.float32), np.array([1.0] * 8 + [np.nan]))],
            ScaleReference.DEPTH,
        ),
    ],
)
def test_odometry_and_depth_set_the_scale(constraints, depths, source):
    state, found = fix_gauge(STATE, constraints, depths)
    assert found is source
    np.testing.assert_allclose(state.cameras.se3, np.linalg.inv(POSES[0]) @ POSES, atol=1e-6)


def test_without_constraints_the_pairs_set_the_unit():
    state, source = fix_gauge(STATE, Constraints(), [])
    assert source is ScaleReference.PAIRS
    np.testing.assert_allclose(state.pairs.scale, 0.5)
    np.testing.assert_allclose(state.cameras.se3[0], np.eye(4), atol=1e-12)


def test_factors_move_cameras_to_known_poses():
    factors = constraint_factors(Constraints(T_world_cam=POSES, odometry=steps(5)))
    layout = ParameterLayout(5, [(0, 1)], FocalModel.KNOWN, fix_first_camera=False, window=None)
    rng = np.random.default_rng(0)
    twist = np.pad(0.02 * rng.normal(size=(5, 6)), ((0, 0), (0, 1)))
    state = AlignmentState(Sim3.from_se3(POSES).retract(twist), Sim3.identity(1), np.zeros(5), 1.0)
    values = []
    for _ in range(20):
        equations = NormalEquations(layout.block_of)
        values.append(sum(f.add_to(equations, layout, state, 1.0) for f in factors))
        state = layout.apply_step(state, equations.solve(1e-6))
    assert values[-1] < 0.02 * values[0]
    np.testing.assert_allclose(state.cameras.se3, POSES, atol=1e-3)


def test_the_cost_of_smoothing_is_that_of_its_formula():
    state = AlignmentState(Sim3.from_se3(POSES), Sim3.identity(1), np.zeros(5), 1.0)
    layout = ParameterLayout(5, [(0, 1)], FocalModel.KNOWN, fix_first_camera=True, window=None)
    value = sum(
        factor.add_to(NormalEquations(layout.block_of), layout, state, 2.0)
        for factor in smoothness_factors(5, 0.3, 0.7)
    )
    relative = np.linalg.inv(POSES[:-1]) @ POSES[1:]
    expected = sum(
        0.3 * np.linalg.norm(T[:3, :3] - np.eye(3)) + 0.7 * 2 * np.linalg.norm(T[:3, 3])
        for T in relative
    )
    assert value == pytest.approx(expected, rel=1e-3)
    assert smoothness_factors(5, 0.0, 0.0) == []


def test_selected_frames_chain_their_odometry():
    some = Constraints(
        T_world_cam=POSES, odometry=steps(5)[:3], depth_m=np.ones((5, 4, 6), np.float32)
    ).select((0, 2, 4), 2)
    assert [(step.i, step.j) for step in some.odometry] == [(0, 1)]  # the step 3 to 4 is unknown
    np.testing.assert_allclose(some.odometry[0].T_i_j, np.linalg.inv(POSES[0]) @ POSES[2])
    assert some.depth_m.shape == (3, 2, 3)
    np.testing.assert_array_equal(some.T_world_cam, POSES[::2])


def test_poses_become_relative_poses():
    known = POSES.copy()
    known[1] = np.nan
    motions = Constraints(T_world_cam=known, odometry=steps(5)[:1]).to_relative_poses()
    assert motions.T_world_cam is None
    assert [(m.i, m.j) for m in motions.odometry] == [(0, 1), (0, 2), (2, 3), (3, 4)]
    np.testing.assert_allclose(motions.odometry[1].T_i_j, np.linalg.inv(POSES[0]) @ POSES[2])
    kept = motions.select((0, 2, 3))
    assert [(m.i, m.j) for m in kept.odometry] == [(0, 1), (1, 2)]


def test_a_satisfied_factor_takes_no_step():
    layout = ParameterLayout(2, [(0, 1)], FocalModel.KNOWN, fix_first_camera=True, window=None)
    state = AlignmentState(Sim3.from_se3(POSES[:2]), Sim3.identity(1), np.zeros(2), 1.0)
    met = PoseFactor(0, 1, (state.cameras[0].inverse() @ state.cameras[1]), 1.0, 1.0)
    equations = NormalEquations(layout.block_of)
    assert met.add_to(equations, layout, state, 1.0) < 1e-3
    np.testing.assert_allclose(equations.solve(1e-9), 0, atol=1e-9)
