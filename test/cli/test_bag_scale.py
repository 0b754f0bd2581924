# SPDX-License-Identifier: Apache-2.0
"""run-bag with a bag whose lidar or odometry gives the scale."""

from __future__ import annotations

import numpy as np
import pytest

from test.scale.test_measurements import CAMERA, SCALE, room_m
from videodepth_ros.bags.reader import open_bag
from videodepth_ros.bags.types import new_message
from videodepth_ros.bags.writer import BagWriter
from videodepth_ros.cli.bag_scale import open_scale, with_evidence
from videodepth_ros.core.errors import ConfigError
from videodepth_ros.frames import Frame, ScaleSource
from videodepth_ros.geometry.rotation import quaternion_from_rotation
from videodepth_ros.messages.transforms import set_stamp
from videodepth_ros.scale.fusion import MEASURED, FusionSettings
from videodepth_ros.scale.mount import MountSettings, mount_from_pitch

STEP_NS = 10**8
ROOM_M = room_m(mount_from_pitch(15.0, 0.6))
IMAGE = np.zeros((96, 128, 3), np.uint8)


@pytest.fixture
def recording(tmp_path):
    """Return a bag with a lidar at the camera, in a frame of its own, 0.6 m above the ground."""
    with BagWriter(tmp_path / 'bag') as writer:
        writer.write_transform(STEP_NS, 'camera', 'lidar', np.eye(4), static=True)
        T_base_cam = np.eye(4)
        T_base_cam[:3, :3] = [[0, 0, 1], [-1, 0, 0], [0, -1, 0]]
        T_base_cam[2, 3] = 0.6
        writer.write_transform(STEP_NS, 'base', 'camera', T_base_cam, static=True)
        for k in range(1, 9):
            writer.write_cloud('lidar/points', k * STEP_NS, 'lidar', ROOM_M, IMAGE, CAMERA, 1, 99)
    return tmp_path / 'bag'


def frames():
    for k in range(1, 9):
        yield Frame(k * STEP_NS, 'camera', IMAGE, CAMERA)


def test_clouds_of_the_bag_give_the_scale(recording):
    with open_bag(recording) as bag:
        scale = open_scale(bag, FusionSettings((ScaleSource.LIDAR,)))
        for frame in with_evidence(frames(), bag, scale):
            scale.offer(frame, SCALE / ROOM_M)
            metres = scale.metres(frame.stamp_ns)
    assert scale.source is ScaleSource.LIDAR
    assert scale.status.accepted == 8
    assert metres == pytest.approx(SCALE, rel=0.01)


def test_transforms_of_the_bag_give_the_height(recording):
    settings = FusionSettings((ScaleSource.CAMERA_HEIGHT,), MountSettings('base'))
    level = room_m(mount_from_pitch(0.0, 0.6))
    with open_bag(recording) as bag:
        scale = open_scale(bag, settings)
        frame = next(with_evidence(frames(), bag, scale))
        scale.offer(frame, SCALE / level)
        assert scale.metres(frame.stamp_ns) == pytest.approx(SCALE, rel=0.02)


def test_a_source_that_is_not_chosen_is_not_read(recording):
    with open_bag(recording) as bag:
        settings = FusionSettings(tuple(s for s in MEASURED if s is ScaleSource.PRIOR))
        scale = open_scale(bag, settings)
        assert len(list(with_evidence(frames(), bag, scale))) == 8
        assert not scale.needs('camera')


def with_scan(writer):
    """A laser that sees the wall before the camera, 4 m away, its x forward."""
    T_cam_laser = np.eye(4)
    T_cam_laser[:3, :3] = [[0, -1, 0], [0, 0, -1], [1, 0, 0]]  # REP-103
    writer.write_transform(STEP_NS, 'camera', 'laser', T_cam_laser, static=True)
    for k in range(1, 9):
        message = new_message('sensor_msgs/msg/LaserScan')
        message.angle_min, message.angle_max, message.angle_increment = -0.4, 0.4, 0.01
        message.range_min, message.range_max = 0.1, 30.0
        angles = message.angle_min + 0.01 * np.arange(81)
        message.ranges = (4.0 / np.cos(angles)).astype(np.float32)
        set_stamp(message.header.stamp, k * STEP_NS)
        message.header.frame_id = 'laser'
        writer.write('scan', k * STEP_NS, message)


def test_a_scan_of_the_bag_gives_the_scale(tmp_path):
    with BagWriter(tmp_path / 'bag') as writer:
        with_scan(writer)
    wall = np.full(ROOM_M.shape, SCALE / 4.0, np.float32)
    with open_bag(tmp_path / 'bag') as bag:
        scale = open_scale(bag, FusionSettings((ScaleSource.LIDAR,)))
        for frame in with_evidence(frames(), bag, scale):
            scale.offer(frame, wall)
            metres = scale.metres(frame.stamp_ns)
    assert scale.status.accepted == 8
    assert metres == pytest.approx(SCALE, rel=0.02)


@pytest.mark.parametrize('has_orientation', [True, False])
def test_an_imu_of_the_bag_gives_down(tmp_path, has_orientation):
    """The IMU is in the frame of the camera, which looks 15 degrees down from 0.6 m."""
    down = mount_from_pitch(15.0).down
    ahead = np.cross([1.0, 0.0, 0.0], down)
    R_world_imu = np.stack([[1.0, 0.0, 0.0], ahead, -down])
    with BagWriter(tmp_path / 'bag') as writer:
        writer.write_transform(STEP_NS, 'camera', 'imu', np.eye(4), static=True)
        for k in range(12):
            message = new_message('sensor_msgs/msg/Imu')
            q = message.orientation
            q.x, q.y, q.z, q.w = quaternion_from_rotation(R_world_imu)
            message.orientation_covariance = np.zeros(9)
            message.orientation_covariance[0] = 0.01 if has_orientation else -1
            set_stamp(message.header.stamp, k * STEP_NS)
            message.header.frame_id = 'imu'
            writer.write('imu/data', k * STEP_NS, message)
    settings = FusionSettings((ScaleSource.CAMERA_HEIGHT,), MountSettings(height_m=0.6))
    with open_bag(tmp_path / 'bag') as bag:
        scale = open_scale(bag, settings)
        for frame in with_evidence(frames(), bag, scale):
            scale.offer(frame, SCALE / ROOM_M)
            metres = scale.metres(frame.stamp_ns)
        assert (bag.lost is None) == has_orientation
    if has_orientation:
        assert metres == pytest.approx(SCALE, rel=0.02)
    else:  # the camera is taken to look ahead
        assert metres is None or metres != pytest.approx(SCALE, rel=0.02)


@pytest.fixture
def depth_recording(tmp_path):
    """Return a bag with a depth image for every second frame."""
    with BagWriter(tmp_path / 'bag') as writer:
        for k in range(1, 9, 2):
            writer.write_camera_info('camera/depth/camera_info', k * STEP_NS, 'camera', CAMERA)
            writer.write_depth('camera/depth/image', k * STEP_NS, 'camera', ROOM_M)
    return tmp_path / 'bag'


@pytest.mark.parametrize(
    ('sources', 'accepted'), [((ScaleSource.DEPTH,), 4), (MEASURED, 0)], ids=['depth', 'auto']
)
def test_depth_of_the_bag_gives_the_scale_if_it_is_chosen(depth_recording, sources, accepted):
    with open_bag(depth_recording) as bag:
        scale = open_scale(bag, FusionSettings(sources))
        for frame in with_evidence(frames(), bag, scale):
            scale.offer(frame, SCALE / ROOM_M)
            metres = scale.metres(frame.stamp_ns)
    assert scale.status.accepted == accepted
    assert metres is None if not accepted else metres == pytest.approx(SCALE, rel=0.01)


def test_a_bag_without_depth_cannot_give_its_scale(recording):
    with open_bag(recording) as bag:
        scale = open_scale(bag, FusionSettings((ScaleSource.DEPTH,)))
        with pytest.raises(ConfigError, match='--scale-source depth needs one topic'):
            list(with_evidence(frames(), bag, scale))
