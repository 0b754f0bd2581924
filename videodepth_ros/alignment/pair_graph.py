# SPDX-License-Identifier: Apache-2.0
"""Which frames to pair: keyframes along the whole recording, clips between them, and loops.

Align3R (arXiv 2412.03079, section 3.3) aligns keyframes first and clips after. Here a clip ends on
the keyframe that the next one begins with, so that both of its ends are tied, and a keyframe is
paired with its neighbours and with places seen before, so that pairs grow with the recording only.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.alignment.pairs import clip_graph, sliding_window_graph, symmetrize
from videodepth_ros.core.arrays import Edge
from videodepth_ros.core.errors import ConfigError

Array = NDArray[np.float32]

LEAST_SIMILARITY = 0.8


@dataclass(frozen=True)
class Clip:
    """Neighbouring frames that are aligned together.

    frames  all of them; output_frames: those whose result is taken from this clip
    keys    keyframes among them
    edges   pairs of them, numbered as in the recording
    """

    frames: range
    output_frames: range
    keyframes: tuple[int, ...]
    edges: tuple[Edge, ...]


@dataclass(frozen=True)
class PairGraph:
    """What to pair in a recording; all frames numbered as in the recording.

    window  how many keyframes apart a pair is before it counts as a loop
    """

    keyframes: tuple[int, ...]
    keyframe_edges: tuple[Edge, ...]
    clips: tuple[Clip, ...]
    window: int


def build_pair_graph(
    frames: int, clip: int = 10, window: int = 3, loops: Iterable[Edge] = ()
) -> PairGraph:
    """Lay out a recording of ``frames`` frames.

    clip    frames from one keyframe to the next
    window  each keyframe is paired with as many before and after it
    loops   pairs of frames that may show one place; their nearest keyframes are paired
    raises  ConfigError where there is no frame, or a clip has less than two
    """
    if frames < 1 or clip < 2 or window < 1:
        raise ConfigError(
            f'cannot lay out {frames} frames in clips of {clip} with a window of '
            f'{window} keyframes; it takes a frame, clips of 2 and a window of 1'
        )
    keys = tuple(range(0, frames, clip))
    if len(keys) > 1 and frames - keys[-1] <= clip // 2:
        keys = keys[:-1]  # the rest is too short for a clip of its own
    near = sliding_window_graph(len(keys), range(1, window + 1))
    far = {
        (min(a, b), max(a, b))
        for a, b in ((_nearest(keys, i), _nearest(keys, j)) for i, j in loops)
    }
    edges = near + sorted(edge for edge in far - set(near) if edge[0] != edge[1])
    clips = []
    for first, after in zip(keys, [*keys[1:], None], strict=True):
        last = frames - 1 if after is None else after
        output_frames = range(first, frames if after is None else after)
        clips.append(
            Clip(
                range(first, last + 1),
                output_frames,
                (first,) if after is None else (first, after),
                tuple((first + i, first + j) for i, j in clip_graph(last + 1 - first)),
            )
        )
    return PairGraph(
        keys, tuple(symmetrize((keys[a], keys[b]) for a, b in edges)), tuple(clips), window
    )


def find_loop_candidates(thumbnails: Array, gap: int) -> list[Edge]:
    """Return pairs of keyframes that look alike: each other's best match beyond ``gap`` keyframes.

    thumbnails  (K, h, w) float32, small grey images, whose normalised correlation is the likeness
    At most one for two keyframes. A false one does little harm: its point maps agree with nothing,
    and the norm of the objective bears outliers.
    """
    flat = thumbnails.reshape(len(thumbnails), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    flat = flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)
    alike = flat @ flat.T
    index = np.arange(len(flat))
    alike[np.abs(index[:, None] - index) <= gap] = -1
    best = alike.argmax(axis=1)
    return [
        (int(a), int(best[a]))
        for a in index
        if a < best[a] and best[best[a]] == a and alike[a, best[a]] >= LEAST_SIMILARITY
    ]


def _nearest(keys: tuple[int, ...], frame: int) -> int:
    """Return the place among ``keys`` of the one nearest to a frame."""
    return int(np.abs(np.array(keys) - frame).argmin())
