# SPDX-License-Identifier: Apache-2.0
"""Pair provider without a network: a corrected and unprojected depth prior.

`videodepth_ros.sfm.reconstruction` estimates the poses and the depth corrections of a recording. A
pair is the two corrected depth maps unprojected, with high confidence where they agree.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

import numpy as np

from videodepth_ros.alignment.options import GEOMETRIC_PAIR_DEFAULTS, GeometricPairOptions
from videodepth_ros.alignment.pairs import PointMapPair
from videodepth_ros.core.arrays import Edge, Float32Array, Float64Array
from videodepth_ros.geometry.bilinear_grid import evaluate_grid
from videodepth_ros.geometry.camera import Intrinsics, backproject
from videodepth_ros.sfm.reconstruction import Reconstruction


class GeometricPairProvider:
    """A `PairProvider` of a reconstructed recording."""

    def __init__(
        self,
        depth: Float32Array,
        reconstruction: Reconstruction,
        options: GeometricPairOptions = GEOMETRIC_PAIR_DEFAULTS,
    ) -> None:
        """Keep the inputs; corrected depth is computed on demand.

        depth           (N, h, w) float32, the depth prior; may be a memory map
        reconstruction  of the recording with that prior
        """
        self._depth, self._reconstruction, self._options = depth, reconstruction, options
        self.corrected_depth = lru_cache(options.cached_frames)(self._correct)

    def camera_of(self, frame: int) -> Intrinsics:
        """Return the camera of a point map; its focal length is estimated where unknown."""
        return self._reconstruction.camera_of(frame)

    def pairs(self, edges: Iterable[Edge]) -> Iterator[PointMapPair]:
        """Yield the pair of every edge, in order."""
        T_world_cam = self._reconstruction.T_world_cam
        for i, j in edges:
            T_i_j = np.linalg.inv(T_world_cam[i]) @ T_world_cam[j]
            points_i, points_j = self._points(i), self._points(j)
            T_j_i = np.linalg.inv(T_i_j)
            yield PointMapPair(
                i,
                j,
                points_i,
                _transformed(points_j, T_i_j),
                self._confidence(points_i, j, T_j_i),
                self._confidence(points_j, i, T_i_j),
            )

    def _correct(self, frame: int) -> Float32Array:
        """Return the corrected depth (h, w) of a frame, NaN where it is unknown or the sky."""
        camera = self._reconstruction.camera
        log_depth = self._reconstruction.fallback_log_depth[frame]
        if np.isfinite(log_depth):
            return np.full((camera.height, camera.width), np.exp(log_depth), np.float32)
        depth = np.array(self._depth[frame], np.float32)
        depth[~(np.isfinite(depth) & (depth > 0))] = np.nan
        correction = self._reconstruction.log_depth_correction[frame]
        depth *= np.exp(evaluate_grid(correction, camera.height, camera.width))
        return depth

    def _points(self, frame: int) -> Float32Array:
        return backproject(self.corrected_depth(frame), self.camera_of(frame))

    def _confidence(
        self, points: Float32Array, other: int, T_other_cam: Float64Array
    ) -> Float32Array:
        """Return the confidence (h, w) of a frame's points by their agreement with another depth.

        points  (h, w, 3) of the frame; 1 (weight 0) where they are unknown
        """
        camera, options = self.camera_of(other), self._options
        in_other = _transformed(points, T_other_cam)
        depth, z = self.corrected_depth(other), in_other[..., 2]
        with np.errstate(invalid='ignore', divide='ignore'):
            column = np.rint(in_other[..., 0] / z * camera.fx + camera.cx)
            row = np.rint(in_other[..., 1] / z * camera.fy + camera.cy)
            inside = (
                (z > 0)
                & (column >= 0)
                & (column < camera.width)
                & (row >= 0)
                & (row < camera.height)
            )
            other_depth = depth[
                np.where(inside, row, 0).astype(np.intp),
                np.where(inside, column, 0).astype(np.intp),
            ]
            ratio = np.log(other_depth / z)
            agreement = 1 / (1 + np.square(ratio / options.log_depth_tolerance))
        agreement = np.where(inside & np.isfinite(agreement), agreement, 0)
        high, low = options.log_confidence, options.inconsistent_share
        weight = high * np.maximum(agreement, low)
        without_depth = np.isfinite(self._reconstruction.fallback_log_depth[other])
        weight = np.where(np.isfinite(points[..., 2]), high * low if without_depth else weight, 0)
        return np.exp(weight).astype(np.float32)


def _transformed(points: Float32Array, T: Float64Array) -> Float32Array:
    transformed: Float32Array = points @ T[:3, :3].T.astype(np.float32)
    transformed = transformed + T[:3, 3].astype(np.float32)
    return transformed
