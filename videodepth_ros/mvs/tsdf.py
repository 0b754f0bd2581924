# SPDX-License-Identifier: Apache-2.0
"""Truncated signed distance volume of depth maps (Curless and Levoy, SIGGRAPH 1996)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from videodepth_ros.core.arrays import Float32Array, Float64Array, MaskArray, UInt8Array
from videodepth_ros.core.errors import InputError
from videodepth_ros.geometry.camera import Intrinsics

f4 = np.float32
BOUNDS_PERCENT = (2.0, 98.0)
"""Percentiles of the points between which the volume lies, along each axis."""
MARGIN_VOXELS = 4


@dataclass(frozen=True)
class TsdfOptions:
    """Options of the volume.

    most_voxels        bounds memory: 11 bytes each, so 44 MB
    voxel_m            edge of a voxel in metres; 0: as small as `most_voxels` allows
    truncation_voxels  distance beyond which a surface has no effect behind it
    most_error         expected relative error of depth above which a pixel is left out
    """

    most_voxels: int = 4_000_000
    voxel_m: float = 0.0
    truncation_voxels: float = 4.0
    most_error: float = 0.03


@dataclass
class TsdfVolume:
    """Signed distances on a grid, filled frame by frame.

    origin_m  (3,) float64, centre of the first voxel in the map; voxel_m: their distance
    distance  (X, Y, Z) float32, in truncation distances: -1 behind a surface, 1 before it
    weight    (X, Y, Z) float32, 0 where no frame has looked
    colours   (X, Y, Z, 3) uint8 RGB
    """

    origin_m: Float64Array
    voxel_m: float
    truncation_m: float
    most_error: float
    distance: Float32Array
    weight: Float32Array
    colours: UInt8Array

    @classmethod
    def around(cls, points_m: Float64Array, options: TsdfOptions) -> TsdfVolume:
        """Return an empty volume around points of the scene, (N, 3) in the map.

        raises  InputError if there are no points
        """
        if not len(points_m):
            raise InputError('a map needs points of the scene; there are none')
        low, high = np.percentile(points_m, BOUNDS_PERCENT, axis=0)
        extent = np.maximum(high - low, 1e-3)
        voxel_m = max(options.voxel_m, float(np.prod(extent) / options.most_voxels) ** (1 / 3))
        while np.prod(_shape(extent, voxel_m)) > options.most_voxels:
            voxel_m *= 1.05
        shape = _shape(extent, voxel_m)
        return cls(
            (low + high) / 2 - (np.array(shape) - 1) / 2 * voxel_m,
            voxel_m,
            options.truncation_voxels * voxel_m,
            options.most_error,
            np.ones(shape, np.float32),
            np.zeros(shape, np.float32),
            np.zeros((*shape, 3), np.uint8),
        )

    def add(
        self,
        depth_m: Float32Array,
        relative_error: Float32Array,
        moving: MaskArray,
        image: UInt8Array,
        camera: Intrinsics,
        T_map_cam: Float64Array,
    ) -> None:
        """Add the depth map of a frame, all arrays (H, W) of the camera's size.

        Pixels that move, and those whose depth is too uncertain, are left out. Weight falls with
        the square of the expected error in metres.
        """
        good = np.isfinite(depth_m) & ~moving & (relative_error <= self.most_error)
        error_m = np.maximum(depth_m * relative_error, f4(0.5 * self.voxel_m))
        weight = np.where(good, (f4(0.5 * self.voxel_m) / error_m) ** 2, 0).astype(np.float32)
        R, t = T_map_cam[:3, :3], T_map_cam[:3, 3]
        _integrate(
            self.distance,
            self.weight,
            self.colours,
            (R.T @ (self.origin_m - t)).astype(np.float32),
            (R.T * self.voxel_m).astype(np.float32),
            np.array([camera.fx, camera.fy, camera.cx, camera.cy], np.float32),
            np.where(good, depth_m, 0).astype(np.float32),
            weight,
            image,
            f4(self.truncation_m),
        )


def _shape(extent_m: Float64Array, voxel_m: float) -> tuple[int, int, int]:
    x, y, z = (int(np.ceil(side / voxel_m)) + 2 * MARGIN_VOXELS for side in extent_m)
    return x, y, z


@njit(nogil=True, cache=True, fastmath=True)
def _integrate(  # type: ignore[no-untyped-def]
    distance, weight, colours, first, steps, lens, depth_m, pixel_weight, image, truncation_m
):
    """Update every voxel; in the camera (i, j, k) is at ``first + steps @ (i, j, k)``."""
    height, width = depth_m.shape
    for i in range(distance.shape[0]):
        for j in range(distance.shape[1]):
            x0 = first[0] + steps[0, 0] * f4(i) + steps[0, 1] * f4(j)
            y0 = first[1] + steps[1, 0] * f4(i) + steps[1, 1] * f4(j)
            z0 = first[2] + steps[2, 0] * f4(i) + steps[2, 1] * f4(j)
            for k in range(distance.shape[2]):
                z = z0 + steps[2, 2] * f4(k)
                if z <= f4(1e-3):
                    continue
                u = lens[0] * (x0 + steps[0, 2] * f4(k)) / z + lens[2]
                v = lens[1] * (y0 + steps[1, 2] * f4(k)) / z + lens[3]
                if not (u > f4(-0.5) and v > f4(-0.5)):
                    continue
                column, row = int(u + f4(0.5)), int(v + f4(0.5))
                if column >= width or row >= height or pixel_weight[row, column] <= f4(0):
                    continue
                ahead = (depth_m[row, column] - z) / truncation_m
                if ahead >= f4(-1):
                    _update(
                        distance,
                        weight,
                        colours,
                        (i, j, k),
                        min(ahead, f4(1)),
                        pixel_weight[row, column],
                        image[row, column],
                    )


@njit(nogil=True, cache=True, fastmath=True)
def _update(distance, weight, colours, voxel, ahead, w, colour):  # type: ignore[no-untyped-def]
    """Average one observation into a voxel; its colour only near the surface."""
    total = weight[voxel] + w
    share = w / total
    distance[voxel] += (ahead - distance[voxel]) * share
    if ahead < f4(1):
        i, j, k = voxel
        for c in range(3):
            old = f4(colours[i, j, k, c])
            colours[i, j, k, c] = np.uint8(old + (f4(colour[c]) - old) * share + f4(0.5))
    weight[voxel] = total
