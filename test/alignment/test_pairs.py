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


def test_edge_and_shape_of_a_pair():
    pair = PointMapPair(2, 5, POINTS, POINTS, SURE, SURE)
    assert (pair.edge, pair.shape) == ((2, 5), (4, 6))


@pytest.mark.parametrize(
    'wrong', [{'points_j': POINTS[:3]}, {'confidence_i': SURE[:, :5]}, {'flow': POINTS}, {'j': -1}]
)
def test_mismatched_shapes_are_named(wrong):
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


def test_the_graph_of_a_clip_is_the_published_one():
    edges = clip_graph(10)
    assert len(edges) == len(set(edges)) == 50
    assert all((i - j) % 2 for i, j in edges)


def test_one_frame_is_paired_with_itself():
    assert clip_graph(1) == [(0, 0)]


def test_a_sliding_window_is_linear_in_the_frames():
    assert (
        len(sliding_window_graph(100, (1, 2, 3))) - len(sliding_window_graph(50, (1, 2, 3))) == 150
    )
    assert symmetrize([(0, 1)]) == [(0, 1), (1, 0)]
