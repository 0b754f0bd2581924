# SPDX-License-Identifier: Apache-2.0
"""The camera's topics: which one to listen to, and with which quality of service."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rclpy.node import Node
from rclpy.subscription import Subscription
from rclpy.topic_endpoint_info import TopicEndpointInfo
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from videodepth_ros.frames import Frame
from videodepth_ros.messages.frame import frame_from, is_rectified
from videodepth_ros.nodes.parameters import LiveParameters
from videodepth_ros.nodes.transport import Plan, plan_for


@dataclass(frozen=True)
class Arrival:
    """An image message, ``Image`` or ``CompressedImage``, and when it came on the steady clock."""

    message: Any
    steady_s: float


class Follower:
    """A subscription that is made anew whenever the plan for it changes."""

    def __init__(self, node: Node, message_type: type, callback: Callable[[Any], None]) -> None:
        self._node = node
        self._type = message_type
        self._callback = callback
        self._subscription: Subscription | None = None
        self.plan: Plan | None = None

    def follow(self, plan: Plan | None) -> None:
        """Subscribe as planned; None: do not subscribe."""
        if plan == self.plan:
            return
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None
        self.plan = plan
        if plan is not None:
            self._subscription = self._node.create_subscription(
                self._type, plan.topic, self._callback, plan.qos
            )


class CameraInput:
    """Listens to one camera: its images while they are wanted, and its calibration always.

    ``refresh`` is called a few times a second, for publishers come, go and change.
    """

    def __init__(
        self, node: Node, parameters: LiveParameters, on_image: Callable[[Arrival], None]
    ) -> None:
        self._node = node
        self._parameters = parameters
        self._on_image = on_image
        self._raw = Follower(node, Image, self._receive)
        self._compressed = Follower(node, CompressedImage, self._receive)
        self._info = Follower(node, CameraInfo, self._receive_info)
        self.info: CameraInfo | None = None
        self.image_publishers = 0
        image = node.resolve_topic_name('image')
        # As image_transport does it: the base name is remapped, and the transport appended to it.
        self._topics = {'raw': image, 'compressed': f'{image}/compressed'}
        self._info_topic = node.resolve_topic_name('camera_info')

    @property
    def topic(self) -> str:
        """The image topic that is listened to, or would be."""
        plan = self._raw.plan or self._compressed.plan
        return plan.topic if plan else self._topics['raw']

    @property
    def other_types(self) -> str:
        """The types of what is published on that topic but cannot be listened to."""
        wanted = Image if self.topic == self._topics['raw'] else CompressedImage
        offers = self._node.get_publishers_info_by_topic(self.topic)
        return ', '.join(sorted({offer.topic_type for offer in offers} - {type_name(wanted)}))

    @property
    def info_topic(self) -> str:
        """The topic of the calibration."""
        return self._info_topic

    @property
    def announced_size(self) -> tuple[int, int] | None:
        """Width and height of the images to come, as far as the calibration tells them."""
        info = self.info
        if info is None or not info.width or info.binning_x > 1 or info.roi.width:
            return None
        return info.width, info.height

    def decode(self, arrival: Arrival) -> Frame:
        """Return the image as a frame, rectified.

        raises  InputError if the image or the calibration cannot be used
        """
        rectify = self._parameters.rectify
        if rectify == 'auto':
            rectify = 'never' if is_rectified(self._topics['raw']) else 'always'
        return frame_from(arrival.message, self.info, rectify=rectify == 'always')

    def refresh(self, wanted: bool) -> None:
        """Adapt the subscriptions to who publishes now and to whether images are wanted."""
        self._info.follow(plan_for(self._info_topic, self._offers(self._info_topic, CameraInfo)))
        offers = {
            'raw': self._offers(self._topics['raw'], Image),
            'compressed': self._offers(self._topics['compressed'], CompressedImage),
        }
        transport = self._parameters.image_transport
        if transport == 'auto':
            transport = next((name for name in offers if offers[name]), self._current())
        self.image_publishers = len(offers[transport])
        plan = self._keep(
            plan_for(
                self._topics[transport], offers[transport], self._parameters.image_reliability
            ),
            offers[transport],
        )
        self._raw.follow(plan if wanted and transport == 'raw' else None)
        self._compressed.follow(plan if wanted and transport == 'compressed' else None)

    def close(self) -> None:
        """Listen to nothing; what is known of the calibration is forgotten."""
        for follower in (self._raw, self._compressed, self._info):
            follower.follow(None)
        self.info = None

    def _current(self) -> str:
        return 'compressed' if self._compressed.plan else 'raw'

    def _keep(self, plan: Plan, offers: list[TopicEndpointInfo]) -> Plan:
        """Return the present plan while nobody publishes: the camera may come back as it was."""
        present = self._raw.plan or self._compressed.plan
        return present if present and not offers and present.topic == plan.topic else plan

    def _offers(self, topic: str, message_type: type) -> list[TopicEndpointInfo]:
        return [
            offer
            for offer in self._node.get_publishers_info_by_topic(topic)
            if offer.topic_type == type_name(message_type)
        ]

    def _receive(self, message: Any) -> None:
        self._on_image(Arrival(message, time.monotonic()))

    def _receive_info(self, message: CameraInfo) -> None:
        self.info = message


def type_name(message_type: type) -> str:
    """Return how the graph calls a type of sensor_msgs."""
    return f'sensor_msgs/msg/{message_type.__name__}'
