# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from videodepth_ros.alignment.pairs import (
    PointMapPair,
    clip_graph,
    sliding_window_graph,
    symmetrize,
)
from videodepth_ros.core.errors import InputError

POINTS, SURE = np.ones((4, 6, 3), np.float32), np.ones((4, 6), np.float32)


def test_a_pair_knows_its_frames_and_size():
    pair = PointMapPair(2, 5, POINTS, POINTS, SURE, SURE)
    assert (pair.edge, pair.shape) == ((2, 5), (4, 6))


@pytest.mark.parametrize(
    'wrong', [{'points_j': POINTS[:3]}, {'confidence_i': SURE[:, :5]}, {'flow': POINTS}, {'j': -1}]
)
def test_what_does_not_fit_is_named(wrong):
    good = {
        'i': 0,
        'j': 1,
        'points_i': POINTS,
        'points_j': POINTS,
        'confidence_i': SURE,
        'confidence_j': SURE,
    }
    with pytest.raises(InputError, match=r'pair \(0, '):
        PointMapPair(**{**good, **wrong})


def test_a_clip_of_ten_is_joined_as_published():
    edges = clip_graph(10)
    assert len(edges) == len(set(edges)) == 50
    assert all((i - j) % 2 for i, j in edges)


def test_one_frame_is_paired_with_itself():
    assert clip_graph(1) == [(0, 0)]


def test_a_chain_grows_with_the_recording_only():
    assert (
        len(sliding_window_graph(100, (1, 2, 3))) - len(sliding_window_graph(50, (1, 2, 3))) == 150
    )
    assert symmetrize([(0, 1)]) == [(0, 1), (1, 0)]
