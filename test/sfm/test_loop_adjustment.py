# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from test.support.film import CAMERA
from test.support.wall import lane
from videodepth_ros.geometry.sim3 import Sim3
from videodepth_ros.sfm import loop_closure as loops_module
from videodepth_ros.sfm import reconstruction as pairs_geometric
from videodepth_ros.sfm.loop_adjustment import joined
from videodepth_ros.sfm.loop_closure import find_loops
from videodepth_ros.sfm.reconstruction import located
from videodepth_ros.sfm.tracks import LONGEST

pytestmark = pytest.mark.slow

THERE_AND_BACK = np.r_[np.arange(0, 2.4, 0.1), np.arange(2.4, 0, -0.1)]


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """Let a short film have loops."""
    monkeypatch.setattr(loops_module, 'GAP', LONGEST)


@pytest.fixture(scope='module')
def walk():
    """Return a walk there and back."""
    return lane(THERE_AND_BACK, period_m=8.0)


@pytest.fixture(scope='module')
def followed(walk):
    """Return what is known of it without loops."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pairs_geometric, 'find_loops', lambda *_: [])
        return located(walk.images, walk.depth, CAMERA)[0]


def gap(cameras, poses):
    """Return how wrong the last camera lies to the first."""
    found = (cameras[0] @ cameras[-1].inverse()).translation
    return float(np.linalg.norm(found - (np.linalg.inv(poses[0]) @ poses[-1])[:3, 3]))


def drifted(found):
    """Return an adjustment whose cameras turn and sink a little more with every frame."""
    frames = len(found.scene.log_scale)
    twist = np.outer(np.arange(frames), [0.0, 0.004, 0.0, 0.0, 0.001, 0.0, 0.0])
    return replace(found, scene=replace(found.scene, cameras=found.scene.cameras.retract(twist)))


def test_a_walk_that_comes_back_is_closed(walk, followed):
    astray = drifted(followed)
    assert gap(astray.scene.cameras, walk.poses) > 0.15
    found = joined(astray, find_loops(walk.images, astray, CAMERA), LONGEST)
    assert gap(found.scene.cameras, walk.poses) < 0.03
    assert not found.seen.joined.any()
    assert (found.seen.frame - found.seen.host).max() < LONGEST


def test_loops_that_the_tracks_cannot_bear_are_taken_back(followed, walk):
    loops = find_loops(walk.images, followed, CAMERA)
    aside = np.eye(4)
    aside[1, 3] = 0.8
    wrong = [_seen_from(loop, loop.T_j_i @ aside, walk) for loop in loops]
    found = joined(followed, wrong, LONGEST)
    assert gap(found.scene.cameras, walk.poses) < 0.05


def _seen_from(loop, T_j_i, walk):
    """Return a loop whose camera j sees its points from elsewhere, as in a place that is alike."""
    z = walk.depth[loop.j].mean()
    shift = (T_j_i - loop.T_j_i)[:2, 3] * CAMERA.fx / z
    return replace(loop, T_j_i=T_j_i, offset=loop.offset + shift)


def test_without_loops_nothing_changes(followed):
    assert joined(followed, [], LONGEST) is followed


def test_the_unit_of_a_later_part_may_change(walk, followed):
    loops = find_loops(walk.images, followed, CAMERA)
    scene, half = followed.scene, np.arange(len(walk.poses)) >= 26
    grown = Sim3(
        np.ones(len(half)),
        scene.cameras.rotation,
        scene.cameras.translation * np.where(half, 1.2, 1.0)[:, None],
    )
    astray = replace(followed, scene=replace(scene, cameras=grown))
    assert gap(joined(astray, loops, LONGEST).scene.cameras, walk.poses) < 0.03
