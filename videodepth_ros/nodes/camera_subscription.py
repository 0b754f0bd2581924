# SPDX-License-Identifier: Apache-2.0
"""Subscriptions of one camera: raw or compressed images, and the calibration."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rclpy.node import Node
from rclpy.topic_endpoint_info import TopicEndpointInfo
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from videodepth_ros.nodes.live_parameters import LiveParameters
from videodepth_ros.nodes.subscriptions import (
    DynamicSubscription,
    SubscriptionConfig,
    compatible_config,
)


@dataclass(frozen=True)
class ReceivedImage:
    """An Image or CompressedImage message and its time of arrival on the steady clock."""

    message: Any
    steady_s: float


@dataclass(frozen=True)
class CameraTopicState:
    """Topics of a camera and their publishers at one time.

    image_topic  subscribed to, or the one to subscribe to when images are needed
    publishers   number of publishers of images on it
    other_types  types of its other publishers, as text; empty if there are none
    """

    image_topic: str
    info_topic: str
    publishers: int
    other_types: str


class CameraSubscription:
    """Subscribe to the images of one camera while they are needed, and to its calibration.

    ``refresh`` follows publishers that appear, disappear or change; call it a few times a second.
    """

    def __init__(
        self,
        node: Node,
        parameters: LiveParameters,
        on_image: Callable[[ReceivedImage], None],
        on_camera_info: Callable[[CameraInfo], None],
    ) -> None:
        self._node = node
        self._parameters = parameters
        self._on_image = on_image
        self._raw = DynamicSubscription(node, Image, self._receive)
        self._compressed = DynamicSubscription(node, CompressedImage, self._receive)
        self._info = DynamicSubscription(node, CameraInfo, on_camera_info)
        self._publishers = 0
        base = node.resolve_topic_name('image')
        # As in image_transport, the base name is remapped and the transport is appended to it.
        self._topics = {'raw': base, 'compressed': f'{base}/compressed'}
        self._info_topic = node.resolve_topic_name('camera_info')

    @property
    def base_topic(self) -> str:
        """Topic of the raw images, from which the other names are derived."""
        return self._topics['raw']

    @property
    def state(self) -> CameraTopicState:
        """Topics and publishers of now."""
        topic = self._present.topic if self._present else self.base_topic
        expected = Image if topic == self.base_topic else CompressedImage
        found = {each.topic_type for each in self._node.get_publishers_info_by_topic(topic)}
        other_types = ', '.join(sorted(found - {type_name(expected)}))
        return CameraTopicState(topic, self._info_topic, self._publishers, other_types)

    def refresh(self, images_needed: bool) -> None:
        """Adapt the subscriptions to the publishers of now."""
        info_publishers = self._publishers_of(self._info_topic, CameraInfo)
        self._info.update(compatible_config(self._info_topic, info_publishers))
        publishers = {
            'raw': self._publishers_of(self._topics['raw'], Image),
            'compressed': self._publishers_of(self._topics['compressed'], CompressedImage),
        }
        transport = self._parameters.image_transport
        if transport == 'auto':
            present = 'compressed' if self._compressed.config else 'raw'
            transport = next((name for name in publishers if publishers[name]), present)
        self._publishers = len(publishers[transport])
        config = self._config(self._topics[transport], publishers[transport])
        self._raw.update(config if images_needed and transport == 'raw' else None)
        self._compressed.update(config if images_needed and transport == 'compressed' else None)

    def close(self) -> None:
        """Unsubscribe from everything."""
        for subscription in (self._raw, self._compressed, self._info):
            subscription.update(None)

    @property
    def _present(self) -> SubscriptionConfig | None:
        return self._raw.config or self._compressed.config

    def _config(self, topic: str, publishers: list[TopicEndpointInfo]) -> SubscriptionConfig:
        """Return the configuration to use; without publishers that of before, if there is one.

        A camera that restarts usually has the same quality of service as before.
        """
        present = self._present
        if present and not publishers and present.topic == topic:
            return present
        return compatible_config(topic, publishers, self._parameters.image_reliability)

    def _publishers_of(self, topic: str, message_type: type) -> list[TopicEndpointInfo]:
        return [
            each
            for each in self._node.get_publishers_info_by_topic(topic)
            if each.topic_type == type_name(message_type)
        ]

    def _receive(self, message: Any) -> None:
        self._on_image(ReceivedImage(message, time.monotonic()))


def type_name(message_type: type) -> str:
    """Return the name of a type of sensor_msgs in the ROS graph."""
    return f'sensor_msgs/msg/{message_type.__name__}'
