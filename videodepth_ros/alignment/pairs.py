# SPDX-License-Identifier: Apache-2.0
"""Point-map pairs, the input of the global alignment, and the pair graphs of DUSt3R and Align3R.

DUSt3R (arXiv 2312.14132, section 3.1): for frames i and j, both point maps are expressed in the
camera of i, at an unknown scale. A `PairProvider` computes them, from a network or from geometry.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from videodepth_ros.core.arrays import Edge, Float32Array
from videodepth_ros.core.errors import InputError


@dataclass(frozen=True)
class PointMapPair:
    """Point maps of two frames.

    i, j                        frame indices; i == j gives the point map of a single frame
    points_i, points_j          (h, w, 3) float32, in the camera of i, in the pair's own unit;
                                not finite where unknown
    confidence_i, confidence_j  (h, w) float32, >= 1; a point is weighted by its logarithm, so
                                that 1 has weight 0
    flow                        (h, w, 2) float32, optical flow from i to j [px], NaN unknown; or
                                None
    """

    i: int
    j: int
    points_i: Float32Array
    points_j: Float32Array
    confidence_i: Float32Array
    confidence_j: Float32Array
    flow: Float32Array | None = None

    def __post_init__(self) -> None:
        """Validate the shapes.

        raises  InputError naming the frame and the shapes
        """
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
        """Height and width [px]."""
        return self.points_i.shape[0], self.points_i.shape[1]


def subsample(pair: PointMapPair, stride: int) -> PointMapPair:
    """Return a copy of every ``stride``-th row and column of a pair, without its flow."""

    def sampled(values: Float32Array) -> Float32Array:
        return values[::stride, ::stride].copy()

    return PointMapPair(
        pair.i,
        pair.j,
        sampled(pair.points_i),
        sampled(pair.points_j),
        sampled(pair.confidence_i),
        sampled(pair.confidence_j),
    )


class PairProvider(Protocol):
    """Source of the point maps of one recording."""

    def pairs(self, edges: Iterable[Edge]) -> Iterable[PointMapPair]:
        """Yield the pair of every edge, in any order; frames are numbered as in ``edges``."""


def symmetrize(edges: Iterable[Edge]) -> list[Edge]:
    """Return the edges, then each one reversed."""
    once = list(edges)
    return once + [(j, i) for i, j in once]


def sliding_window_graph(frame_count: int, offsets: Iterable[int]) -> list[Edge]:
    """Return the edges (i, i + offset), one direction; linear in the frames."""
    steps = list(offsets)
    return [(i, i + step) for i in range(frame_count) for step in steps if i + step < frame_count]


def clip_graph(frame_count: int) -> list[Edge]:
    """Return Align3R's graph of a clip: all odd offsets, symmetrised (section 3.3).

    A single frame is paired with itself, so that it has a depth too.
    """
    if frame_count < 2:
        return [(0, 0)]
    return symmetrize(sliding_window_graph(frame_count, range(1, frame_count, 2)))
