# SPDX-License-Identifier: Apache-2.0
"""Video topics in the live node: decoded in order, before images are displaced."""

from __future__ import annotations

import numpy as np
import pytest
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image

from test.support.video_packets import KEY_PERIOD, encoded

QOS = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)
BURST = 5  # depth of a reliable subscription


def compressed(k: int, data: bytes) -> CompressedImage:
    sent = CompressedImage(format='h264', data=data)
    sent.header.stamp.sec, sent.header.stamp.nanosec = 1, k * 30_000_000
    sent.header.frame_id = 'camera'
    return sent


def foxglove(k: int, data: bytes):
    messages = pytest.importorskip('foxglove_msgs.msg', reason='foxglove_msgs is not installed')
    sent = messages.CompressedVideo(frame_id='camera', format='h264', data=data)
    sent.timestamp.sec, sent.timestamp.nanosec = 1, k * 30_000_000
    return sent


@pytest.mark.parametrize(
    ('topic', 'make'),
    [('image/compressed', compressed), ('image/foxglove', foxglove), ('image', foxglove)],
)
def test_each_packet_becomes_depth_with_its_stamp(rig, topic, make):
    packets = encoded('h264')
    video = rig.peer.create_publisher(type(make(0, packets[0])), topic, QOS)
    depths = rig.consume('depth/image', Image)
    rig.until(lambda: video.get_subscription_count() == 1)
    for k in range(3):
        rig.send(video, make(k, packets[k]))
    rig.until(lambda: len(depths) == 3)
    assert [depth.header.stamp.nanosec for depth in depths] == [0, 30_000_000, 60_000_000]
    assert {depth.header.frame_id for depth in depths} == {'camera'}
    assert rig.counts.rejected == 0


def test_packets_are_decoded_though_their_images_are_displaced(rig):
    packets = encoded('h264')
    video = rig.peer.create_publisher(CompressedImage, 'image/compressed', QOS)
    rig.consume('depth/image', Image)
    rig.until(lambda: video.get_subscription_count() == 1)
    for k in range(BURST):
        video.publish(compressed(k, packets[k]))
    rig.until(lambda: rig.counts.received == BURST and rig.counts.in_flight == 0)
    assert rig.counts.rejected == 0
    assert rig.topics.waiting == ''
    assert rig.counts.published + rig.counts.displaced == BURST


def test_packets_without_a_key_frame_are_rejected_and_counted(rig):
    packets = encoded('h264')
    video = rig.peer.create_publisher(CompressedImage, 'image/compressed', QOS)
    depths = rig.consume('depth/image', Image)
    rig.until(lambda: video.get_subscription_count() == 1)
    for k in range(3, KEY_PERIOD):
        rig.send(video, compressed(k, packets[k]))
    assert f'{KEY_PERIOD - 3} packets wait for a key frame' in rig.topics.waiting
    rig.send(video, compressed(KEY_PERIOD, packets[KEY_PERIOD]))
    rig.until(lambda: depths)
    assert rig.counts.rejected == KEY_PERIOD - 3
    assert 'needs a key frame' in rig.node.status().last_error
    assert rig.topics.waiting == ''
    assert np.frombuffer(depths[0].data, np.float32).size
