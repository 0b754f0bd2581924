# SPDX-License-Identifier: Apache-2.0
"""A live node with an engine that returns at once, between a camera and a consumer."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image

from test.support.instant_engine import InstantEngine
from videodepth_ros.models.catalogue import ModelCard, card
from videodepth_ros.nodes.live_node import LiveNode
from videodepth_ros.nodes.options import LIVE, LiveNodeOptions

WIDTH, HEIGHT = 160, 128
PERIOD_NS = 33_000_000
START_NS = 1_700_000_000 * 10**9


class InstantNode(LiveNode):
    """A live node whose engines can be looked at; ``hold`` lets one fail or wait at opening."""

    def __init__(self, **node_arguments: Any) -> None:
        self.engines: list[InstantEngine] = []
        self.hold: Callable[[], None] = lambda: None
        super().__init__(**node_arguments)

    def model_card(self) -> ModelCard:
        return card(self.parameters.model)

    def open_engine(self, width: int, height: int) -> InstantEngine:
        self.hold()
        self.engines.append(InstantEngine(width, height))
        return self.engines[-1]


class Rig:
    """The node under test, with a camera and a consumer around it."""

    def __init__(
        self, executor: SingleThreadedExecutor, options: LiveNodeOptions = LIVE, **parameters: Any
    ) -> None:
        patient = {'image_timeout_s': 600.0}  # a busy machine is no silent camera
        overrides = [
            Parameter(name.replace('__', '.'), value=value)
            for name, value in {**patient, **parameters}.items()
        ]
        self.node = InstantNode(parameter_overrides=overrides, options=options)
        self.peer = rclpy.create_node('peer')
        self.executor = executor
        self.received: dict[str, list[Any]] = {}
        self.k = 0
        executor.add_node(self.node)
        executor.add_node(self.peer)

    def close(self) -> None:
        assert self.node.close()
        for node in (self.node, self.peer):
            self.executor.remove_node(node)
            node.destroy_node()

    def until(self, condition: Callable[[], Any], timeout_s: float = 120.0) -> Any:
        """Spin until a condition holds and return what it gives."""
        deadline = time.monotonic() + timeout_s
        while not (value := condition()):
            assert time.monotonic() < deadline, 'the condition did not come true'
            self.executor.spin_once(timeout_sec=0.02)
        return value

    def start(self) -> None:
        assert self.node.trigger_configure().name == 'SUCCESS'
        assert self.node.trigger_activate().name == 'SUCCESS'

    def camera(
        self,
        topic: str = 'image',
        message_type: type = Image,
        *,
        reliable: bool = False,
        latched: bool = False,
    ) -> Any:
        durability = DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE
        reliability = ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
        return self.peer.create_publisher(
            message_type,
            topic,
            QoSProfile(depth=5, reliability=reliability, durability=durability),
        )

    def consume(self, topic: str, message_type: type) -> list[Any]:
        self.received[topic] = []
        self.peer.create_subscription(message_type, topic, self.received[topic].append, 10)
        return self.received[topic]

    def connect(self, info: CameraInfo | None = None) -> Any:
        """Return a calibrated camera that the node listens to, with a consumer of its depth."""
        images, infos = (
            self.camera(),
            self.camera('camera_info', CameraInfo, latched=True, reliable=True),
        )
        self.infos = infos
        infos.publish(info or info_message())
        self.consume('depth/image', Image)
        self.until(lambda: images.get_subscription_count() == 1 and self.camera_info)
        return images

    def forget_calibration(self) -> None:
        """Destroy the publisher of the calibration."""
        self.peer.destroy_publisher(self.infos)

    @property
    def topics(self) -> Any:
        return self.node._camera.state

    @property
    def camera_info(self) -> Any:
        return self.node._worker.state.camera_info

    @property
    def counts(self) -> Any:
        return self.node._worker.state.counts

    def send(self, images: Any, message: Image | None = None) -> Image:
        """Publish one image and wait until the node is done with it."""
        if message is None:
            message = image_message(self.k)
            self.k += 1
        before = self.counts.received
        images.publish(message)
        self.until(lambda: self.counts.received == before + 1 and self.counts.in_flight == 0)
        return message


def image_message(
    k: int, *, width: int = WIDTH, height: int = HEIGHT, frame_id: str = 'camera'
) -> Image:
    message = Image(width=width, height=height, encoding='rgb8', step=3 * width)
    message.data = np.full(3 * width * height, k % 256, np.uint8).tobytes()
    message.header.frame_id = frame_id
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(
        START_NS + k * PERIOD_NS, 10**9
    )
    return message


def info_message(width: int = WIDTH, height: int = HEIGHT) -> CameraInfo:
    message = CameraInfo(width=width, height=height, distortion_model='plumb_bob')
    message.header.frame_id = 'camera'
    message.d = [0.0] * 5
    message.k = [150.0, 0, (width - 1) / 2, 0, 150, (height - 1) / 2, 0, 0, 1]
    message.r = [1.0, 0, 0, 0, 1, 0, 0, 0, 1]
    message.p = [150.0, 0, (width - 1) / 2, 0, 0, 150, (height - 1) / 2, 0, 0, 0, 1, 0]
    return message
