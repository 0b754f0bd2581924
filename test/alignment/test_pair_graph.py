# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from videodepth_ros.alignment.options import PairGraphOptions
from videodepth_ros.alignment.pair_graph import build_pair_graph, find_loop_candidates
from videodepth_ros.core.errors import ConfigError


@pytest.mark.parametrize('frames', [1, 2, 3, 9, 10, 11, 12, 15, 16, 20, 21, 44, 101])
def test_every_frame_is_output_once_and_clips_share_keyframes(frames):
    graph = build_pair_graph(frames)
    assert [frame for clip in graph.clips for frame in clip.output_frames] == list(range(frames))
    assert tuple(clip.frames.start for clip in graph.clips) == graph.keyframes
    for clip, after in zip(graph.clips, graph.clips[1:], strict=False):
        assert clip.frames[-1] == after.frames.start == clip.keyframes[-1]
    for clip in graph.clips:
        assert {frame for edge in clip.edges for frame in edge} == set(clip.frames)


def test_pairs_grow_with_the_recording():
    def count(frames):
        graph = build_pair_graph(frames)
        return len(graph.keyframe_edges) + sum(len(clip.edges) for clip in graph.clips)

    assert count(801) - count(401) == count(401) - count(1) + (
        count(801) - 2 * count(401) + count(1)
    )
    assert count(801) / count(401) == pytest.approx(2, rel=0.05)


def test_loops_connect_the_nearest_keyframes():
    graph = build_pair_graph(100, loops=[(3, 78), (4, 81), (12, 31), (50, 52)])
    assert (0, 80) in graph.keyframe_edges
    assert (80, 0) in graph.keyframe_edges
    assert (
        len(graph.keyframe_edges)
        == len(set(graph.keyframe_edges))
        == len(build_pair_graph(100).keyframe_edges) + 2
    )


@pytest.mark.parametrize('wrong', [{'clip_length': 1}, {'window': 0}])
def test_impossible_options_are_named(wrong):
    with pytest.raises(ConfigError, match='no pair graph of 10 frames'):
        build_pair_graph(10, PairGraphOptions(**wrong))


def test_a_recording_without_frames_is_rejected():
    with pytest.raises(ConfigError, match='no pair graph of 0 frames'):
        build_pair_graph(0)


def test_revisited_places_are_loop_candidates():
    rng = np.random.default_rng(0)
    images = rng.random((12, 8, 8), np.float32)
    images[10] = images[1] * 0.5 + 0.2 + 0.02 * rng.random((8, 8))  # other light
    images[3] = images[2]  # neighbours are no loop
    assert find_loop_candidates(images, 3) == [(1, 10)]
