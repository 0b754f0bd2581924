# SPDX-License-Identifier: Apache-2.0
"""Obstacles and scan of the live node: a box two metres ahead of the camera."""

from __future__ import annotations

import numpy as np
import pytest
from geometry_msgs.msg import TransformStamped
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import LaserScan, PointCloud2
from tf2_msgs.msg import TFMessage

from test.support.instant_engine import NEAR_M
from test.support.rig import image_message
from videodepth_ros.messages.cloud_points import points_from_cloud
from videodepth_ros.messages.transforms import fill_transform, stamp_ns
from videodepth_ros.nodes.obstacle_publishers import ObstaclePublishers

AHEAD_M, HEIGHT_M = 0.1, 0.5
FACTOR = 1.3
BOX_M = 0.8 * FACTOR * NEAR_M  # without camera_info's focal length; the wall is out of range
METRIC = {'scale__source': 'fixed', 'scale__factor': FACTOR, 'scale__steady': 'never'}


T_BASE_CAM = np.array([[0, 0, 1, AHEAD_M], [-1, 0, 0, 0], [0, -1, 0, HEIGHT_M], [0, 0, 0, 1.0]])


def transform(parent, child, T, header=None):
    found = TransformStamped(child_frame_id=child)
    if header is not None:
        found.header.stamp = header.stamp
    found.header.frame_id = parent
    fill_transform(found.transform, T)
    return found


def publish_static(rig, *transforms):
    qos = QoSProfile(
        depth=1,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL,
    )
    publisher = rig.peer.create_publisher(TFMessage, '/tf_static', qos)
    publisher.publish(TFMessage(transforms=list(transforms)))
    return publisher


def publish_mount(rig):
    return publish_static(rig, transform('base_footprint', 'camera', T_BASE_CAM))


def sent_with_mount(rig, images):
    """Return the header of an image that is sent when the mount of the camera is known."""
    fused = rig.node._scale.fused
    rig.until(lambda: fused.mounts.base_frame('camera'))
    return rig.send(images).header


def test_obstacles_and_scan_are_published_in_the_base_frame(make_rig):
    rig = make_rig(obstacles__frame='base', **METRIC)
    rig.start()
    clouds, scans = rig.consume('obstacles', PointCloud2), rig.consume('scan', LaserScan)
    publisher = publish_mount(rig)
    images = rig.connect()
    header = sent_with_mount(rig, images)
    rig.until(lambda: clouds and scans)
    assert clouds[0].header.stamp == scans[0].header.stamp == header.stamp
    assert clouds[0].header.frame_id == scans[0].header.frame_id == 'base_footprint'
    points = points_from_cloud(clouds[0])
    assert len(points) > 5
    assert points[:, 0] == pytest.approx(BOX_M + AHEAD_M, abs=0.05)
    assert (points[:, 2] > HEIGHT_M - 0.05).all()  # the box is above the optical axis
    ranges = np.array(scans[0].ranges)
    assert np.nanmin(ranges) == pytest.approx(BOX_M + AHEAD_M, abs=0.05)
    beams = np.flatnonzero(np.isfinite(ranges))
    assert 178 <= beams.min() <= 181  # from the middle ...
    assert 192 < beams.max() < 198  # ... to the left
    rig.peer.destroy_publisher(publisher)


def test_without_a_base_frame_there_are_obstacles_but_no_scan(make_rig, monkeypatch):
    missing: list[str] = []
    monkeypatch.setattr(ObstaclePublishers, '_warn', lambda _, name, why: missing.append(name))
    rig = make_rig(scale__camera_height_m=HEIGHT_M, **METRIC)
    rig.start()
    clouds, scans = rig.consume('obstacles', PointCloud2), rig.consume('scan', LaserScan)
    images = rig.connect()
    sent = rig.send(images)
    rig.until(lambda: clouds)
    assert clouds[0].header == sent.header
    points = points_from_cloud(clouds[0])
    assert len(points) > 5
    assert points[:, 2] == pytest.approx(BOX_M, abs=0.05)
    assert not scans
    assert set(missing) == {'scan'}


@pytest.mark.parametrize('base_frame', ['', 'base_link'])
def test_the_base_frame_of_a_driving_robot(make_rig, base_frame):
    """The camera hangs on base_link, 0.2 m above base_footprint, which odom moves."""
    rig = make_rig(obstacles__frame='base', base_frame=base_frame, **METRIC)
    rig.start()
    clouds, scans = rig.consume('obstacles', PointCloud2), rig.consume('scan', LaserScan)
    raised = np.eye(4)
    raised[2, 3] = 0.0 if base_frame else 0.2
    T_link_cam = np.linalg.inv(raised) @ T_BASE_CAM
    publisher = publish_static(
        rig,
        transform('base_footprint', 'base_link', raised),
        transform('base_link', 'camera', T_link_cam),
    )
    images = rig.connect()
    moving = rig.peer.create_publisher(TFMessage, '/tf', 10)
    rig.until(lambda: moving.get_subscription_count())
    fused = rig.node._scale.fused
    rig.until(lambda: 'base_footprint' in fused.transforms.parents('camera'))
    for k in range(2):
        message, moved = image_message(k), np.eye(4)
        moved[0, 3] = 0.02 * k
        at_ns = stamp_ns(message.header.stamp)
        odom = transform('odom', 'base_footprint', moved, message.header)
        moving.publish(TFMessage(transforms=[odom]))
        rig.until(lambda at_ns=at_ns: fused.pose('camera', at_ns) is not None)
        rig.send(images, message)
    rig.until(lambda: len(clouds) == 2 and len(scans) == 2)
    frame = base_frame or 'base_footprint'
    assert clouds[1].header.frame_id == scans[1].header.frame_id == frame
    points = points_from_cloud(clouds[1])
    assert points[:, 0] == pytest.approx(BOX_M + AHEAD_M, abs=0.05)
    assert (points[:, 2] > HEIGHT_M - 0.05).all()
    assert np.nanmin(scans[1].ranges) == pytest.approx(BOX_M + AHEAD_M, abs=0.05)
    rig.peer.destroy_publisher(publisher)
