# SPDX-License-Identifier: Apache-2.0
"""Pair graph of a recording: keyframes, clips between them, and loop closures.

Align3R (arXiv 2412.03079, section 3.3) aligns keyframes first and clips after. Here consecutive
clips share a keyframe, so that both ends of a clip are constrained, and a keyframe is paired with
its neighbours and with loop candidates only, so that pairs are linear in the recording.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from videodepth_ros.alignment.options import PAIR_GRAPH_DEFAULTS, PairGraphOptions
from videodepth_ros.alignment.pairs import clip_graph, sliding_window_graph, symmetrize
from videodepth_ros.core.arrays import Edge, Float32Array
from videodepth_ros.core.errors import ConfigError


@dataclass(frozen=True)
class Clip:
    """Consecutive frames that are aligned together.

    frames         all of them
    output_frames  those whose result is taken from this clip: all but the next clip's keyframe
    keyframes      among the frames
    edges          pairs among the frames
    """

    frames: range
    output_frames: range
    keyframes: tuple[int, ...]
    edges: tuple[Edge, ...]


@dataclass(frozen=True)
class PairGraph:
    """Pairs to compute and align; all frames are numbered as in the recording.

    window  pairs of keyframes further apart are loop closures [keyframes]
    """

    keyframes: tuple[int, ...]
    keyframe_edges: tuple[Edge, ...]
    clips: tuple[Clip, ...]
    window: int


def build_pair_graph(
    frame_count: int, options: PairGraphOptions = PAIR_GRAPH_DEFAULTS, loops: Iterable[Edge] = ()
) -> PairGraph:
    """Build the graph of a recording of ``frame_count`` frames.

    loops   pairs of frames that may show one place; their nearest keyframes are paired
    raises  ConfigError where there is no frame, or a clip has less than two
    """
    length, window = options.clip_length, options.window
    if frame_count < 1 or length < 2 or window < 1:
        raise ConfigError(
            f'no pair graph of {frame_count} frames in clips of {length} frames and a window of '
            f'{window} keyframes; give 1 frame, clips of 2 frames and a window of 1 at least'
        )
    keyframes = tuple(range(0, frame_count, length))
    if len(keyframes) > 1 and frame_count - keyframes[-1] <= length // 2:
        keyframes = keyframes[:-1]  # the rest is too short for a clip of its own
    clips = [
        _clip(first, after, frame_count)
        for first, after in zip(keyframes, [*keyframes[1:], None], strict=True)
    ]
    edges = _keyframe_edges(keyframes, window, loops)
    return PairGraph(keyframes, tuple(edges), tuple(clips), window)


def _keyframe_edges(keyframes: tuple[int, ...], window: int, loops: Iterable[Edge]) -> list[Edge]:
    """Return the edges of neighbouring keyframes and of loops, symmetrised."""
    near = sliding_window_graph(len(keyframes), range(1, window + 1))
    far = {
        (min(a, b), max(a, b))
        for a, b in ((_nearest(keyframes, i), _nearest(keyframes, j)) for i, j in loops)
    }
    edges = near + sorted(edge for edge in far - set(near) if edge[0] != edge[1])
    return symmetrize((keyframes[a], keyframes[b]) for a, b in edges)


def _clip(first: int, after: int | None, frame_count: int) -> Clip:
    """Return the clip from a keyframe to the next one, or to the end where that is None."""
    last = frame_count - 1 if after is None else after
    return Clip(
        range(first, last + 1),
        range(first, frame_count if after is None else after),
        (first,) if after is None else (first, after),
        tuple((first + i, first + j) for i, j in clip_graph(last + 1 - first)),
    )


def find_loop_candidates(
    thumbnails: Float32Array,
    min_gap: int,
    min_correlation: float = PAIR_GRAPH_DEFAULTS.min_loop_correlation,
) -> list[Edge]:
    """Return pairs of keyframes that are each other's best match, more than ``min_gap`` apart.

    thumbnails       (K, h, w) float32, small grey images
    min_correlation  least normalised correlation
    At most one candidate for two keyframes. A false one does little harm: its point maps are
    outliers, to which the norm of the objective is robust.
    """
    flat = thumbnails.reshape(len(thumbnails), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    flat = flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)
    correlation = flat @ flat.T
    index = np.arange(len(flat))
    correlation[np.abs(index[:, None] - index) <= min_gap] = -1
    best = correlation.argmax(axis=1)
    return [
        (int(a), int(best[a]))
        for a in index
        if a < best[a] and best[best[a]] == a and correlation[a, best[a]] >= min_correlation
    ]


def _nearest(keyframes: tuple[int, ...], frame: int) -> int:
    """Return the index among ``keyframes`` of the one nearest to a frame."""
    return int(np.abs(np.array(keyframes) - frame).argmin())
