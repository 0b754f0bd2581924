# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from test.support.film import CAMERA, bent
from test.support.wall import lane
from videodepth_ros.geometry.sim3 import Sim3
from videodepth_ros.sfm import loop_closure as loops_module
from videodepth_ros.sfm import reconstruction as pairs_geometric
from videodepth_ros.sfm.loop_closure import Chain, Loop, believed, find_loops
from videodepth_ros.sfm.reconstruction import located
from videodepth_ros.sfm.tracks import LONGEST

pytestmark = pytest.mark.slow

THERE_AND_BACK = np.r_[np.arange(0, 2.4, 0.1), np.arange(2.4, 0, -0.1)]


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """Let a short film have loops."""
    monkeypatch.setattr(loops_module, 'GAP', LONGEST)


@pytest.fixture(scope='module')
def followed():
    """Return a walk there and back, its prior, and what is known of it without loops."""
    shot = lane(THERE_AND_BACK, period_m=8.0)
    prior = bent(shot.depth)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pairs_geometric, 'find_loops', lambda *_: [])
        return shot, prior, located(shot.images, prior, CAMERA)[0]


def test_a_place_seen_again_is_found_and_the_loop_says_where_it_lies(followed):
    shot, _, found = followed
    loops = find_loops(shot.images, found, CAMERA)
    assert len({loop.j for loop in loops if loop.i + loop.j < 54}) >= 2
    for loop in loops:
        true = np.linalg.inv(shot.poses[loop.j]) @ shot.poses[loop.i]
        assert np.abs(loop.T_j_i[:3, :3] - true[:3, :3]).max() < 0.04
        assert np.array_equal(np.unique(loop.track), np.sort(loop.track))


def test_it_finds_the_same_every_time(followed):
    shot, _, found = followed
    one, other = (find_loops(shot.images, found, CAMERA) for _ in range(2))
    assert [(loop.i, loop.j) for loop in one] == [(loop.i, loop.j) for loop in other]
    assert all(np.array_equal(a.T_j_i, b.T_j_i) for a, b in zip(one, other, strict=True))


def test_places_that_are_alike_are_not_taken_for_one(monkeypatch):
    shot = lane(np.arange(0, 5.5, 0.1), period_m=4.0)  # what frame n sees, n + 40 sees again
    found, _ = located(shot.images, shot.depth, CAMERA)
    way = np.linalg.norm(found.scene.cameras.inverse().translation[-1])
    assert way == pytest.approx(shot.poses[-1, 0, 3], rel=0.03)
    assert not [loop for loop in find_loops(shot.images, found, CAMERA) if loop.j - loop.i > 30]
    monkeypatch.setattr(loops_module, 'DRIFT', 100.0)  # and it would be, were anything possible
    assert [loop for loop in find_loops(shot.images, found, CAMERA) if loop.j - loop.i > 30]


def straight(frames):
    """Return cameras that go 0.1 to the right with each frame."""
    T = np.tile(np.eye(4), (frames, 1, 1))
    T[:, 0, 3] = -0.1 * np.arange(frames)
    return Chain(Sim3.from_se3(T))


def says(i, j, x):
    """Return a loop in which frame j lies ``x`` to the right of frame i."""
    T = np.eye(4)
    T[0, 3] = -x
    return Loop(i, j, np.arange(3), np.zeros((3, 2)), T, 1.0)


def test_a_loop_is_believed_if_the_chain_bears_it_and_another_confirms_it():
    near, also, far = says(0, 60, 5.5), says(6, 66, 5.5), says(3, 63, 0.0)
    assert believed([near, also, far], straight(100)) == [near, also]
    assert believed([near], straight(100)) == []
    assert believed([near, replace(also, i=40)], straight(100)) == []


def test_of_loops_that_contradict_each_other_the_one_closer_to_the_chain_is_believed():
    true = [says(0, 60, 6.0), says(6, 66, 6.1)]
    alike = [says(0, 60, 7.0), says(6, 66, 7.1)]
    assert believed([*alike, *true], straight(100)) == true


def test_there_is_nothing_to_find_in_a_short_or_blank_film(followed):
    shot, _, found = followed
    assert find_loops(shot.images[:20], found, CAMERA) == []
    assert find_loops(np.full_like(shot.images, 99), found, CAMERA) == []
