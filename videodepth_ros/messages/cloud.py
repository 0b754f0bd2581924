# SPDX-License-Identifier: Apache-2.0
"""Organised PointCloud2 with x, y, z, rgb in 16 bytes a point.

Layout: FLOAT32 x at 0, y at 4, z at 8 and rgb at 12, whose bits are 0x00RRGGBB; RViz, PCL and Nav2
read it through the offsets. Points without depth are NaN and the cloud is not dense, so that row
and column of a point are those of its pixel. create_cloud of sensor_msgs_py is slower and, for
organised clouds, swaps width and height.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from videodepth_ros.core.errors import InputError
from videodepth_ros.geometry.camera import Intrinsics, backproject
from videodepth_ros.messages.image import resized_data

Depth = NDArray[np.float32]
Image = NDArray[np.uint8]

POINT = np.dtype([('x', '<f4'), ('y', '<f4'), ('z', '<f4'), ('rgb', '<u4')])
"""One point; ``rgb`` is declared FLOAT32 in the message but its bits are an integer."""

_FLOAT32 = 7  # sensor_msgs/PointField.FLOAT32
_TILE_BYTES = 1 << 19  # planes of one band of rows: they stay in the second-level cache
_NEAREST_M = 1e-6  # depth at or below zero is unknown


@dataclass
class _Field:
    """A sensor_msgs/PointField for rosbags, which serialises whatever has these fields."""

    name: str
    offset: int
    datatype: int
    count: int


def write_cloud(
    depth_m: Depth, image: Image, camera: Intrinsics, stride: int, max_range_m: float, out: Any
) -> None:
    """Write the points of a depth map into a PointCloud2, in place; the header is the caller's.

    depth_m      (H, W) float32, Z in metres, NaN unknown, +inf nothing hit
    image        (H, W, 3) uint8 RGB; of another size, it is resized to the depth's
    camera       intrinsics at the size of ``depth_m``
    stride       every stride-th row and column is taken
    max_range_m  points with a greater Z are left out (NaN), as are those without depth
    raises       InputError if depth and camera differ in size, or stride is below one
    """
    _check(depth_m, camera, stride)
    z = np.ascontiguousarray(depth_m[::stride, ::stride])
    colours = _colours(image, depth_m.shape, stride)
    height, width = z.shape
    _describe(out, height, width)
    points = resized_data(out, height * width * POINT.itemsize).view(np.float32)
    _fill(points.reshape(height, width, 4), z, colours, camera.strided(stride), max_range_m)


def write_points(points: NDArray[np.float32], out: Any) -> None:
    """Write points that are made already, (H, W, 4) float32 as POINT, into a PointCloud2."""
    height, width, _ = points.shape
    _describe(out, height, width)
    data = resized_data(out, points.nbytes).view(np.float32)
    np.copyto(data.reshape(points.shape), points)


def write_xyz(points_m: NDArray[np.float32], out: Any) -> None:
    """Write points (P, 3) float32 into an unorganised PointCloud2 of x, y, z, in place."""
    points_m = np.ascontiguousarray(points_m, np.float32)
    out.height, out.width = 1, len(points_m)
    out.point_step, out.row_step = 12, 12 * len(points_m)
    out.is_bigendian, out.is_dense = False, True
    _set_fields(out, ('x', 'y', 'z'))
    np.copyto(resized_data(out, points_m.nbytes), points_m.reshape(-1).view(np.uint8))


def reference_cloud(
    depth_m: Depth, image: Image, camera: Intrinsics, stride: int, max_range_m: float
) -> NDArray[np.void]:
    """Return the points of write_cloud, (H', W') of POINT, by plain numpy: its reference."""
    _check(depth_m, camera, stride)
    z = depth_m[::stride, ::stride]
    in_range = (z >= _NEAREST_M) & (z <= max_range_m) & np.isfinite(z)
    xyz = backproject(np.where(in_range, z, np.float32(np.nan)), camera.strided(stride))
    red, green, blue = np.moveaxis(_colours(image, depth_m.shape, stride).astype(np.uint32), -1, 0)
    points = np.empty(xyz.shape[:2], POINT)
    points['x'], points['y'], points['z'] = np.moveaxis(xyz, -1, 0)
    points['rgb'] = red << 16 | green << 8 | blue
    return points


def _check(depth_m: Depth, camera: Intrinsics, stride: int) -> None:
    if depth_m.shape != (camera.height, camera.width):
        raise InputError(
            f'depth is {depth_m.shape[1]}x{depth_m.shape[0]} but the camera is '
            f'{camera.width}x{camera.height}; scale one to the other first'
        )
    if stride < 1:
        raise InputError(f'cloud stride {stride} must be at least 1')


def _colours(image: Image, shape: tuple[int, ...], stride: int) -> Image:
    """Return the colours of the strided grid, (H', W', 3) uint8."""
    if image.shape[:2] != shape:
        image = np.asarray(cv2.resize(image, shape[::-1], interpolation=cv2.INTER_AREA), np.uint8)
    return np.ascontiguousarray(image[::stride, ::stride])


def _fill(
    points: NDArray[np.float32],
    depth_m: Depth,
    colours: Image,
    camera: Intrinsics,
    max_range_m: float,
) -> None:
    """Fill (H', W', 4) float32 points band by band, each of which passes memory only once."""
    height, width = depth_m.shape
    column_slope = (np.arange(width, dtype=np.float32) - camera.cx) / camera.fx
    row_slope = ((np.arange(height, dtype=np.float32) - camera.cy) / camera.fy)[:, None]
    farthest_m = min(max_range_m, float(np.finfo(np.float32).max))
    band = max(1, _TILE_BYTES // (4 * width))
    planes = np.empty((4, min(band, height), width), np.float32)
    for top in range(0, height, band):
        rows = slice(top, min(top + band, height))
        x, y, z, rgb = planes[:, : rows.stop - top]
        in_range = cv2.inRange(depth_m[rows], _NEAREST_M, farthest_m)  # false for NaN
        z.fill(np.nan)
        cv2.copyTo(depth_m[rows], in_range, z)
        np.multiply(z, column_slope, out=x)
        np.multiply(z, row_slope[rows], out=y)
        bits = rgb.view(np.uint32)
        cv2.cvtColor(colours[rows], cv2.COLOR_RGB2BGRA, rgb.view(np.uint8).reshape(*rgb.shape, 4))
        np.bitwise_and(bits, 0x00FFFFFF, out=bits)  # with alpha 255 the float would be a NaN
        cv2.merge([x, y, z, rgb], points[rows])


def _describe(out: Any, height: int, width: int) -> None:
    """Set the fields of a PointCloud2 that do not depend on the points."""
    out.height, out.width = height, width
    out.point_step, out.row_step = POINT.itemsize, width * POINT.itemsize
    out.is_bigendian, out.is_dense = False, False
    _set_fields(out, ('x', 'y', 'z', 'rgb'))


def _set_fields(out: Any, names: tuple[str, ...]) -> None:
    """Set the fields of points of 32-bit floats, unless the message has them."""
    if len(out.fields) != len(names):
        field = _field_class(out)
        out.fields = [
            field(name=name, offset=4 * k, datatype=_FLOAT32, count=1)
            for k, name in enumerate(names)
        ]


def _field_class(out: Any) -> Any:
    """Return the PointField that stands beside the message's own class: rclpy takes no other."""
    package, _, _ = type(out).__module__.rpartition('._')
    return getattr(importlib.import_module(package), 'PointField', _Field) if package else _Field
