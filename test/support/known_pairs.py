# SPDX-License-Identifier: Apache-2.0
"""Pairs from known depth and poses: a pair provider without errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from videodepth_ros.alignment.pairs import PointMapPair
from videodepth_ros.geometry.camera import Intrinsics, backproject


@dataclass(frozen=True)
class KnownPairs:
    """A ``PairProvider``; depth (N, h, w) float32, T_world_cam (N, 4, 4)."""

    depth: np.ndarray
    camera: Intrinsics
    T_world_cam: np.ndarray

    def pairs(self, edges):
        """Yield the pair of every edge."""
        for i, j in edges:
            T_i_j = np.linalg.inv(self.T_world_cam[i]) @ self.T_world_cam[j]
            points_i, seen_by_j = (backproject(self.depth[n], self.camera) for n in (i, j))
            points_j = (seen_by_j @ T_i_j[:3, :3].T + T_i_j[:3, 3]).astype(np.float32)
            sure = np.full(self.depth.shape[1:], 5, np.float32)
            yield PointMapPair(i, j, points_i, points_j, sure, sure)
