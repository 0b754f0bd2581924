# SPDX-License-Identifier: Apache-2.0
"""A coloured cloud of a whole recording, one point for each small cube that was seen.

Memory is bounded by the number of cubes (voxels): where there are too many, eight become one. So
the size need not be known before the last frame has been seen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.core.errors import BagError
from videodepth_ros.results.frame import RefinedFrame

Array = NDArray[np.float64]
Keys = NDArray[np.int64]

POINT = np.dtype(
    [('x', '<f4'), ('y', '<f4'), ('z', '<f4'), ('red', 'u1'), ('green', 'u1'), ('blue', 'u1')]
)
HALF = 1 << 20  # of the voxels along each axis: three of them make a key of 63 bits
COLUMNS = 7  # sums over the points of a voxel: x y z red green blue, and their number


@dataclass(frozen=True)
class CloudOptions:
    """What goes into the cloud.

    voxel_m           edge of a voxel; 0: found from the extent of the scene
    least_confidence  of a pixel, in [0, 1]
    farthest          of a pixel's Z, in medians of its frame: beyond, a small error of inverse
                      depth puts a point anywhere, and a viewer shows the scene as a dot
    most_voxels       of the cloud; where there are more, their edge doubles
    stride            one pixel for so many rows and columns; 0: some 80 000 pixels of a frame
    """

    voxel_m: float = 0.0
    least_confidence: float = 0.3
    farthest: float = 10.0
    most_voxels: int = 1_000_000
    stride: int = 0


@dataclass
class VoxelGrid:
    """Sums over the points of each voxel, filled frame by frame.

    voxel_m  edge of a voxel; 0 before the first frame
    """

    settings: CloudOptions = field(default_factory=CloudOptions)
    voxel_m: float = 0.0
    _keys: Keys = field(default_factory=lambda: np.empty(0, np.int64))
    _sums: Array = field(default_factory=lambda: np.empty((0, COLUMNS)))
    _new: list[tuple[Keys, Array]] = field(default_factory=list)
    _new_count: int = 0

    def add(self, frame: RefinedFrame) -> None:
        """Add what stands still and is known well enough of a frame."""
        points, colours = self._points(frame)
        if not len(points):
            return
        if not self.voxel_m:
            self.voxel_m = self.settings.voxel_m or _voxel_of(points)
        cells = np.floor(points / self.voxel_m)
        inside = (np.abs(cells) < HALF - 1).all(axis=1)
        keys = _pack(cells[inside].astype(np.int64))
        values = np.column_stack([points, colours, np.ones(len(points))])[inside]
        self._new.append(_summed(keys, values))
        self._new_count += len(self._new[-1][0])
        if self._new_count > max(len(self._keys), self.settings.most_voxels // 8):
            self._merge()

    def points(self) -> NDArray[np.void]:
        """Return the cloud, (N,) of POINT: the mean of each voxel, in the order of place."""
        self._merge()
        means = self._sums[:, :6] / self._sums[:, 6:]
        cloud = np.empty(len(means), POINT)
        for column, name in enumerate(POINT.names or ()):
            values = means[:, column]
            cloud[name] = values if column < 3 else np.clip(np.rint(values), 0, 255)
        return cloud

    def _points(self, frame: RefinedFrame) -> tuple[Array, NDArray[np.uint8]]:
        """Return positions in the map (N, 3) and colours (N, 3) of the pixels that count."""
        stride = self.settings.stride or max(1, round((frame.depth_m.size / 80_000) ** 0.5))
        grid = (slice(None, None, stride),) * 2
        depth_m = frame.depth_m[grid]
        counts = np.isfinite(depth_m) & (depth_m > 0)
        if counts.any():
            counts &= depth_m <= self.settings.farthest * np.median(depth_m[counts])
        counts &= frame.confidence[grid] >= self.settings.least_confidence
        if frame.moving is not None:
            counts &= ~frame.moving[grid]
        return frame.points(stride, counts), frame.image[grid][counts]

    def _merge(self) -> None:
        """Bring the new sums to the others; make voxels twice as large while they are too many."""
        parts = [(self._keys, self._sums), *self._new]
        self._keys, self._sums = _summed(
            np.concatenate([keys for keys, _ in parts]),
            np.concatenate([sums for _, sums in parts]),
        )
        self._new, self._new_count = [], 0
        while len(self._keys) > self.settings.most_voxels:
            self.voxel_m *= 2
            self._keys, self._sums = _summed(_pack(_unpack(self._keys) >> 1), self._sums)


def write_ply(path: Path, points: NDArray[np.void]) -> None:
    """Write points (N,) of POINT as binary PLY.

    raises  BagError if it cannot be written
    """
    kinds = {'<f4': 'float', '|u1': 'uchar'}
    properties = [f'property {kinds[POINT[name].str]} {name}' for name in POINT.names or ()]
    head = [
        'ply',
        'format binary_little_endian 1.0',
        f'element vertex {len(points)}',
        *properties,
        'end_header',
    ]
    try:
        path.write_bytes('\n'.join([*head, '']).encode() + points.tobytes())
    except OSError as error:
        raise BagError(f'{path} cannot be written: {error}') from error


def _voxel_of(points: Array) -> float:
    """Return a 400th of the extent of what one view shows, as 1, 2 or 5 times a power of ten."""
    low, high = np.percentile(points, [5, 95], axis=0)
    edge = max(float(np.linalg.norm(high - low)) / 400, 1e-6)
    power = 10.0 ** np.floor(np.log10(edge))
    return float(power * min((1, 2, 5, 10), key=lambda digit: abs(np.log(edge / power / digit))))


def _pack(cells: Keys) -> Keys:
    """Return one key for each voxel (N, 3), in the order of their places."""
    x, y, z = (cells + HALF).T
    return np.asarray((x << 42) | (y << 21) | z, np.int64)


def _unpack(keys: Keys) -> Keys:
    return np.stack([keys >> 42, (keys >> 21) & (2 * HALF - 1), keys & (2 * HALF - 1)], 1) - HALF


def _summed(keys: Keys, values: Array) -> tuple[Keys, Array]:
    """Return each key once, in order, and the sums of its rows; the same for the same input."""
    order = np.argsort(keys, kind='stable')
    keys, values = keys[order], values[order]
    starts = (
        np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
        if len(keys)
        else np.empty(0, np.intp)
    )
    return keys[starts], np.add.reduceat(values, starts, axis=0) if len(starts) else values[:0]
