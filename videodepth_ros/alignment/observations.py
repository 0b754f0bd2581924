# SPDX-License-Identifier: Apache-2.0
"""Observations of each frame: the point maps and flows of all pairs that contain it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from videodepth_ros.alignment.pairs import PointMapPair
from videodepth_ros.core.arrays import Float32Array, IndexArray, MaskArray


@dataclass(frozen=True)
class FrameObservations:
    """P pixels of one frame, in M point maps and F flows.

    index        of the frame
    offset_px    (2, P) float32, pixel offset from the principal point, right and down
    pair         (M,) intp, index of the pair of each point map
    points       (M, 3, P) float32, in that pair's frame and unit; 0 where unknown
    weight       (M, P) float32, log of the confidence; 0 where the point is unknown
    flow_frame   (F,) intp, target frame of each flow
    flow_px      (F, 2, P) float32, target of the flow, offset from that frame's principal point
    flow_weight  (F, P) float32, 1 where the flow is known and the scene is static, else 0
    depth_m      (P,) float32, measured Z in metres; NaN where there is none
    """

    index: int
    offset_px: Float32Array
    pair: IndexArray
    points: Float32Array
    weight: Float32Array
    flow_frame: IndexArray
    flow_px: Float32Array
    flow_weight: Float32Array
    depth_m: Float32Array


@dataclass(frozen=True)
class _PointMap:
    """One point map of a pair."""

    pair: int
    points: Float32Array
    confidence: Float32Array


class PairObservations:
    """Pairs grouped by the frames they contain; arrays are copied only when sampled."""

    def __init__(
        self,
        pairs: Sequence[PointMapPair],
        principal_point: tuple[float, float],
        depth_m: Float32Array | None = None,
    ) -> None:
        """Group the pairs by frame.

        principal_point  (cx, cy) [px]
        depth_m          (N, h, w) float32, measured depth, NaN where there is none
        """
        self.frame_count = 1 + max(max(pair.edge) for pair in pairs)
        self.pairs, self.shape, self.principal_point = pairs, pairs[0].shape, principal_point
        self._depth_m = depth_m
        self._point_maps: list[list[_PointMap]] = [[] for _ in range(self.frame_count)]
        self._flows: list[list[tuple[int, Float32Array]]] = [[] for _ in range(self.frame_count)]
        for index, pair in enumerate(pairs):
            self._point_maps[pair.i].append(_PointMap(index, pair.points_i, pair.confidence_i))
            self._point_maps[pair.j].append(_PointMap(index, pair.points_j, pair.confidence_j))
            if pair.flow is not None:
                self._flows[pair.i].append((pair.j, pair.flow))

    @property
    def has_flow(self) -> bool:
        """Whether any pair has a flow."""
        return any(self._flows)

    def flows_from(self, frame: int) -> list[tuple[int, Float32Array]]:
        """Return the flows that leave a frame: target frame and flow (h, w, 2) [px]."""
        return self._flows[frame]

    def sample(
        self, frame: int, stride: int, moving: MaskArray | None = None
    ) -> FrameObservations:
        """Return every ``stride``-th row and column of one frame.

        moving  (h, w) bool, moving objects, whose flow is not used
        """
        grid = (slice(None, None, stride), slice(None, None, stride))
        offset_px = self.pixel_offsets(stride)
        maps = self._point_maps[frame]
        points = np.empty((len(maps), 3, offset_px.shape[1]), np.float32)
        weight = np.empty((len(maps), offset_px.shape[1]), np.float32)
        for m, one in enumerate(maps):
            points[m] = one.points[grid].reshape(-1, 3).T
            with np.errstate(divide='ignore', invalid='ignore'):  # unknown, and masked below
                np.log(one.confidence[grid].ravel(), out=weight[m])
        unknown = ~(np.isfinite(points).all(axis=1) & np.isfinite(weight) & (weight > 0))
        weight[unknown] = 0
        points.transpose(0, 2, 1)[unknown] = 0
        flow_px, flow_weight = self._flow_targets(frame, grid, offset_px)
        if moving is not None:
            flow_weight *= ~moving[grid].ravel()
        depth_m = (
            np.full(offset_px.shape[1], np.nan, np.float32)
            if self._depth_m is None
            else self._depth_m[frame][grid].ravel()
        )
        return FrameObservations(
            frame,
            offset_px,
            np.array([one.pair for one in maps], np.intp),
            points,
            weight,
            np.array([target for target, _ in self._flows[frame]], np.intp),
            flow_px,
            flow_weight,
            depth_m,
        )

    def pixel_offsets(self, stride: int) -> Float32Array:
        """Return the offsets of a frame's sampled pixels from the principal point, (2, P)."""
        cx, cy = self.principal_point
        rows, columns = np.mgrid[: self.shape[0] : stride, : self.shape[1] : stride]
        grid = np.stack([columns.ravel() - cx, rows.ravel() - cy])
        return grid.astype(np.float32)

    def _flow_targets(
        self, frame: int, grid: tuple[slice, slice], offset_px: Float32Array
    ) -> tuple[Float32Array, Float32Array]:
        """Return the targets (F, 2, P) of a frame's flows, and 1 where they are known, (F, P)."""
        flow = np.zeros((len(self._flows[frame]), *offset_px.shape), np.float32)
        for f, (_, whole) in enumerate(self._flows[frame]):
            flow[f] = whole[grid].reshape(-1, 2).T
        known = np.asarray(np.isfinite(flow).all(axis=1))
        flow.transpose(0, 2, 1)[~known] = 0
        flow += offset_px
        return flow, known.astype(np.float32)
