# SPDX-License-Identifier: Apache-2.0
"""Pinhole camera: intrinsics at an image size, projection and backprojection.

Pixel centres lie at integers, as in OpenCV and REP-104: the image spans [-0.5, width - 0.5].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from videodepth_ros.core.arrays import Float32Array, Float64Array, FloatArray, IndexArray
from videodepth_ros.core.errors import InputError

DEFAULT_FOCAL_LENGTH_FACTOR = 0.8
"""fx / width assumed for an uncalibrated camera: a horizontal field of view of 64 degrees."""


@dataclass(frozen=True)
class Intrinsics:
    """Pinhole intrinsics of a rectified image of ``width`` x ``height`` pixels, all in pixels."""

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float

    def __post_init__(self) -> None:
        if self.width <= 0 or self.height <= 0:
            raise InputError(
                f'a camera of {self.width}x{self.height} pixels has no image; '
                'give the size of the rectified image'
            )
        if not (self.fx > 0 and self.fy > 0):
            raise InputError(
                f'focal lengths fx={self.fx}, fy={self.fy} must be positive; '
                'a camera_info with K[0] == 0 is uncalibrated (REP-104)'
            )

    @classmethod
    def centred(cls, width: int, height: int, focal_px: float) -> Intrinsics:
        """Return intrinsics with square pixels and the principal point at the image center."""
        return cls(width, height, focal_px, focal_px, (width - 1) / 2, (height - 1) / 2)

    def scaled_to(self, width: int, height: int) -> Intrinsics:
        """Return the intrinsics after a resize to ``width`` x ``height``.

        Pixel centres at integers move the principal point by c' = (c + 0.5) s - 0.5.
        """
        sx, sy = width / self.width, height / self.height
        return Intrinsics(
            width,
            height,
            self.fx * sx,
            self.fy * sy,
            (self.cx + 0.5) * sx - 0.5,
            (self.cy + 0.5) * sy - 0.5,
        )

    def strided(self, stride: int) -> Intrinsics:
        """Return the intrinsics of ``image[::stride, ::stride]``."""
        return Intrinsics(
            -(-self.width // stride),
            -(-self.height // stride),
            self.fx / stride,
            self.fy / stride,
            self.cx / stride,
            self.cy / stride,
        )

    @property
    def matrix(self) -> Float64Array:
        """Calibration matrix K, (3, 3) float64."""
        return np.array([[self.fx, 0.0, self.cx], [0.0, self.fy, self.cy], [0.0, 0.0, 1.0]])


def backproject(depth_m: Float32Array, camera: Intrinsics) -> Float32Array:
    """Backproject a depth map to points in the camera's optical frame.

    depth_m  (H, W) float32, Z along the optical axis in metres; NaN where unknown
    returns  (H, W, 3) float32, x right, y down, z forward (REP-103); not finite where depth is not
    raises   InputError if the size of the depth map is not that of the camera
    """
    if depth_m.shape != (camera.height, camera.width):
        raise InputError(
            f'depth is {depth_m.shape[1]}x{depth_m.shape[0]} but the camera is '
            f'{camera.width}x{camera.height}; scale one to the other first'
        )
    points = np.empty((*depth_m.shape, 3), np.float32)
    column_slope = (np.arange(camera.width, dtype=np.float32) - camera.cx) / camera.fx
    row_slope = (np.arange(camera.height, dtype=np.float32) - camera.cy) / camera.fy
    with np.errstate(invalid='ignore'):  # 0 * inf on the axis
        np.multiply(depth_m, column_slope[None, :], out=points[..., 0], casting='same_kind')
        np.multiply(depth_m, row_slope[:, None], out=points[..., 1], casting='same_kind')
    points[..., 2] = depth_m
    return points


def backproject_pixels(xy: Float64Array, depth: Float64Array, focal: Float64Array) -> Float64Array:
    """Backproject single pixels to points (P, 3) in the camera's optical frame.

    xy     (P, 2) float64, pixels from the principal point
    depth  (P,) float64, Z; focal: fx and fy, (2,), in pixels
    """
    points: Float64Array = np.column_stack([xy / focal, np.ones(len(xy))]) * depth[:, None]
    return points


def project(points: Float32Array, camera: Intrinsics) -> Float32Array:
    """Project points of the camera's optical frame to pixels.

    points   (..., 3) float32, metres
    returns  (..., 2) float32, column and row in pixels; NaN for points with Z <= 0
    """
    z = np.where(points[..., 2] > 0, points[..., 2], np.nan)
    return np.stack(
        [points[..., 0] / z * camera.fx + camera.cx, points[..., 1] / z * camera.fy + camera.cy],
        axis=-1,
    ).astype(np.float32)


def project_to_pixels(
    points: FloatArray, camera: Intrinsics, min_depth_m: float
) -> tuple[IndexArray, IndexArray, FloatArray]:
    """Return rows, columns (P,) and Z (P,) of the points (N, 3) that fall on a pixel.

    min_depth_m  least Z [m]
    """
    x, y, z = points[points[:, 2] > min_depth_m].T
    columns, rows = np.rint(camera.fx * x / z + camera.cx), np.rint(camera.fy * y / z + camera.cy)
    inside = (columns >= 0) & (columns < camera.width) & (rows >= 0) & (rows < camera.height)
    return rows[inside].astype(np.intp), columns[inside].astype(np.intp), z[inside]
