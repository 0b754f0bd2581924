# SPDX-License-Identifier: Apache-2.0
"""What the offline wing aligns: the point maps that a provider sees in pairs of frames.

DUSt3R (arXiv 2312.14132, section 3.1): for frames i and j, both point maps stand in the camera of
i, at a scale of their own. Who makes them, a network or geometry, is behind `PairProvider`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.core.arrays import Edge
from videodepth_ros.core.errors import InputError

Array = NDArray[np.float32]


@dataclass(frozen=True)
class PointMapPair:
    """Two frames as one provider sees them together.

    i, j                        the frames; i == j tells what a frame alone looks like
    points_i, points_j          (h, w, 3) float32, in the camera of i, in the pair's own unit;
                                not finite where unknown
    confidence_i, confidence_j  (h, w) float32, 1 and up; its logarithm weighs a point, so 1 is
                                worth nothing
    flow                        (h, w, 2) float32, pixels from i to j, NaN unknown; or None
    """

    i: int
    j: int
    points_i: Array
    points_j: Array
    confidence_i: Array
    confidence_j: Array
    flow: Array | None = None

    def __post_init__(self) -> None:
        shape = self.points_i.shape
        views = (
            (self.i, self.points_i, self.confidence_i),
            (self.j, self.points_j, self.confidence_j),
        )
        for frame, points, confidence in views:
            if points.shape != shape or (*confidence.shape, 3) != shape or frame < 0:
                raise InputError(
                    f'pair ({self.i}, {self.j}): points {points.shape} and confidence '
                    f'{confidence.shape} of frame {frame} do not fit points {shape}; a pair has '
                    'point maps (h, w, 3) and confidences (h, w) of one size, frames from 0'
                )
        if self.flow is not None and self.flow.shape != (*shape[:2], 2):
            raise InputError(
                f'pair ({self.i}, {self.j}): flow is {self.flow.shape}; '
                f'give {(*shape[:2], 2)}, pixels from i to j'
            )

    @property
    def edge(self) -> Edge:
        """The frames (i, j)."""
        return self.i, self.j

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.points_i.shape[0], self.points_i.shape[1]


def subsample(pair: PointMapPair, stride: int) -> PointMapPair:
    """Return every ``stride``-th row and column of a pair, copied, and without its flow."""

    def thin(values: Array) -> Array:
        return values[::stride, ::stride].copy()

    return PointMapPair(
        pair.i,
        pair.j,
        thin(pair.points_i),
        thin(pair.points_j),
        thin(pair.confidence_i),
        thin(pair.confidence_j),
    )


class PairProvider(Protocol):
    """Makes the point maps of pairs of frames of one recording."""

    def pairs(self, edges: Iterable[Edge]) -> Iterable[PointMapPair]:
        """Yield the pair of every edge, frames numbered as in ``edges``."""


def symmetrize(edges: Iterable[Edge]) -> list[Edge]:
    """Return the edges, and each one reversed after them."""
    once = list(edges)
    return once + [(j, i) for i, j in once]


def sliding_window_graph(frames: int, offsets: Iterable[int]) -> list[Edge]:
    """Return the edges (i, i + offset): as many for each frame, however long the recording."""
    steps = list(offsets)
    return [(i, i + step) for i in range(frames) for step in steps if i + step < frames]


def clip_graph(frames: int) -> list[Edge]:
    """Return the published graph of a clip: all odd offsets, both ways (Align3R, section 3.3).

    One frame alone is paired with itself, so that it has a depth too.
    """
    return (
        symmetrize(sliding_window_graph(frames, range(1, frames, 2))) if frames > 1 else [(0, 0)]
    )
