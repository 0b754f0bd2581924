# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from test.support.film import CAMERA, bent
from test.support.wall import lane
from videodepth_ros.geometry.sim3 import Sim3
from videodepth_ros.sfm.loop_closure import (
    LoopClosure,
    OdometryDrift,
    detect_loop_closures,
    select_consistent,
)
from videodepth_ros.sfm.loop_options import LoopClosureOptions
from videodepth_ros.sfm.options import ReconstructionOptions
from videodepth_ros.sfm.sparse import reconstruct_sparse

pytestmark = pytest.mark.slow

OPTIONS = ReconstructionOptions(loop_closure=LoopClosureOptions(min_frame_gap=24))
NO_LOOPS = ReconstructionOptions(loop_closure=LoopClosureOptions(min_frame_gap=10_000))
THERE_AND_BACK = np.r_[np.arange(0, 2.4, 0.1), np.arange(2.4, 0, -0.1)]


@pytest.fixture(scope='module')
def tracked():
    """Return a walk there and back, its prior, and its reconstruction without loops."""
    shot = lane(THERE_AND_BACK, period_m=8.0)
    prior = bent(shot.depth)
    return shot, prior, reconstruct_sparse(shot.images, prior, CAMERA, options=NO_LOOPS).sparse


@pytest.fixture(scope='module')
def closures(tracked):
    """Return its loop closures."""
    shot, _, found = tracked
    return detect_loop_closures(shot.images, found, CAMERA, options=OPTIONS)


def test_loop_closures_are_detected_with_their_relative_pose(tracked, closures):
    shot = tracked[0]
    assert len({loop.j for loop in closures if loop.i + loop.j < 54}) >= 2
    for loop in closures:
        true = np.linalg.inv(shot.poses[loop.j]) @ shot.poses[loop.i]
        assert np.abs(loop.T_j_i[:3, :3] - true[:3, :3]).max() < 0.04
        assert np.array_equal(np.unique(loop.track), np.sort(loop.track))


def test_detection_is_deterministic(tracked, closures):
    shot, _, found = tracked
    again = detect_loop_closures(shot.images, found, CAMERA, options=OPTIONS)
    assert [(loop.i, loop.j) for loop in closures] == [(loop.i, loop.j) for loop in again]
    assert all(np.array_equal(a.T_j_i, b.T_j_i) for a, b in zip(closures, again, strict=True))


def test_perceptual_aliasing_is_rejected_by_the_drift():
    shot = lane(np.arange(0, 5.5, 0.1), period_m=4.0)  # frame n and n + 40 look the same
    found = reconstruct_sparse(shot.images, shot.depth, CAMERA).sparse
    way = np.linalg.norm(found.state.T_cam_world.inverse().translation[-1])
    assert way == pytest.approx(shot.poses[-1, 0, 3], rel=0.03)
    for drift, is_accepted in ((0.25, False), (100.0, True)):
        closure = replace(OPTIONS.loop_closure, drift_per_path=drift)
        options = replace(OPTIONS, loop_closure=closure)
        loops = detect_loop_closures(shot.images, found, CAMERA, options=options)
        assert any(loop.j - loop.i > 30 for loop in loops) == is_accepted


def straight(frames):
    """Return the drift of cameras that move 0.1 to the right per frame."""
    T = np.tile(np.eye(4), (frames, 1, 1))
    T[:, 0, 3] = -0.1 * np.arange(frames)
    return OdometryDrift(Sim3.from_se3(T))


def loop_at(i, j, x):
    """Return a loop closure with frame j ``x`` to the right of frame i."""
    T = np.eye(4)
    T[0, 3] = -x
    return LoopClosure(i, j, np.arange(3), np.zeros((3, 2)), T, 1.0)


def test_a_loop_needs_plausible_drift_and_a_confirming_neighbor():
    near, also, far = loop_at(0, 60, 5.5), loop_at(6, 66, 5.5), loop_at(3, 63, 0.0)
    assert select_consistent([near, also, far], straight(100)) == [near, also]
    assert select_consistent([near], straight(100)) == []
    assert select_consistent([near, replace(also, i=40)], straight(100)) == []


def test_of_contradicting_loops_the_one_of_least_drift_is_selected():
    true = [loop_at(0, 60, 6.0), loop_at(6, 66, 6.1)]
    alike = [loop_at(0, 60, 7.0), loop_at(6, 66, 7.1)]
    assert select_consistent([*alike, *true], straight(100)) == true


def test_a_short_or_blank_recording_has_no_loops(tracked):
    shot, _, found = tracked
    assert detect_loop_closures(shot.images[:20], found, CAMERA, options=OPTIONS) == []
    assert detect_loop_closures(np.full_like(shot.images, 99), found, CAMERA) == []
