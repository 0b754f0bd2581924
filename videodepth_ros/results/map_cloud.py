# SPDX-License-Identifier: Apache-2.0
"""The map as a small cloud for a page: quantized positions and colours, drawn by web/scene.js."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.core.arrays import Float64Array, UInt8Array
from videodepth_ros.results.options import MAP_CLOUD, MapCloudOptions

LEVELS = 65535
"""Greatest level of a position along an axis."""


@dataclass(frozen=True)
class MapCloud:
    """A cloud whose positions are ``low_m + step_m * levels``.

    levels   (N, 3) uint16; colours (N, 3) uint8 RGB
    voxel_m  distance of neighbouring points, about
    """

    levels: NDArray[np.uint16]
    colours: UInt8Array
    low_m: Float64Array
    step_m: float
    voxel_m: float

    @property
    def facts(self) -> dict[str, object]:
        """What `decodeCloud` of web/scene.js needs besides the bytes."""
        return {
            'count': len(self.levels),
            'low': self.low_m.tolist(),
            'step': self.step_m,
            'voxel': self.voxel_m,
        }

    def to_bytes(self) -> bytes:
        """Return all levels, little-endian, and then all colours."""
        return self.levels.astype('<u2').tobytes() + self.colours.tobytes()


def map_cloud(
    positions_m: Float64Array, colours: UInt8Array, options: MapCloudOptions = MAP_CLOUD
) -> MapCloud:
    """Thin out a cloud, one point a voxel, until it is small enough and voxels touch.

    positions_m  (N, 3) float64; colours (N, 3) uint8 RGB; N > 0
    """
    low_m = positions_m.min(axis=0)
    extent_m = max(float(np.ptp(positions_m, axis=0).max()), 1e-9)
    voxel_m = extent_m / options.voxels_per_extent
    kept = _one_per_voxel(positions_m - low_m, voxel_m)
    most = min(options.max_points, options.max_share * len(positions_m))
    while len(kept) > max(most, 1):
        voxel_m *= max(1.05, (len(kept) / most) ** 0.5)
        kept = _one_per_voxel(positions_m - low_m, voxel_m)
    step_m = extent_m / LEVELS
    levels = np.rint((positions_m[kept] - low_m) / step_m).astype(np.uint16)
    return MapCloud(levels, colours[kept], low_m, step_m, voxel_m)


def read_map(facts: Mapping[str, Any], data: bytes) -> tuple[Float64Array, UInt8Array]:
    """Return positions [m] (N, 3) and colours (N, 3) of what `MapCloud` wrote."""
    count = facts['count']
    levels = np.frombuffer(data, '<u2', 3 * count).reshape(-1, 3)
    colours = np.frombuffer(data, np.uint8, 3 * count, 6 * count).reshape(-1, 3)
    return np.asarray(facts['low']) + facts['step'] * levels, colours


def _one_per_voxel(offsets_m: Float64Array, voxel_m: float) -> NDArray[np.intp]:
    """Return the index of the first point in each voxel, in increasing order."""
    cells = np.floor(offsets_m / voxel_m).astype(np.int64)
    keys = (cells[:, 0] << 42) | (cells[:, 1] << 21) | cells[:, 2]
    return np.sort(np.unique(keys, return_index=True)[1])
