# SPDX-License-Identifier: Apache-2.0
"""Stamps, poses and transforms: message fields <-> integer nanoseconds and 4x4 matrices.

A pose of the camera in the map and the transform with parent map and child camera are the same
numbers: T_map_cam. Quaternions are (x, y, z, w), of length one, and written with w >= 0, for q and
-q are the same rotation and sign changes disturb filters.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.core.errors import InputError
from videodepth_ros.geometry.rotation import quaternion_from_rotation, rotation_from_quaternion

Matrix = NDArray[np.float64]

_NS = 1_000_000_000


def stamp_ns(stamp: Any) -> int:
    """Return a builtin_interfaces/Time (or a Duration) in nanoseconds."""
    return int(stamp.sec) * _NS + int(stamp.nanosec)


def set_stamp(stamp: Any, ns: int) -> None:
    """Write nanoseconds into a builtin_interfaces/Time, in place.

    raises  InputError if the time does not fit its 32-bit seconds
    """
    if not 0 <= ns < 2**31 * _NS:
        raise InputError(
            f'time {ns} ns is not between 0 and 2**31 s, which is what a ROS stamp '
            'can hold; check the clock of the source'
        )
    stamp.sec, stamp.nanosec = divmod(int(ns), _NS)


def _matrix(position: Any, rotation: Any) -> Matrix:
    T = np.eye(4)
    T[:3, :3] = rotation_from_quaternion(rotation.x, rotation.y, rotation.z, rotation.w)
    T[:3, 3] = position.x, position.y, position.z
    return T


def _fill(position: Any, rotation: Any, T: Matrix) -> None:
    rotation.x, rotation.y, rotation.z, rotation.w = quaternion_from_rotation(T[:3, :3])
    position.x, position.y, position.z = T[:3, 3].tolist()


def matrix_from_pose(pose: Any) -> Matrix:
    """Return T_parent_child, (4, 4) float64, of a geometry_msgs/Pose."""
    return _matrix(pose.position, pose.orientation)


def matrix_from_transform(transform: Any) -> Matrix:
    """Return T_parent_child, (4, 4) float64, of a geometry_msgs/Transform."""
    return _matrix(transform.translation, transform.rotation)


def orientation_from_imu(message: Any) -> Matrix:
    """Return R_world_imu, (3, 3) float64, of a sensor_msgs/Imu.

    raises  InputError if it has no orientation
    """
    if message.orientation_covariance[0] == -1:
        raise InputError(
            'the IMU gives no orientation (orientation_covariance[0] is -1, sensor_msgs/Imu); '
            'filter it, as with imu_filter_madgwick'
        )
    q = message.orientation
    return rotation_from_quaternion(q.x, q.y, q.z, q.w)


def fill_pose(pose: Any, T_parent_child: Matrix) -> None:
    """Write T_parent_child, (4, 4), into a geometry_msgs/Pose; InputError if it is no rotation."""
    _fill(pose.position, pose.orientation, T_parent_child)


def fill_transform(transform: Any, T_parent_child: Matrix) -> None:
    """Write T_parent_child, (4, 4), into a geometry_msgs/Transform; InputError as fill_pose."""
    _fill(transform.translation, transform.rotation, T_parent_child)
