# SPDX-License-Identifier: Apache-2.0
"""The fast cloud equals the plain one, and its bytes are what consumers read."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from videodepth_ros.bags.types import new_message
from videodepth_ros.core.errors import InputError
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.messages.cloud import (
    POINT,
    reference_cloud,
    write_cloud,
    write_points,
    write_xyz,
)
from videodepth_ros.messages.cloud_points import points_from_cloud


def empty_cloud(library):
    if library == 'rosbags':
        return new_message('sensor_msgs/msg/PointCloud2')
    return pytest.importorskip('sensor_msgs.msg', reason='ROS is not installed').PointCloud2()


def scene(seed, width, height):
    random = np.random.default_rng(seed)
    depth_m = random.uniform(0.1, 40, (height, width)).astype(np.float32)
    depth_m[random.random(depth_m.shape) < 0.1] = np.nan
    depth_m[random.random(depth_m.shape) < 0.1] = np.inf
    depth_m[random.random(depth_m.shape) < 0.05] = 0
    image = random.integers(0, 256, (height, width, 3), np.uint8)
    camera = Intrinsics(width, height, 0.8 * width, 0.79 * width, width / 2, height / 3)
    return depth_m, image, camera


def points_of(msg):
    return np.frombuffer(msg.data, POINT).reshape(msg.height, msg.width)


@pytest.mark.parametrize('library', ['rosbags', 'rclpy'])
@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    width=st.integers(1, 70),
    height=st.integers(1, 50),
    stride=st.integers(1, 9),
    max_range_m=st.sampled_from([5.0, 20.1, 100.0, np.inf]),
)
def test_the_fast_cloud_equals_the_plain_one(library, seed, width, height, stride, max_range_m):
    depth_m, image, camera = scene(seed, width, height)
    msg = empty_cloud(library)
    write_cloud(depth_m, image, camera, stride, max_range_m, msg)
    plain = reference_cloud(depth_m, image, camera, stride, max_range_m)
    got = points_of(msg)
    assert got.shape == plain.shape
    for name in ('x', 'y', 'z', 'rgb'):  # the same products of the same float32: no tolerance
        np.testing.assert_array_equal(got[name], plain[name])


def test_a_large_cloud_is_filled_band_by_band_without_a_seam():
    depth_m, image, camera = scene(1, 1500, 300)
    msg = empty_cloud('rosbags')
    write_cloud(depth_m, image, camera, 1, 30.0, msg)
    plain = reference_cloud(depth_m, image, camera, 1, 30.0)
    assert msg.data.tobytes() == plain.tobytes() or all(
        np.array_equal(points_of(msg)[name], plain[name], equal_nan=name != 'rgb')
        for name in ('x', 'y', 'z', 'rgb')
    )


@pytest.mark.parametrize('library', ['rosbags', 'rclpy'])
def test_the_message_describes_its_bytes(library):
    depth_m = np.full((3, 5), 2.0, np.float32)
    image = np.zeros((3, 5, 3), np.uint8)
    image[1, 4] = 0x11, 0xFE, 0x33
    msg = empty_cloud(library)
    write_cloud(depth_m, image, Intrinsics(5, 3, 10.0, 10.0, 2.0, 1.0), 1, 10.0, msg)
    assert (msg.height, msg.width, msg.point_step, msg.row_step) == (3, 5, 16, 80)
    assert (msg.is_dense, msg.is_bigendian, len(msg.data)) == (False, False, 240)
    assert [(f.name, f.offset, f.datatype, f.count) for f in msg.fields] == [
        ('x', 0, 7, 1),
        ('y', 4, 7, 1),
        ('z', 8, 7, 1),
        ('rgb', 12, 7, 1),
    ]
    raw = np.frombuffer(msg.data, '<f4').reshape(3, 5, 4)
    np.testing.assert_allclose(raw[1, 4, :3], [2.0 * (4 - 2) / 10, 0.0, 2.0])
    assert raw[1, 4, 3:].view('<u4')[0] == 0x0011FE33
    buffer = msg.data
    write_cloud(depth_m, image, Intrinsics(5, 3, 10.0, 10.0, 2.0, 1.0), 1, 10.0, msg)
    assert msg.data is buffer


def test_rclpy_serialises_the_cloud():
    serialization = pytest.importorskip('rclpy.serialization', reason='ROS is not installed')
    msg = empty_cloud('rclpy')
    write_cloud(*scene(3, 16, 12), 2, 50.0, msg)
    again = serialization.deserialize_message(serialization.serialize_message(msg), type(msg))
    assert again == msg


def test_points_out_of_range_are_nan_but_keep_their_colour():
    depth_m = np.array([[1.0, 10.0, 10.5, np.inf, np.nan, 0.0, -1.0]], np.float32)
    image = np.full((1, 7, 3), 255, np.uint8)
    msg = empty_cloud('rosbags')
    write_cloud(depth_m, image, Intrinsics(7, 1, 5.0, 5.0, 3.0, 0.0), 1, 10.0, msg)
    points = points_of(msg)[0]
    np.testing.assert_array_equal(np.isfinite(points['x']), [1, 1, 0, 0, 0, 0, 0])
    np.testing.assert_array_equal(np.isnan(points['z']), [0, 0, 1, 1, 1, 1, 1])
    assert set(points['rgb']) == {0x00FFFFFF}


def test_a_strided_point_is_the_point_of_its_pixel():
    depth_m, image, camera = scene(7, 40, 30)
    whole, part = empty_cloud('rosbags'), empty_cloud('rosbags')
    write_cloud(depth_m, image, camera, 1, 30.0, whole)
    write_cloud(depth_m, image, camera, 3, 30.0, part)
    sampled = points_of(whole)[::3, ::3]
    for name in ('x', 'y', 'z'):  # slopes are rounded at another magnitude
        np.testing.assert_allclose(points_of(part)[name], sampled[name], rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(points_of(part)['rgb'], sampled['rgb'])


@pytest.mark.parametrize('library', ['rosbags', 'rclpy'])
def test_points_that_are_made_already_become_the_same_message(library):
    depth_m, image, camera = scene(8, 16, 12)
    made, taken = empty_cloud(library), empty_cloud(library)
    write_cloud(depth_m, image, camera, 1, 30.0, made)
    points = np.frombuffer(made.data, np.float32).reshape(12, 16, 4).copy()
    write_points(points, taken)
    assert bytes(taken.data) == bytes(made.data)
    for name in ('height', 'width', 'point_step', 'row_step', 'is_bigendian', 'is_dense'):
        assert getattr(taken, name) == getattr(made, name)
    assert [field.name for field in taken.fields] == ['x', 'y', 'z', 'rgb']


def test_an_image_of_another_size_is_brought_to_the_size_of_the_depth():
    depth_m = np.ones((2, 2), np.float32)
    image = np.repeat(
        np.repeat(np.array([[[10] * 3, [20] * 3], [[30] * 3, [40] * 3]], np.uint8), 4, axis=0),
        4,
        axis=1,
    )
    msg = empty_cloud('rosbags')
    write_cloud(depth_m, image, Intrinsics(2, 2, 1.0, 1.0, 0.5, 0.5), 1, 10.0, msg)
    np.testing.assert_array_equal(points_of(msg)['rgb'] & 0xFF, [[10, 20], [30, 40]])


def test_what_does_not_fit_is_refused():
    depth_m, image, camera = scene(1, 8, 6)
    msg = empty_cloud('rosbags')
    with pytest.raises(InputError, match='depth is 8x5 but the camera is 8x6'):
        write_cloud(depth_m[:5], image, camera, 1, 10.0, msg)
    with pytest.raises(InputError, match='stride 0'):
        write_cloud(depth_m, image, camera, 0, 10.0, msg)


@pytest.mark.parametrize('library', ['rosbags', 'rclpy'])
def test_an_unorganised_cloud_has_its_points(library):
    message = empty_cloud(library)
    for count in (5, 0, 3):
        points = np.random.default_rng(count).normal(size=(count, 3)).astype(np.float32)
        write_xyz(points, message)
        assert (message.height, message.width, message.is_dense) == (1, count, True)
        np.testing.assert_array_equal(points_from_cloud(message), points)
