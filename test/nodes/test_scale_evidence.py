# SPDX-License-Identifier: Apache-2.0
"""Evidence of the scale on the graph: a lidar, a transform, and what status reports of it."""

from __future__ import annotations

import numpy as np
import pytest
from geometry_msgs.msg import TransformStamped
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import LaserScan
from tf2_msgs.msg import TFMessage

from videodepth_ros.frames import ScaleSource
from videodepth_ros.messages.transforms import fill_transform, set_stamp


def scan_at(stamp_ns, range_m=4.0):
    """Return the scan of a wall that is ``range_m`` before a lidar with x forward."""
    message = LaserScan(angle_min=-0.4, angle_max=0.4, angle_increment=0.01)
    message.range_min, message.range_max = 0.1, 30.0
    angles = message.angle_min + 0.01 * np.arange(81)
    message.ranges = (range_m / np.cos(angles)).tolist()
    set_stamp(message.header.stamp, stamp_ns)
    message.header.frame_id = 'laser'
    return message


@pytest.mark.timeout(120)
def test_a_scan_gives_the_scale(make_rig):
    rig = make_rig(scale__source='lidar')
    rig.start()
    images = rig.connect()
    scans = rig.peer.create_publisher(LaserScan, 'scale/scan', 10)
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    static = rig.peer.create_publisher(TFMessage, '/tf_static', latched)
    rig.send(images)
    rig.until(lambda: len(rig.received['depth/image']) == 1)
    T_cam_laser = np.eye(4)
    T_cam_laser[:3, :3] = [[0, -1, 0], [0, 0, -1], [1, 0, 0]]  # REP-103
    transform = TransformStamped(child_frame_id='laser')
    transform.header.frame_id = rig.received['depth/image'][0].header.frame_id
    fill_transform(transform.transform, T_cam_laser)
    static.publish(TFMessage(transforms=[transform]))
    rig.until(lambda: scans.get_subscription_count() == 1)
    rig.until(lambda: static.get_subscription_count() == 1)
    transforms = rig.node._scale.fused.transforms
    rig.until(lambda: transforms.parents('laser') != ['laser'])
    fused = rig.node._scale.fused
    evidence = fused._depth[ScaleSource.LIDAR]
    for k in range(1, 4):
        stamp = rig.received['depth/image'][-1].header.stamp
        scans.publish(scan_at(stamp.sec * 10**9 + stamp.nanosec + 33_000_000))
        rig.until(lambda: evidence._waiting or fused.status.accepted)
        rig.send(images)
        rig.until(lambda k=k: len(rig.received['depth/image']) == k + 1)
    status = rig.node.status()
    assert status.scale_source == 'lidar'
    assert status.scale_accepted >= 1
    depth = np.frombuffer(rig.received['depth/image'][-1].data, np.float32)
    assert np.nanmedian(depth) == pytest.approx(4.0, rel=0.05)
