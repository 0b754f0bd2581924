# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from bench.room import pose
from videodepth_ros.geometry.sim3 import Sim3
from videodepth_ros.sfm.loop_closure import LoopClosure
from videodepth_ros.sfm.motion_prior import MotionPrior
from videodepth_ros.sfm.pose_graph import optimize_pose_graph
from videodepth_ros.sfm.reprojection import BundleState, NoiseModel, Observations

FRAMES = 61
REST = MotionPrior.at_rest(np.array([2.0]), np.array([0.5]))
NOISE = NoiseModel(0.5, 0.2, 0.2, False, 0.0, 0.0, REST)


def ring(turn=0.0, growth=0.0):
    """Return a circular path, (N, 4, 4) T_world_cam, with drift of rotation or scale."""
    T, step = pose(), []
    for n in range(FRAMES - 1):
        grown = np.exp(growth * n / FRAMES)
        step.append(pose((0.2 * grown, 0, 0), (0, -2 * np.pi / (FRAMES - 1) + turn, 0)))
    return np.stack([T, *(T := T @ one for one in step)])


def state_of(T_world_cam):
    """Return a state with one point in each frame, 3 away, and its observations."""
    every = np.arange(FRAMES)
    observations = Observations(
        every,
        every,
        np.zeros((FRAMES, 2)),
        np.full(FRAMES, np.log(3.0)),
        every,
        FRAMES,
        np.zeros(FRAMES, np.bool_),
    )
    return observations, BundleState(
        Sim3.from_se3(np.linalg.inv(T_world_cam)),
        np.zeros(FRAMES),
        np.full(FRAMES, -np.log(3.0)),
        0.0,
        1.0,
    )


def loop():
    """Return a loop closure: the last pose equals the first."""
    return LoopClosure(0, FRAMES - 1, np.arange(1), np.zeros((1, 2)), np.eye(4), 3.0)


@pytest.mark.parametrize('drift', [{'turn': 0.004}, {'growth': 0.2}])
def test_a_ring_is_closed_and_keeps_its_shape(drift):
    observations, state = state_of(ring(**drift))
    before = state.T_cam_world.inverse().translation
    assert np.linalg.norm(before[-1] - before[0]) > 0.3
    after = (
        optimize_pose_graph(observations, state, NOISE, [loop()]).T_cam_world.inverse().translation
    )
    assert np.linalg.norm(after[-1] - after[0]) < 0.05
    length = np.linalg.norm(np.diff(after, axis=0), axis=1)
    assert length == pytest.approx(np.full(FRAMES - 1, 0.2), rel=0.25)
    true = ring()[:, :3, 3]
    assert np.abs(after - true).max() < np.abs(before - true).max()


def test_points_and_priors_follow_the_scale_of_their_frames():
    observations, state = state_of(ring(growth=0.2))
    found = optimize_pose_graph(observations, state, NOISE, [loop()])
    assert np.allclose(found.log_prior_scale, -np.log(3.0) - found.log_inverse_depth)
    assert np.ptp(found.log_prior_scale) > 0.01


def test_a_loop_of_zero_error_changes_nothing():
    observations, state = state_of(ring())
    found = optimize_pose_graph(observations, state, NOISE, [loop()])
    assert np.allclose(found.T_cam_world.se3, state.T_cam_world.se3, atol=1e-6)
