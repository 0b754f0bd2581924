# SPDX-License-Identifier: Apache-2.0
"""The pairs as each frame sees them: all that is known of its pixels, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.alignment.pairs import PointMapPair

Array = NDArray[np.float32]
Indices = NDArray[np.intp]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class FrameObservations:
    """One frame: P of its pixels, seen by M pairs and followed by F flows.

    offset    (2, P) float32, pixels right of and below the principal point
    pair      (M,) intp, the pair that each point map comes from
    points    (M, 3, P) float32, in that pair's frame and unit; 0 where unknown
    weight    (M, P) float32, log of the confidence; 0 where the point is unknown
    flow_to   (F,) intp, the other frame of each flow
    flow      (F, 2, P) float32, offset of where the pixel has gone in the other frame
    flow_weight   (F, P) float32, 1 where the flow is known and the scene stands still, else 0
    depth     (P,) float32, Z as another sensor measured it, metres; NaN where it did not
    """

    frame: int
    offset: Array
    pair: Indices
    points: Array
    weight: Array
    flow_to: Indices
    flow: Array
    flow_weight: Array
    depth: Array


@dataclass(frozen=True)
class _View:
    """One point map of a pair, in the frame that it shows."""

    pair: int
    points: Array
    confidence: Array


class PairObservations:
    """Pairs sorted by the frames that they show. Nothing is copied until a frame is looked at."""

    def __init__(
        self,
        pairs: Sequence[PointMapPair],
        center: tuple[float, float],
        depth_m: Array | None = None,
    ) -> None:
        """Sort ``pairs``; ``center`` is the principal point, pixels.

        depth_m  (N, h, w) float32, measured depth, NaN where there is none
        """
        self.frames = 1 + max(max(pair.edge) for pair in pairs)
        self.pairs, self.shape, self.center = pairs, pairs[0].shape, center
        self._depth_m = depth_m
        self._views: list[list[_View]] = [[] for _ in range(self.frames)]
        self._flows: list[list[tuple[int, Array]]] = [[] for _ in range(self.frames)]
        for index, pair in enumerate(pairs):
            self._views[pair.i].append(_View(index, pair.points_i, pair.confidence_i))
            self._views[pair.j].append(_View(index, pair.points_j, pair.confidence_j))
            if pair.flow is not None:
                self._flows[pair.i].append((pair.j, pair.flow))

    @property
    def has_flow(self) -> bool:
        """Whether any pair brings its flow."""
        return any(self._flows)

    def flows_from(self, frame: int) -> list[tuple[int, Array]]:
        """Return where the pixels of a frame go: other frames, and flows (h, w, 2) in pixels."""
        return self._flows[frame]

    def at(self, frame: int, stride: int, moving: Mask | None = None) -> FrameObservations:
        """Look at every ``stride``-th row and column of one frame.

        moving  (h, w) bool, where flow does not follow a still scene
        """
        grid = (slice(None, None, stride), slice(None, None, stride))
        offset = self.offset(stride)
        views = self._views[frame]
        points = np.empty((len(views), 3, offset.shape[1]), np.float32)
        weight = np.empty((len(views), offset.shape[1]), np.float32)
        for m, view in enumerate(views):
            points[m] = view.points[grid].reshape(-1, 3).T
            with np.errstate(divide='ignore', invalid='ignore'):  # unknown, and handled as such
                np.log(view.confidence[grid].ravel(), out=weight[m])
        unknown = ~(np.isfinite(points).all(axis=1) & np.isfinite(weight) & (weight > 0))
        weight[unknown] = 0
        points.transpose(0, 2, 1)[unknown] = 0
        flow, flow_weight = self._followed(frame, grid, offset)
        if moving is not None:
            flow_weight *= ~moving[grid].ravel()
        depth = (
            np.full(offset.shape[1], np.nan, np.float32)
            if self._depth_m is None
            else self._depth_m[frame][grid].ravel()
        )
        return FrameObservations(
            frame,
            offset,
            np.array([view.pair for view in views], np.intp),
            points,
            weight,
            np.array([to for to, _ in self._flows[frame]], np.intp),
            flow,
            flow_weight,
            depth,
        )

    def offset(self, stride: int) -> Array:
        """Return the grid of one frame, (2, P) float32: offsets from the principal point."""
        rows, columns = np.mgrid[: self.shape[0] : stride, : self.shape[1] : stride]
        grid = np.stack([columns.ravel() - self.center[0], rows.ravel() - self.center[1]])
        return grid.astype(np.float32)

    def _followed(
        self, frame: int, grid: tuple[slice, slice], offset: Array
    ) -> tuple[Array, Array]:
        flow = np.zeros((len(self._flows[frame]), *offset.shape), np.float32)
        for f, (_, whole) in enumerate(self._flows[frame]):
            flow[f] = whole[grid].reshape(-1, 2).T
        known = np.asarray(np.isfinite(flow).all(axis=1))
        flow.transpose(0, 2, 1)[~known] = 0
        flow += offset
        return flow, known.astype(np.float32)
