# SPDX-License-Identifier: Apache-2.0
"""Which topic the node listens to, and with which quality of service."""

from __future__ import annotations

import subprocess
import sys
import time
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, Imu

from test.support.rig import HEIGHT, WIDTH, image_message, info_message
from videodepth_ros.nodes import camera_subscription
from videodepth_ros.nodes.camera_subscription import ImageSource, SourceChoice, image_sources
from videodepth_ros.nodes.live_diagnostics import HealthInputs, find_warnings
from videodepth_ros.nodes.options import LIVE


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


def test_a_volatile_calibration_does_not_hide_a_latched_one(rig):
    ghost = rig.camera('camera_info', CameraInfo)
    rig.until(lambda: rig.topics.info_publishers)
    infos = rig.camera('camera_info', CameraInfo, latched=True, reliable=True)
    infos.publish(info_message())
    rig.until(lambda: rig.camera_info)
    assert ghost is not None


def test_the_calibration_of_a_camera_that_has_gone_is_forgotten_where_it_does_not_fit(rig):
    images = rig.connect()
    rig.send(images)
    rig.forget_calibration()
    rig.send(images)  # of the same size: kept, with a note
    assert rig.counts.rejected == 0
    rig.until(lambda: not rig.topics.info_publishers)
    rig.node.warnings(rig.node.status())
    assert 'has no publisher any more' in rig.node._health_monitor.notes[0]
    rig.send(images, image_message(20, width=200, height=152))
    rig.until(lambda: rig.camera_info is None)
    rejected = rig.counts.rejected
    assert rejected <= 1
    rig.send(images, image_message(21, width=200, height=152))
    assert rig.counts.rejected == rejected


def test_a_calibration_of_another_size_with_a_publisher_is_refused(rig):
    images = rig.connect()
    for k in range(3):
        rig.send(images, image_message(k, width=200, height=152))
    assert rig.counts.rejected == 3
    assert '200x152 but camera_info gives 160x128' in rig.node.status().last_error


DRIVER = """
import rclpy, sys
from test.support.rig import info_message
from sensor_msgs.msg import CameraInfo
from rclpy.qos import QoSProfile, DurabilityPolicy
rclpy.init()
node = rclpy.create_node('driver')
qos = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
publisher = node.create_publisher(CameraInfo, 'camera_info', qos)
publisher.publish(info_message())
rclpy.spin(node)
"""


def test_the_latched_calibration_of_a_killed_driver_is_forgotten(rig, root):
    driver = subprocess.Popen([sys.executable, '-c', DRIVER], cwd=root)
    try:
        rig.until(lambda: rig.camera_info)
        images = rig.camera()
        rig.consume('depth/image', Image)
        rig.until(images.get_subscription_count)
        rig.send(images)
    finally:
        driver.kill()
        driver.wait()
    sent_s = time.monotonic()
    while rig.counts.published == 1:
        rig.send(images, image_message(20 + rig.counts.received, width=200, height=152))
    assert time.monotonic() - sent_s < 4 * LIVE.info_reply_s  # the machine may be busy
    assert rig.topics.info_publishers == 1  # the killed one, until its lease ends


def test_a_latched_calibration_is_asked_for_again_and_kept_while_it_is_answered(rig, monkeypatch):
    images = rig.connect()
    received, ask = [], rig.node._camera._on_camera_info
    monkeypatch.setattr(
        rig.node._camera, '_on_camera_info', lambda info: [received.append(info), ask(info)]
    )
    monkeypatch.setattr(rig.node._camera, '_info_received_s', -100.0)
    rig.send(images, image_message(1, width=200, height=152))
    rig.until(lambda: received)
    assert rig.camera_info is not None
    assert rig.counts.rejected == 1


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
    rig.node.resolve_topic_name = lambda name, **_: {
        'image': '/cam/image_raw',
        'camera_info': '/cam/camera_info',
    }.get(name, f'/{name}')
    rig.start()
    rig.consume('depth/image', Image)
    images = rig.camera('/cam/image_raw/compressed', CompressedImage)
    rig.until(images.get_subscription_count)


@pytest.mark.parametrize('topic', ['/camera/jpeg', '/cam/image_raw/compressed'])
def test_compressed_images_on_the_given_topic_are_taken(make_rig, topic):
    rig = make_rig()
    rig.node.resolve_topic_name = lambda name, **_: topic if name == 'image' else f'/{name}'
    rig.start()
    rig.consume('depth/image', Image)
    images = rig.camera(topic, CompressedImage)
    rig.until(images.get_subscription_count)
    rig.send(images, compressed(1))
    assert (rig.topics.image_topic, rig.topics.other_types) == (topic, '')


@pytest.mark.parametrize(('transport', 'message_type'), [('raw', CompressedImage), ('auto', Imu)])
def test_a_topic_of_another_type_is_a_warning(make_rig, transport, message_type):
    rig = make_rig(image_transport=transport)
    rig.start()
    camera = rig.camera('image', message_type)
    topics = rig.until(lambda: rig.topics.other_types and rig.topics)
    inputs = HealthInputs(topics, rig.node._worker.state, 0.0, timeout_s=0.0, now_ns=1)
    warnings = [warning.text for warning in find_warnings(rig.node.status(), inputs)]
    expected = f'0 publishers of images, but of sensor_msgs/msg/{message_type.__name__}'
    assert any(expected in text for text in warnings), warnings
    assert camera is not None


@pytest.mark.parametrize(('transport', 'advised'), [('raw', True), ('auto', False)])
def test_silence_names_the_parameter_that_excludes_another_topic(make_rig, transport, advised):
    rig = make_rig(image_transport=transport)
    rig.start()
    cameras = rig.camera(), rig.camera('image/compressed', CompressedImage)
    topics = rig.until(lambda: rig.topics.publishers and rig.topics)
    topics = rig.until(lambda: rig.topics.other_topics and rig.topics) if advised else topics
    inputs = HealthInputs(topics, rig.node._worker.state, 0.0, timeout_s=0.0, now_ns=1)
    (text,) = (each.text for each in find_warnings(rig.node.status(), inputs))
    assert text.startswith('no image on /image, which has 1 publisher')
    excluded = '/image/compressed is published, which image_transport excludes: set it to auto'
    assert (excluded in text) is advised
    assert cameras


def test_a_remapped_compressed_topic_comes_before_the_twin():
    node = SimpleNamespace(
        resolve_topic_name=lambda name, only_expand=False: (
            '/jpeg' if name == 'image/compressed' and not only_expand else f'/{name}'
        )
    )
    topics = [each.topic for each in image_sources(node) if 'compressed' in each.transport]
    assert topics == ['/jpeg', '/image']


def offers(*gids):
    return [SimpleNamespace(endpoint_gid=[gid]) for gid in gids]


def test_a_silent_topic_is_left_for_one_that_has_images(monkeypatch):
    raw, jpeg = ImageSource('raw', '/i', Image), ImageSource('compressed', '/c', CompressedImage)
    choice, now_s = SourceChoice([raw, jpeg], 'auto'), time.monotonic()

    def update(seconds, publishers, *, is_heard=False):
        monkeypatch.setattr(camera_subscription.time, 'monotonic', lambda: now_s + seconds)
        choice.update(publishers, is_heard=is_heard, timeout_s=2.0)
        return choice.source

    both = {raw: offers(1), jpeg: offers(2)}
    assert update(0, both, is_heard=True) == raw
    assert update(1.9, both) == raw
    assert update(2.1, both) == jpeg  # W2: raw is advertised but silent
    assert update(3.0, both, is_heard=True) == jpeg
    assert update(9.0, both, is_heard=True) == jpeg
    assert update(9.1, {raw: offers(3), jpeg: offers(2)}, is_heard=True) == raw  # restarted
    assert update(12.0, {raw: offers(3), jpeg: []}) == raw  # the only one
    assert update(12.1, {raw: [], jpeg: offers(2)}) == jpeg
    assert update(15.0, both) == raw
    assert update(18.0, both) in (raw, jpeg)  # all are silent: tried in turn
    assert SourceChoice([raw, jpeg], 'compressed').source == jpeg


def test_a_silent_raw_topic_does_not_hide_its_compressed_twin(make_rig):
    rig = make_rig(image_timeout_s=0.2)
    rig.start()
    rig.consume('depth/image', Image)
    silent, images = rig.camera(), rig.camera('image/compressed', CompressedImage)
    rig.until(images.get_subscription_count)
    rig.send(images, compressed(1))
    assert rig.counts.published == 1
    assert silent is not None


def test_a_best_effort_camera_of_a_reliable_subscription_is_a_warning(make_rig):
    rig = make_rig(image_reliability='reliable')
    rig.start()
    rig.consume('depth/image', Image)
    camera = rig.camera()
    rig.until(lambda: rig.topics.publishers)
    assert 'best effort' in ' '.join(rig.node.warnings(rig.node.status()))
    assert camera is not None


def test_two_cameras_on_one_topic_are_a_warning(rig):
    rig.consume('depth/image', Image)
    first, second = rig.camera(), rig.camera()
    rig.until(lambda: rig.topics.publishers == 2)
    warnings = rig.node.warnings(rig.node.status())
    assert any('2 publishers share /image' in text for text in warnings)
    assert first is not second
