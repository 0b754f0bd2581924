# SPDX-License-Identifier: Apache-2.0
"""Cells of the ground that have enough pixels of an obstacle, and one point for each voxel."""

from __future__ import annotations

import numpy as np
from numba import njit

from videodepth_ros.core.arrays import Float32Array, IndexArray, MaskArray

MOST_VOXELS = 1 << 19
"""Voxels of a grid that is counted without sorting its points."""


def with_support(
    points_m: Float32Array,
    below: MaskArray,
    band: MaskArray,
    cell_m: float,
    reach_m: float,
    min_points: int,
    min_share: float,
) -> MaskArray:
    """Return the pixels of ``band`` (h, w) whose cell of the ground has enough of them.

    points_m   (h, w, 3) float32 in a frame on the ground, less than ``reach_m`` away in ``below``
    below      (h, w) bool, pixels up to the height of the robot; ``band`` is a part of them
    min_share  of the pixels ``below`` in a cell
    """
    half = int(np.ceil(reach_m / cell_m))
    counts = np.zeros((2, 2 * half, 2 * half), np.int32)
    kept = np.zeros(band.shape, np.bool_)
    _support(points_m, below, band, cell_m, counts, min_points, min_share, kept)
    return kept


@njit(cache=True, nogil=True)
def _support(points, below, band, cell_m, counts, least, share, kept):  # type: ignore[no-untyped-def]
    """Count the pixels of each cell, and keep those of cells with enough."""
    half = counts.shape[1] // 2
    for row in range(band.shape[0]):
        for column in range(band.shape[1]):
            if below[row, column]:
                i = int(points[row, column, 0] / cell_m + half)
                j = int(points[row, column, 1] / cell_m + half)
                counts[0, i, j] += 1
                counts[1, i, j] += band[row, column]
    for row in range(band.shape[0]):
        for column in range(band.shape[1]):
            if band[row, column]:
                i = int(points[row, column, 0] / cell_m + half)
                j = int(points[row, column, 1] / cell_m + half)
                enough = counts[1, i, j] >= least and counts[1, i, j] >= share * counts[0, i, j]
                kept[row, column] = enough


def thin(points_m: Float32Array, voxel_m: float) -> tuple[Float32Array, IndexArray]:
    """Return the mean of the points in each voxel, (M, 3) float32, and the voxel of each, (N,).

    points_m  (N, 3) float32
    """
    if not len(points_m):
        return np.empty((0, 3), np.float32), np.empty(0, np.intp)
    cells = np.floor(points_m / np.float32(voxel_m)).astype(np.int64)
    cells -= cells.min(axis=0)
    width, depth = cells[:, 1].max() + 1, cells[:, 2].max() + 1
    keys = (cells[:, 0] * width + cells[:, 1]) * depth + cells[:, 2]
    if keys.max() >= MOST_VOXELS:
        keys = np.unique(keys, return_inverse=True)[1]
    counts = np.bincount(keys)
    used = counts > 0
    means = [np.bincount(keys, weights=axis)[used] / counts[used] for axis in points_m.T]
    return np.stack(means, axis=1).astype(np.float32), (np.cumsum(used) - 1)[keys]
