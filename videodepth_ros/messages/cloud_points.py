# SPDX-License-Identifier: Apache-2.0
"""Points of a sensor_msgs/PointCloud2 of any layout."""

from __future__ import annotations

from typing import Any

import numpy as np

from videodepth_ros.core.arrays import Float64Array
from videodepth_ros.core.errors import InputError

FLOAT_TYPES = {7: 'f4', 8: 'f8'}
"""numpy type of the floating-point datatypes of sensor_msgs/PointField."""


def points_from_cloud(message: Any) -> Float64Array:
    """Return the finite points (P, 3) float64 of a sensor_msgs/PointCloud2.

    raises  InputError if x, y and z are not floats, or the data has another size than stated
    """
    fields = {field.name: field for field in message.fields if field.datatype in FLOAT_TYPES}
    if not {'x', 'y', 'z'} <= set(fields):
        raise InputError(
            f'cloud in {message.header.frame_id!r} has no float32 or float64 x, y '
            'and z; it cannot give depth'
        )
    axes = [fields[axis] for axis in 'xyz']
    order = '>' if message.is_bigendian else '<'
    formats = [order + FLOAT_TYPES[axis.datatype] for axis in axes]
    ends = [
        axis.offset + np.dtype(form).itemsize for axis, form in zip(axes, formats, strict=True)
    ]
    if (
        max(ends) > message.point_step
        or message.width * message.point_step > message.row_step
        or message.height * message.row_step != len(message.data)
    ):
        raise InputError(
            f'cloud in {message.header.frame_id!r} of {message.width} x '
            f'{message.height} points has {len(message.data)} bytes, which does not match its '
            f'steps {message.point_step} and {message.row_step}'
        )
    layout = np.dtype(
        {
            'names': ['x', 'y', 'z'],
            'formats': formats,
            'offsets': [axis.offset for axis in axes],
            'itemsize': message.point_step,
        }
    )
    rows = np.frombuffer(bytes(message.data), np.uint8).reshape(message.height, message.row_step)
    packed = np.ascontiguousarray(rows[:, : message.width * message.point_step]).view(layout)
    points = np.stack([packed[axis].ravel() for axis in 'xyz'], axis=1).astype(np.float64)
    return points[np.isfinite(points).all(axis=1)]
