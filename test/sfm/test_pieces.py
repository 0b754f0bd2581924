# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from test.sfm.test_loop_closure import loop_at, straight
from test.support.film import CAMERA, bent
from test.support.wall import lane
from videodepth_ros.geometry.sim3 import umeyama_alignment
from videodepth_ros.sfm.loop_closure import select_between_pieces
from videodepth_ros.sfm.pieces import LOST, Pieces
from videodepth_ros.sfm.reconstruction import reconstruct

pytestmark = pytest.mark.slow

OUT = np.arange(0, 1.6, 0.08)
BLACK = 8


def linked(*broken, steps=20):
    is_linked = np.ones(steps, np.bool_)
    is_linked[list(broken)] = False
    return is_linked


def ate(T, poses):
    source, target = T[:, :3, 3].T, poses[:, :3, 3].T
    error = umeyama_alignment(source, target).apply(source) - target
    return float(np.sqrt(np.square(error).sum(axis=0).mean()))


def path(poses):
    return float(np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1).sum())


def cut(positions_before, positions_after, period_m=8.0):
    """Film two walks along the lane, with black frames between; return images, prior, poses."""
    parts = [lane(positions, period_m) for positions in (positions_before, positions_after)]
    black, end = np.zeros_like(parts[0].images[:BLACK]), parts[0].poses[-1:]
    flat = np.full_like(parts[0].depth[:BLACK], 3.0)
    images = np.concatenate([parts[0].images, black, parts[1].images])
    depth = np.concatenate([bent(parts[0].depth), flat, bent(parts[1].depth)])
    poses = np.concatenate([parts[0].poses, np.repeat(end, BLACK, axis=0), parts[1].poses])
    return images, depth, poses


def test_a_recording_is_split_where_frames_do_not_hang_together():
    pieces = Pieces.split(linked(7, 8, 9, 10), min_frames=6)
    assert pieces.spans == [(0, 7), (11, 20)]
    assert pieces.number[8:11].tolist() == [LOST] * 3
    assert pieces.is_linked.tolist() == linked(7, 8, 9, 10).tolist()
    assert pieces.main_submap == 1
    lost, first = pieces.notes()
    assert 'lost at frames 8 to 10 (from 0)' in lost
    assert 'frames 0 to 7 (from 0) are a separate piece' in first


def test_joined_pieces_are_one_submap():
    pieces = Pieces.split(linked(6, 13), min_frames=6).joined([(2, 18)])
    assert pieces.submap[[0, 10, 20]].tolist() == [0, 1, 0]
    joined, alone = pieces.notes()
    assert 'between frames 0 to 6 and 14 to 20 (from 0)' in joined
    assert 'frames 7 to 13 (from 0) are a separate piece' in alone


def test_a_recording_of_short_runs_stays_whole():
    assert Pieces.split(linked(*range(20)), min_frames=6).count == 1
    assert Pieces.split(np.empty(0, np.bool_), min_frames=6).spans == [(0, 0)]


def test_loops_between_pieces_need_agreement_and_no_rival():
    pieces = Pieces.split(linked(49, steps=99), min_frames=6)
    agreeing = [loop_at(i, 60 + i, 5.0) for i in (0, 6, 12)]
    rivals = [loop_at(i, 60 + i, 1.0) for i in (2, 8)]
    drift = straight(100)
    assert select_between_pieces(agreeing, drift, pieces) == agreeing
    assert select_between_pieces(agreeing[:2], drift, pieces) == []
    assert select_between_pieces([*agreeing, *rivals], drift, pieces) == []


def test_pieces_that_see_a_place_again_are_joined():
    images, depth, poses = cut(OUT, OUT[::-1] + 0.4)
    found = reconstruct(images, depth, CAMERA)
    first, second = found.pieces.spans
    assert first == (0, len(OUT) - 1)
    assert second == (len(OUT) + BLACK, len(images) - 1)
    for begin, end in (first, second):
        part = slice(begin, end + 1)
        assert ate(found.T_world_cam[part], poses[part]) < 0.01 * path(poses[part])
    seen = found.pieces.number != LOST
    assert found.pieces.submap[seen].tolist() == [0] * int(seen.sum())
    assert ate(found.T_world_cam[seen], poses[seen]) < 0.02 * path(poses[seen])


def test_pieces_of_different_places_stay_apart():
    images, depth, poses = cut(OUT, OUT + 4.5)
    found = reconstruct(images, depth, CAMERA)
    assert len(set(found.pieces.submap.tolist()) - {LOST}) == 2
    assert any('are a separate piece' in note for note in found.warnings())
    for begin, end in found.pieces.spans:
        part = slice(begin, end + 1)
        assert ate(found.T_world_cam[part], poses[part]) < 0.01 * path(poses[part])
    step = np.linalg.norm(np.diff(found.T_world_cam[:, :3, 3], axis=0), axis=1)
    assert step[len(OUT) - 1 : len(OUT) + BLACK].max() < 2 * np.median(step)
