# SPDX-License-Identifier: Apache-2.0
"""The point cloud of a recording: the mean position and colour of each voxel.

Memory is bounded by the number of voxels: when there are too many, their edge doubles. The extent
of the scene need not be known before the last frame.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.core.arrays import Float64Array, UInt8Array
from videodepth_ros.core.errors import BagError
from videodepth_ros.geometry.depth_edges import beside_edges
from videodepth_ros.results.frame import RefinedFrame
from videodepth_ros.results.options import CLOUD, CloudOptions

Keys = NDArray[np.int64]

POINT = np.dtype(
    [('x', '<f4'), ('y', '<f4'), ('z', '<f4'), ('red', 'u1'), ('green', 'u1'), ('blue', 'u1')]
)
HALF_GRID = 1 << 20
"""Half the number of voxels along an axis: three indices make a key of 63 bits."""

COLUMNS = 7
"""Sums of a voxel: x y z red green blue, and the number of points."""


@dataclass
class VoxelGrid:
    """Sums over the points of each voxel, updated frame by frame.

    voxel_m  edge of a voxel; 0 before the first frame
    """

    options: CloudOptions = CLOUD
    voxel_m: float = 0.0
    _keys: Keys = field(default_factory=lambda: np.empty(0, np.int64))
    _sums: Float64Array = field(default_factory=lambda: np.empty((0, COLUMNS)))
    _pending: list[tuple[Keys, Float64Array]] = field(default_factory=list)
    _pending_count: int = 0

    def add(self, frame: RefinedFrame) -> None:
        """Add the static points of a frame that are confident enough."""
        points, colours = self._select_points(frame)
        if not len(points):
            return
        if not self.voxel_m:
            self.voxel_m = self.options.voxel_m or _choose_voxel(points, self.options)
        cells = np.floor(points / self.voxel_m)
        inside = (np.abs(cells) < HALF_GRID - 1).all(axis=1)
        keys = _pack(cells[inside].astype(np.int64))
        values = np.column_stack([points, colours, np.ones(len(points))])[inside]
        self._pending.append(_sum_by_key(keys, values))
        self._pending_count += len(self._pending[-1][0])
        if self._pending_count > max(len(self._keys), self.options.max_voxels // 8):
            self._merge()

    def points(self) -> NDArray[np.void]:
        """Return the cloud, (N,) of POINT: the mean of each voxel, sorted by position."""
        self._merge()
        means = self._sums[:, :6] / self._sums[:, 6:]
        cloud = np.empty(len(means), POINT)
        for column, name in enumerate(POINT.names or ()):
            values = means[:, column]
            cloud[name] = values if column < 3 else np.clip(np.rint(values), 0, 255)
        return cloud

    def _select_points(self, frame: RefinedFrame) -> tuple[Float64Array, UInt8Array]:
        """Return positions in the map (N, 3) and colours (N, 3) of the pixels that are used."""
        options = self.options
        stride = options.stride or max(
            1, round((frame.depth_m.size / options.pixels_per_frame) ** 0.5)
        )
        grid = (slice(None, None, stride),) * 2
        depth_m = frame.depth_m[grid]
        mask = np.isfinite(depth_m) & (depth_m > 0)
        if mask.any():
            mask &= depth_m <= options.max_depth_ratio * np.median(depth_m[mask])
        mask &= frame.confidence[grid] >= options.min_confidence
        if options.edge_ratio > 1:
            mask &= ~beside_edges(frame.depth_m, options.edge_ratio)[grid]
        if frame.moving is not None:
            mask &= ~frame.moving[grid]
        return frame.points(stride, mask), frame.image[grid][mask]

    def _merge(self) -> None:
        """Merge the pending sums; double the edge while there are too many voxels."""
        parts = [(self._keys, self._sums), *self._pending]
        self._keys, self._sums = _sum_by_key(
            np.concatenate([keys for keys, _ in parts]),
            np.concatenate([sums for _, sums in parts]),
        )
        self._pending, self._pending_count = [], 0
        while len(self._keys) > self.options.max_voxels:
            self.voxel_m *= 2
            self._keys, self._sums = _sum_by_key(_pack(_unpack(self._keys) >> 1), self._sums)


def positions_and_colours(points: NDArray[np.void]) -> tuple[Float64Array, UInt8Array]:
    """Return positions (N, 3) and colours (N, 3) of a cloud."""
    positions = np.stack([points[axis] for axis in 'xyz'], axis=1).astype(np.float64)
    return positions, np.stack([points[name] for name in ('red', 'green', 'blue')], axis=1)


def write_ply(path: Path, points: NDArray[np.void]) -> None:
    """Write points (N,) of POINT as binary PLY.

    raises  BagError if it cannot be written
    """
    types = {'<f4': 'float', '|u1': 'uchar'}
    properties = [f'property {types[POINT[name].str]} {name}' for name in POINT.names or ()]
    header = [
        'ply',
        'format binary_little_endian 1.0',
        f'element vertex {len(points)}',
        *properties,
        'end_header',
    ]
    try:
        path.write_bytes('\n'.join([*header, '']).encode() + points.tobytes())
    except OSError as error:
        raise BagError(f'{path} cannot be written: {error}') from error


def read_ply(path: Path) -> NDArray[np.void]:
    """Read points (N,) of POINT that `write_ply` wrote.

    raises  BagError if it cannot be read, or was written otherwise
    """
    try:
        head, _, body = path.read_bytes().partition(b'end_header\n')
    except OSError as error:
        raise BagError(f'{path} cannot be read: {error}') from error
    names = [line.split()[-1].decode() for line in head.splitlines() if b'property' in line]
    if not head.startswith(b'ply') or tuple(names) != POINT.names or len(body) % POINT.itemsize:
        raise BagError(f'{path} is not a cloud of `videodepth refine`')
    return np.frombuffer(body, POINT)


def _choose_voxel(points: Float64Array, options: CloudOptions) -> float:
    """Return a share of the extent of points (N, 3), as 1, 2 or 5 times a power of ten."""
    low, high = np.percentile(points, [5, 95], axis=0)
    edge = max(float(np.linalg.norm(high - low)) / options.voxels_per_extent, 1e-6)
    power = 10.0 ** np.floor(np.log10(edge))
    return float(power * min((1, 2, 5, 10), key=lambda digit: abs(np.log(edge / power / digit))))


def _pack(cells: Keys) -> Keys:
    """Return one key for each voxel index (N, 3), sorted as the voxels are."""
    x, y, z = (cells + HALF_GRID).T
    return np.asarray((x << 42) | (y << 21) | z, np.int64)


def _unpack(keys: Keys) -> Keys:
    mask = 2 * HALF_GRID - 1
    return np.stack([keys >> 42, (keys >> 21) & mask, keys & mask], 1) - HALF_GRID


def _sum_by_key(keys: Keys, values: Float64Array) -> tuple[Keys, Float64Array]:
    """Return the distinct keys, sorted, and the sums of their rows; deterministic."""
    order = np.argsort(keys, kind='stable')
    keys, values = keys[order], values[order]
    starts = (
        np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
        if len(keys)
        else np.empty(0, np.intp)
    )
    return keys[starts], np.add.reduceat(values, starts, axis=0) if len(starts) else values[:0]
