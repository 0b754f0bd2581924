# SPDX-License-Identifier: Apache-2.0
"""Which topic the node listens to, and with which quality of service."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from test.support.rig import HEIGHT, WIDTH, image_message, info_message
from videodepth_ros.nodes.live_diagnostics import HealthInputs, find_warnings


def qos_of(rig, topic: str):
    """The node's subscription of a topic, None while there is none."""
    infos = [
        info
        for info in rig.peer.get_subscriptions_info_by_topic(topic)
        if info.node_name == 'videodepth'
    ]
    return infos[0].qos_profile if infos else None


def listens(rig, topic: str, reliability: ReliabilityPolicy) -> bool:
    qos = qos_of(rig, topic)
    return qos is not None and qos.reliability == reliability


def test_the_subscription_takes_what_the_camera_offers(rig):
    rig.consume('depth/image', Image)
    rig.until(lambda: listens(rig, '/image', ReliabilityPolicy.BEST_EFFORT))
    reliable = rig.camera(reliable=True)
    rig.until(lambda: listens(rig, '/image', ReliabilityPolicy.RELIABLE))
    rig.until(reliable.get_subscription_count)
    rig.send(reliable)
    rig.peer.destroy_publisher(reliable)
    best_effort = rig.camera()
    rig.until(lambda: listens(rig, '/image', ReliabilityPolicy.BEST_EFFORT))
    rig.until(best_effort.get_subscription_count)
    rig.send(best_effort)
    assert rig.counts.published == 2


def test_a_camera_that_is_away_for_a_while_finds_the_subscription_as_it_was(rig):
    rig.consume('depth/image', Image)
    reliable = rig.camera(reliable=True)
    rig.until(lambda: listens(rig, '/image', ReliabilityPolicy.RELIABLE))
    rig.peer.destroy_publisher(reliable)
    rig.until(lambda: rig.topics.publishers == 0)
    assert listens(rig, '/image', ReliabilityPolicy.RELIABLE)


def test_reliability_can_be_set(make_rig):
    rig = make_rig(image_reliability='best_effort')
    rig.start()
    rig.consume('depth/image', Image)
    images = rig.camera(reliable=True)
    rig.until(images.get_subscription_count)
    rig.until(lambda: listens(rig, '/image', ReliabilityPolicy.BEST_EFFORT))
    rig.send(images)


def test_a_latched_calibration_is_received_late(make_rig):
    rig = make_rig()
    infos = rig.camera('camera_info', CameraInfo, latched=True, reliable=True)
    infos.publish(info_message())
    rig.start()
    rig.until(lambda: rig.camera_info)
    qos = rig.until(lambda: qos_of(rig, '/camera_info'))
    assert qos.durability == DurabilityPolicy.TRANSIENT_LOCAL


def compressed(k: int) -> CompressedImage:
    _, data = cv2.imencode('.png', np.full((HEIGHT, WIDTH, 3), k, np.uint8))
    return CompressedImage(header=image_message(k).header, format='png', data=data.tobytes())


def test_compressed_images_are_taken_where_nothing_else_is_published(rig):
    rig.consume('depth/image', Image)
    images = rig.camera('image/compressed', CompressedImage)
    rig.until(images.get_subscription_count)
    sent = rig.send(images, compressed(1))
    assert rig.until(lambda: rig.received['depth/image'])[0].header == sent.header
    assert rig.topics.image_topic == '/image/compressed'


@pytest.mark.parametrize(
    ('transport', 'topic'),
    [('auto', '/image'), ('raw', '/image'), ('compressed', '/image/compressed')],
)
def test_raw_images_come_first_and_the_choice_can_be_forced(make_rig, transport, topic):
    rig = make_rig(image_transport=transport)
    rig.consume('depth/image', Image)
    cameras = rig.camera('image/compressed', CompressedImage), rig.camera()
    rig.until(lambda: len(rig.peer.get_publishers_info_by_topic('/image')) > 0)
    rig.start()
    rig.until(lambda: sum(camera.get_subscription_count() for camera in cameras))
    assert rig.topics.image_topic == topic


def test_a_remapped_image_takes_its_compressed_twin_along(make_rig):
    rig = make_rig()
    rig.node.resolve_topic_name = {
        'image': '/cam/image_raw',
        'camera_info': '/cam/camera_info',
    }.get
    rig.start()
    rig.consume('depth/image', Image)
    images = rig.camera('/cam/image_raw/compressed', CompressedImage)
    rig.until(images.get_subscription_count)


def test_a_topic_of_another_type_is_a_warning(rig):
    camera = rig.camera('image', CompressedImage)  # image_topic was given with /compressed
    topics = rig.until(lambda: rig.topics.other_types and rig.topics)
    inputs = HealthInputs(topics, rig.node._worker.state, is_silent=True, now_ns=1)
    warnings = [warning.text for warning in find_warnings(rig.node.status(), inputs)]
    assert any(
        '0 publishers of images, but of sensor_msgs/msg/CompressedImage' in text
        for text in warnings
    ), warnings
    assert camera is not None


def test_two_cameras_on_one_topic_are_a_warning(rig):
    rig.consume('depth/image', Image)
    first, second = rig.camera(), rig.camera()
    rig.until(lambda: rig.topics.publishers == 2)
    warnings = rig.node.warnings(rig.node.status())
    assert any('2 publishers share /image' in text for text in warnings)
    assert first is not second
