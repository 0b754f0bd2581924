# SPDX-License-Identifier: Apache-2.0
"""Stamps, quaternions, poses and transforms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from videodepth_ros.bags.types import new_message
from videodepth_ros.core.errors import InputError
from videodepth_ros.geometry.rotation import quaternion_from_rotation, rotation_from_quaternion
from videodepth_ros.messages.transforms import (
    fill_pose,
    fill_transform,
    matrix_from_pose,
    matrix_from_transform,
    set_stamp,
    stamp_ns,
)

unit = st.floats(-1, 1)
quaternions = st.tuples(unit, unit, unit, unit).filter(lambda q: np.linalg.norm(q) > 1e-3)


def message(library, package, name):
    if library == 'rosbags':
        return new_message(f'{package}/msg/{name}')
    module = pytest.importorskip(f'{package}.msg', reason='ROS is not installed')
    return getattr(module, name)()


LIBRARIES = pytest.mark.parametrize('library', ['rosbags', 'rclpy'])


@LIBRARIES
@given(ns=st.integers(0, 2**31 * 10**9 - 1))
def test_stamps(library, ns):
    stamp = message(library, 'builtin_interfaces', 'Time')
    set_stamp(stamp, ns)
    assert 0 <= stamp.nanosec < 10**9
    assert stamp_ns(stamp) == ns


@pytest.mark.parametrize('ns', [-1, 2**31 * 10**9])
def test_a_time_that_does_not_fit_is_refused(ns):
    with pytest.raises(InputError, match=str(ns)):
        set_stamp(message('rosbags', 'builtin_interfaces', 'Time'), ns)


@given(q=quaternions)
def test_a_quaternion_gives_a_rotation_and_back(q):
    R = rotation_from_quaternion(*q)
    np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(R) > 0
    back = np.array(quaternion_from_rotation(R))
    expected = np.array(q) / np.linalg.norm(q)
    assert back[3] >= 0
    assert np.linalg.norm(back) == pytest.approx(1)
    assert min(np.abs(back - expected).max(), np.abs(back + expected).max()) < 1e-7


@given(q=quaternions, p=quaternions)
def test_products_of_quaternions_are_products_of_rotations(q, p):
    x, y, z, w = q
    a, b, c, d = p  # Hamilton's product q p
    product = (
        w * a + x * d + y * c - z * b,
        w * b - x * c + y * d + z * a,
        w * c + x * b - y * a + z * d,
        w * d - x * a - y * b - z * c,
    )
    np.testing.assert_allclose(
        rotation_from_quaternion(*product),
        rotation_from_quaternion(*q) @ rotation_from_quaternion(*p),
        atol=1e-9,
    )


def test_a_quarter_turn_about_z_takes_x_to_y():
    R = rotation_from_quaternion(0, 0, np.sqrt(0.5), np.sqrt(0.5))
    np.testing.assert_allclose(R @ [1, 0, 0], [0, 1, 0], atol=1e-12)


@LIBRARIES
@given(q=quaternions, t=st.tuples(*[st.floats(-1e3, 1e3)] * 3))
def test_poses_and_transforms(library, q, t):
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = rotation_from_quaternion(*q), t
    pose = message(library, 'geometry_msgs', 'Pose')
    fill_pose(pose, T)
    np.testing.assert_allclose(matrix_from_pose(pose), T, atol=1e-9)
    transform = message(library, 'geometry_msgs', 'Transform')
    fill_transform(transform, T)
    np.testing.assert_allclose(matrix_from_transform(transform), T, atol=1e-9)


def test_what_is_no_rotation_is_refused():
    with pytest.raises(InputError, match='no rotation'):
        matrix_from_pose(new_message('geometry_msgs/msg/Pose'))  # all zero: nobody filled it
    with pytest.raises(InputError, match='not a rotation'):
        quaternion_from_rotation(np.diag([1.0, 1.0, -1.0]))
    with pytest.raises(InputError, match='not a rotation'):
        quaternion_from_rotation(np.diag([2.0, 1.0, 1.0]))
