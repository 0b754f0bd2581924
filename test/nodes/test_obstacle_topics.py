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
from videodepth_ros.messages.cloud_points import points_from_cloud
from videodepth_ros.messages.transforms import fill_transform

AHEAD_M, HEIGHT_M = 0.1, 0.5
FACTOR = 1.3
BOX_M = 0.8 * FACTOR * NEAR_M  # without camera_info's focal length; the wall is out of range
METRIC = {'scale__source': 'fixed', 'scale__factor': FACTOR, 'scale__steady': 'never'}


def publish_mount(rig):
    qos = QoSProfile(
        depth=1,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL,
    )
    T = np.array([[0, 0, 1, AHEAD_M], [-1, 0, 0, 0], [0, -1, 0, HEIGHT_M], [0, 0, 0, 1.0]])
    mount = TransformStamped(child_frame_id='camera')
    mount.header.frame_id = 'base_footprint'
    fill_transform(mount.transform, T)
    publisher = rig.peer.create_publisher(TFMessage, '/tf_static', qos)
    publisher.publish(TFMessage(transforms=[mount]))
    return publisher


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


def test_without_a_base_frame_there_are_obstacles_but_no_scan(make_rig):
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
