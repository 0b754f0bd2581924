# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from videodepth_ros.bags.frame_tree import read_frame_tree
from videodepth_ros.bags.reader import open_bag
from videodepth_ros.bags.types import new_message
from videodepth_ros.bags.writer import BagWriter
from videodepth_ros.core.errors import InputError
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.geometry.rotation import so3_exp
from videodepth_ros.messages.cloud_points import points_from_cloud
from videodepth_ros.messages.transforms import fill_pose, set_stamp
from videodepth_ros.refine.lidar import find_lidar_topics, project_lidar, rasterize_depth
from videodepth_ros.refine.odometry import read_camera_odometry

STAMPS = np.arange(5, dtype=np.int64) * 10**8 + 10**9
FIRST_NS, LIDAR_NS = 10**9, 12 * 10**8 + 10**7
CAMERA = Intrinsics(8, 6, 8.0, 8.0, 4.0, 3.0)


def rigid(turn, place):
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = so3_exp(np.array(turn)), place
    return T


T_BASE_CAM = rigid([-np.pi / 2, 0, 0], [0.2, 0, 0.5])
T_BASE_LIDAR = rigid([0, 0, 0.1], [0, 0, 0.8])
T_ODOM_BASE = [rigid([0, 0, 0.05 * n], [0.1 * n, 0.02 * n * n, 0]) for n in range(len(STAMPS))]


def odometry(stamp_ns, T):
    message = new_message('nav_msgs/msg/Odometry')
    set_stamp(message.header.stamp, stamp_ns)
    message.header.frame_id, message.child_frame_id = 'odom', 'base'
    fill_pose(message.pose.pose, T)
    return message


def cloud(stamp_ns, points, frame='lidar'):
    message = new_message('sensor_msgs/msg/PointCloud2')
    set_stamp(message.header.stamp, stamp_ns)
    message.header.frame_id = frame
    for offset, name in enumerate('xyz'):
        field = new_message('sensor_msgs/msg/PointField')
        field.name, field.offset, field.datatype, field.count = name, 4 * offset, 7, 1
        message.fields.append(field)
    message.height, message.width, message.point_step = 1, len(points), 16
    message.row_step = 16 * len(points)
    packed = np.zeros((len(points), 4), '<f4')
    packed[:, :3] = points
    message.data = packed.view(np.uint8).ravel()
    return message


def record(path, *, topic=True, tf=False, lidar=None):
    with BagWriter(path) as writer:
        writer.write_transform(FIRST_NS, 'base', 'cam', T_BASE_CAM, static=True)
        writer.write_transform(FIRST_NS, 'base', 'lidar', T_BASE_LIDAR, static=True)
        for ns, T in zip(STAMPS.tolist(), T_ODOM_BASE, strict=True):
            if topic:
                writer.write('/odom', ns, odometry(ns, T))
            if tf:
                writer.write_transform(ns, 'odom', 'base', T)
        if lidar is not None:
            writer.write('/points', LIDAR_NS, cloud(LIDAR_NS, lidar))
    return path


@pytest.mark.parametrize('how', [{'topic': True}, {'topic': False, 'tf': True}])
def test_odometry_reaches_the_camera(tmp_path, how):
    with open_bag(record(tmp_path / 'bag', **how)) as bag:
        motion = read_camera_odometry(bag, read_frame_tree(bag), 'cam', STAMPS)
    assert [(one.i, one.j) for one in motion.steps] == [(0, 1), (1, 2), (2, 3), (3, 4)]
    T_odom_cam = [T @ T_BASE_CAM for T in T_ODOM_BASE]
    for one in motion.steps:
        expected = np.linalg.inv(T_odom_cam[one.i]) @ T_odom_cam[one.j]
        np.testing.assert_allclose(one.T_i_j, expected, atol=1e-9)


def test_frames_beyond_the_odometry_have_no_motion(tmp_path):
    with open_bag(record(tmp_path / 'bag')) as bag:
        late = read_camera_odometry(bag, read_frame_tree(bag), 'cam', STAMPS + 3 * 10**8)
    assert [(one.i, one.j) for one in late.steps] == [(0, 1)]


def test_odometry_unconnected_to_the_camera_is_not_used(tmp_path):
    with open_bag(record(tmp_path / 'bag')) as bag:
        assert read_camera_odometry(bag, read_frame_tree(bag), 'other', STAMPS) is None


def test_known_poses_are_no_odometry(tmp_path):
    with BagWriter(tmp_path / 'bag') as writer:
        for ns, T in zip(STAMPS.tolist(), T_ODOM_BASE, strict=True):
            writer.write_transform(ns, 'map', 'cam', T)
    with open_bag(tmp_path / 'bag') as bag:
        assert read_camera_odometry(bag, read_frame_tree(bag), 'cam', STAMPS) is None


def test_a_lidar_gives_depth_where_its_points_fall(tmp_path):
    in_camera = np.array([[0.0, 0, 2], [0.5, 0, 2], [0.0, 0, 4], [0, 0, -3], [50, 0, 2]])
    T_lidar_cam = np.linalg.inv(T_BASE_LIDAR) @ T_BASE_CAM
    points = in_camera @ T_lidar_cam[:3, :3].T + T_lidar_cam[:3, 3]
    points = np.vstack([points, np.full((1, 3), np.nan)])
    with open_bag(record(tmp_path / 'bag', lidar=points)) as bag:
        tree = read_frame_tree(bag)
        assert find_lidar_topics(bag, tree, 'cam') == ['/points']
        ((frame, depth),) = project_lidar(bag, ['/points'], tree, 'cam', [CAMERA] * 5, STAMPS)
    assert frame == 2
    expected = np.full((6, 8), np.nan, np.float32)
    expected[3, 4] = expected[3, 6] = 2
    np.testing.assert_allclose(depth, expected, rtol=1e-6)


def test_a_cloud_in_the_frame_of_the_camera_is_no_lidar(tmp_path):
    with BagWriter(tmp_path / 'bag') as writer:
        writer.write('/depth/points', FIRST_NS, cloud(FIRST_NS, np.ones((3, 3)), frame='cam'))
    with open_bag(tmp_path / 'bag') as bag:
        assert find_lidar_topics(bag, read_frame_tree(bag), 'cam') == []


def test_the_nearest_point_of_a_pixel_counts():
    depth = rasterize_depth(np.array([[0, 0, 5.0], [0, 0, 3.0], [0, 0, 4.0]]), CAMERA)
    assert np.nanmin(depth) == 3
    assert np.isfinite(depth).sum() == 1


def test_a_cloud_without_float_coordinates_is_refused():
    message = cloud(0, np.ones((1, 3)))
    message.fields = message.fields[:2]
    with pytest.raises(InputError, match='no float32 or float64 x, y and z'):
        points_from_cloud(message)


def test_a_cloud_of_doubles_is_read():
    message, points = cloud(0, np.zeros((2, 3))), np.arange(6.0).reshape(2, 3) / 7
    for number, field in enumerate(message.fields):
        field.offset, field.datatype = 8 * number, 8
    message.point_step, message.row_step, message.data = 24, 48, points.view(np.uint8).ravel()
    np.testing.assert_array_equal(points_from_cloud(message), points)


@pytest.mark.parametrize('wrong', [{'point_step': 8}, {'width': 5}, {'height': 2}])
def test_a_cloud_of_another_size_than_stated_is_rejected(wrong):
    message = cloud(0, np.ones((3, 3)))
    for name, value in wrong.items():
        setattr(message, name, value)
    with pytest.raises(InputError, match='does not match its steps'):
        points_from_cloud(message)


def test_an_invalid_cloud_gets_a_note(tmp_path):
    with BagWriter(tmp_path / 'bag') as writer:
        writer.write_transform(FIRST_NS, 'base', 'lidar', T_BASE_LIDAR, static=True)
        writer.write_transform(FIRST_NS, 'base', 'cam', T_BASE_CAM, static=True)
        whole, broken = (cloud(LIDAR_NS, np.ones((3, 3))) for _ in range(2))
        broken.height = 7
        for topic, messages in (('/good', [whole, broken]), ('/bad', [broken])):
            for message in messages:
                writer.write(topic, LIDAR_NS, message)
    with open_bag(tmp_path / 'bag') as bag:
        tree = read_frame_tree(bag)
        assert find_lidar_topics(bag, tree, 'cam') == ['/good']
        assert '/bad was not used: cloud in' in bag.lost
        assert len(list(project_lidar(bag, ['/good'], tree, 'cam', [CAMERA] * 5, STAMPS))) == 1
