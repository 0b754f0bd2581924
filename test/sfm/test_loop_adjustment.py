# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from test.support.film import CAMERA
from test.support.wall import lane
from videodepth_ros.geometry.sim3 import Sim3
from videodepth_ros.sfm.loop_adjustment import adjust_with_loop_closures
from videodepth_ros.sfm.loop_closure import detect_loop_closures
from videodepth_ros.sfm.loop_options import LoopClosureOptions
from videodepth_ros.sfm.options import ReconstructionOptions
from videodepth_ros.sfm.sparse import reconstruct_sparse

pytestmark = pytest.mark.slow

OPTIONS = ReconstructionOptions(loop_closure=LoopClosureOptions(min_frame_gap=24))
NO_LOOPS = ReconstructionOptions(loop_closure=LoopClosureOptions(min_frame_gap=10_000))
THERE_AND_BACK = np.r_[np.arange(0, 2.4, 0.1), np.arange(2.4, 0, -0.1)]


@pytest.fixture(scope='module')
def walk():
    """Return a walk there and back."""
    return lane(THERE_AND_BACK, period_m=8.0)


@pytest.fixture(scope='module')
def tracked(walk):
    """Return its reconstruction without loops."""
    return reconstruct_sparse(walk.images, walk.depth, CAMERA, options=NO_LOOPS).sparse


@pytest.fixture(scope='module')
def loops(walk, tracked):
    """Return its loop closures."""
    return detect_loop_closures(walk.images, tracked, CAMERA, options=OPTIONS)


def gap(cameras, poses):
    """Return the position error of the last camera relative to the first."""
    found = (cameras[0] @ cameras[-1].inverse()).translation
    return float(np.linalg.norm(found - (np.linalg.inv(poses[0]) @ poses[-1])[:3, 3]))


def drifted(found):
    """Return a reconstruction whose cameras drift down and yaw."""
    frames = len(found.state.log_prior_scale)
    twist = np.outer(np.arange(frames), [0.0, 0.004, 0.0, 0.0, 0.001, 0.0, 0.0])
    return replace(
        found, state=replace(found.state, T_cam_world=found.state.T_cam_world.retract(twist))
    )


def test_a_loop_is_closed(walk, tracked):
    drifting = drifted(tracked)
    assert gap(drifting.state.T_cam_world, walk.poses) > 0.15
    found, _ = adjust_with_loop_closures(
        drifting, detect_loop_closures(walk.images, drifting, CAMERA, options=OPTIONS), OPTIONS
    )
    assert gap(found.state.T_cam_world, walk.poses) < 0.03
    assert not found.observations.is_loop.any()
    assert (
        found.observations.frame - found.observations.reference_frame
    ).max() < OPTIONS.tracking.max_track_length


def test_loops_in_conflict_with_the_tracks_are_removed(tracked, walk, loops):
    aside = np.eye(4)
    aside[1, 3] = 0.8
    wrong = [_displaced(loop, loop.T_j_i @ aside, walk) for loop in loops]
    found, _ = adjust_with_loop_closures(tracked, wrong, OPTIONS)
    assert gap(found.state.T_cam_world, walk.poses) < 0.05


def _displaced(loop, T_j_i, walk):
    """Return a loop closure with a wrong pose of frame j, as by perceptual aliasing."""
    z = walk.depth[loop.j].mean()
    shift = (T_j_i - loop.T_j_i)[:2, 3] * CAMERA.fx / z
    return replace(loop, T_j_i=T_j_i, xy=loop.xy + shift)


def test_without_loops_the_reconstruction_stays(tracked):
    assert adjust_with_loop_closures(tracked, [], OPTIONS) == (tracked, [])


def test_scale_drift_is_corrected(walk, tracked, loops):
    scene, half = tracked.state, np.arange(len(walk.poses)) >= 26
    grown = Sim3(
        np.ones(len(half)),
        scene.T_cam_world.rotation,
        scene.T_cam_world.translation * np.where(half, 1.2, 1.0)[:, None],
    )
    drifting = replace(tracked, state=replace(scene, T_cam_world=grown))
    found, _ = adjust_with_loop_closures(drifting, loops, OPTIONS)
    assert gap(found.state.T_cam_world, walk.poses) < 0.03
