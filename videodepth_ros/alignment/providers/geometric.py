# SPDX-License-Identifier: Apache-2.0
"""Linearization-map pairs without a network: a depth prior, corrected and unprojected.

`videodepth_ros.sfm.reconstruction` estimates the poses and the depth corrections of a whole
recording. A pair is the two corrected depths unprojected, with high confidence where they agree.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.alignment.pairs import PointMapPair
from videodepth_ros.core.arrays import Edge
from videodepth_ros.geometry.bilinear_grid import evaluate_grid
from videodepth_ros.geometry.camera import Intrinsics, backproject
from videodepth_ros.sfm.reconstruction import Reconstruction

Array = NDArray[np.float32]
Array64 = NDArray[np.float64]

HELD_FRAMES = 32
"""Frames whose bent depth a provider keeps at hand."""
SURE, UNSURE = 3.0, 0.3
"""Log confidence of what both frames see alike, and the share of it that all else has."""
AGREE = 0.1
"""Log ratio of depths at which the confidence of a pixel falls to half."""


class GeometricPairProvider:
    """Pairs of a recording whose geometry is learnt."""

    def __init__(self, depth: Array, reconstruction: Reconstruction) -> None:
        """Take the prior (N, h, w), which may lie on disk, and what `learn` made of it."""
        self._depth, self._reconstruction = depth, reconstruction
        self._bent = lru_cache(HELD_FRAMES)(self._bend)

    @property
    def camera(self) -> Intrinsics:
        """The camera of the point maps; its focal length is sought where it was not given."""
        return self._reconstruction.camera

    def pairs(self, edges: Iterable[Edge]) -> Iterator[PointMapPair]:
        """Yield the pair of every edge."""
        for i, j in edges:
            T_i_j = (
                np.linalg.inv(self._reconstruction.T_world_cam[i])
                @ self._reconstruction.T_world_cam[j]
            )
            points_i, points_j = self._points(i), self._points(j)
            T_j_i = np.linalg.inv(T_i_j)
            yield PointMapPair(
                i,
                j,
                points_i,
                _moved(points_j, T_i_j),
                self._confidence(points_i, j, T_j_i),
                self._confidence(points_j, i, T_i_j),
            )

    def _bend(self, frame: int) -> Array:
        """Return the depth (h, w) of a frame, NaN where it is unknown or the sky."""
        camera, level = self.camera, self._reconstruction.fallback_log_depth[frame]
        if np.isfinite(level):
            return np.full((camera.height, camera.width), np.exp(level), np.float32)
        known = np.array(self._depth[frame], np.float32)
        known[~(np.isfinite(known) & (known > 0))] = np.nan
        known *= np.exp(
            evaluate_grid(
                self._reconstruction.log_depth_correction[frame], camera.height, camera.width
            )
        )
        return known

    def _points(self, frame: int) -> Array:
        return backproject(self._bent(frame), self.camera)

    def _confidence(self, points: Array, other: int, T_other_cam: Array64) -> Array:
        """Return how far a frame's points (h, w, 3) agree with another one's depth, (h, w)."""
        camera, there = self.camera, _moved(points, T_other_cam)
        depth, z = self._bent(other), there[..., 2]
        with np.errstate(invalid='ignore', divide='ignore'):
            column = np.rint(there[..., 0] / z * camera.fx + camera.cx)
            row = np.rint(there[..., 1] / z * camera.fy + camera.cy)
            inside = (
                (z > 0)
                & (column >= 0)
                & (column < camera.width)
                & (row >= 0)
                & (row < camera.height)
            )
            met = depth[
                np.where(inside, row, 0).astype(np.intp),
                np.where(inside, column, 0).astype(np.intp),
            ]
            share = 1 / (1 + np.square(np.log(met / z) / AGREE))
        weight = SURE * np.maximum(np.where(inside & np.isfinite(share), share, 0), UNSURE)
        blind = np.isfinite(self._reconstruction.fallback_log_depth[other])
        weight = np.where(np.isfinite(points[..., 2]), SURE * UNSURE if blind else weight, 0)
        return np.exp(weight).astype(np.float32)


def _moved(points: Array, T: Array64) -> Array:
    moved: Array = points @ T[:3, :3].T.astype(np.float32) + T[:3, 3].astype(np.float32)
    return moved
