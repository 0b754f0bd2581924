# SPDX-License-Identifier: Apache-2.0
"""Subscriptions of one camera: raw or compressed images or video, and the calibration."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rclpy.node import Node
from rclpy.topic_endpoint_info import TopicEndpointInfo
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from videodepth_ros.core.errors import ConfigError, DeviceError
from videodepth_ros.messages.video import VideoDecoder, VideoImage, video_packet
from videodepth_ros.nodes.live_parameters import LiveParameters
from videodepth_ros.nodes.options import LIVE, LiveNodeOptions
from videodepth_ros.nodes.subscriptions import (
    DynamicSubscription,
    SubscriptionConfig,
    compatible_config,
    is_latched,
    is_reliable,
    transport_topic,
)


@dataclass(frozen=True)
class ReceivedImage:
    """An Image, CompressedImage or VideoImage and its time of arrival on the steady clock."""

    message: Any
    steady_s: float


@dataclass(frozen=True)
class ImageSource:
    """A topic on which images may come; ``transport`` as in the parameter image_transport."""

    transport: str
    topic: str
    message_type: type


@dataclass(frozen=True)
class CameraTopicState:
    """Topics of a camera and their publishers at one time.

    image_topic      subscribed to, or the one to subscribe to when images are needed
    publishers       number of publishers of images on it
    other_types      types of its other publishers, as text; empty if there are none
    other_topics     other topics with images of this camera, which image_transport excludes, as
                     text; empty if there are none
    is_incompatible  a reliable subscription is requested from a best-effort publisher
    info_publishers  number of publishers on ``info_topic``
    waiting          why the packets of a video have no image now; empty if they have
    """

    image_topic: str
    info_topic: str
    publishers: int
    other_types: str = ''
    other_topics: str = ''
    is_incompatible: bool = False
    info_publishers: int = 0
    waiting: str = ''


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
        self._on_camera_info = on_camera_info
        sources = image_sources(node)
        self._images = {
            source: DynamicSubscription(node, source.message_type, self._receive)
            for source in sources
        }
        self._info_topic = node.resolve_topic_name('camera_info')
        self._latched_info = DynamicSubscription(node, CameraInfo, self._receive_info)
        self._info = DynamicSubscription(node, CameraInfo, self._receive_info)
        self._choice = SourceChoice(sources, parameters.image_transport)
        self._video = VideoDecoder()
        self._publishers: dict[ImageSource, list[TopicEndpointInfo]] = {}
        self._info_publishers: list[TopicEndpointInfo] = []
        self._received_s = self._info_received_s = self._info_asked_s = -float('inf')

    @property
    def state(self) -> CameraTopicState:
        """Topics and publishers of now."""
        source = self._choice.source
        publishers = self._publishers.get(source, [])
        found = {each.topic_type for each in self._node.get_publishers_info_by_topic(source.topic)}
        is_fixed = self._parameters.image_transport != 'auto'  # otherwise they are tried in turn
        others = [each.topic for each, found in self._publishers.items() if found and is_fixed]
        return CameraTopicState(
            source.topic,
            self._info_topic,
            len(publishers),
            ', '.join(sorted(found - {type_name(source.message_type)})),
            ' '.join(topic for topic in others if topic != source.topic),
            self._parameters.image_reliability == 'reliable'
            and any(not is_reliable(each) for each in publishers),
            len(self._info_publishers),
            self._video.waiting,
        )

    def confirm_info(self, options: LiveNodeOptions = LIVE) -> bool:
        """Return whether the calibration has a live publisher; call it until the answer is no.

        After a crash a publisher stays in the ROS graph until its lease ends. One that is not
        latched has to be heard of; a latched one repeats its message to a new subscription.
        """
        if self._latched_info.config is None:
            age_s = time.monotonic() - self._info_received_s
            return bool(self._info_publishers) and age_s <= self._parameters.image_timeout_s
        now_s = time.monotonic()
        if now_s - max(self._info_received_s, self._info_asked_s) <= options.info_reply_s:
            return True
        if self._info_asked_s > self._info_received_s:
            return False
        self._latched_info.renew()
        self._info_asked_s = now_s
        return True

    def refresh(self, images_needed: bool) -> None:
        """Adapt the subscriptions to the publishers of now."""
        self._refresh_info()
        self._publishers = {
            source: self._publishers_of(source.topic, source.message_type)
            for source in self._images
        }
        is_heard = self._received_s > time.monotonic() - self._parameters.image_timeout_s
        present = self._choice.source
        self._choice.update(
            self._publishers,
            is_heard=is_heard or not images_needed,
            timeout_s=self._parameters.image_timeout_s,
        )
        chosen = self._choice.source
        config = self._config(chosen, self._images[present].config)
        # Unsubscribe first: a participant has one type for a topic.
        for source, subscription in self._images.items():
            if source != chosen or not images_needed:
                subscription.update(None)
        if images_needed:
            self._images[chosen].update(config)
        else:
            self._video = VideoDecoder()  # packets are missed until images are needed again

    def close(self) -> None:
        """Unsubscribe from everything."""
        for subscription in (*self._images.values(), self._latched_info, self._info):
            subscription.update(None)

    def _refresh_info(self) -> None:
        """Subscribe to the calibration: latched where it is offered, volatile to all others.

        A volatile publisher does not keep a latched calibration from being received.
        """
        topic = self._info_topic
        self._info_publishers = self._publishers_of(topic, CameraInfo)
        latched = [each for each in self._info_publishers if is_latched(each)]
        others = [each for each in self._info_publishers if not is_latched(each)]
        self._info.update(compatible_config(topic, others) if others or not latched else None)
        self._latched_info.update(compatible_config(topic, latched) if latched else None)

    def _config(
        self, source: ImageSource, present: SubscriptionConfig | None
    ) -> SubscriptionConfig:
        """Return the configuration to use; without publishers that of before, if there is one.

        A camera that restarts usually has the same quality of service as before.
        """
        publishers = self._publishers[source]
        if present and not publishers and present.topic == source.topic:
            return present
        config = compatible_config(source.topic, publishers, self._parameters.image_reliability)
        return replace(config, keeps_all=source.transport in VIDEO_TRANSPORTS)

    def _publishers_of(self, topic: str, message_type: type) -> list[TopicEndpointInfo]:
        return [
            each
            for each in self._node.get_publishers_info_by_topic(topic)
            if each.topic_type == type_name(message_type)
        ]

    def _receive(self, message: Any) -> None:
        """Pass an image on; a packet of a video is decoded first, as the next one needs it."""
        self._received_s, packet = time.monotonic(), video_packet(message)
        if packet is not None:
            try:
                message = self._video.decode(packet)
            except DeviceError as error:  # reported by the worker, as for any rejected image
                message = VideoImage(packet.header, None, str(error))
        self._on_image(ReceivedImage(message, self._received_s))

    def _receive_info(self, message: CameraInfo) -> None:
        self._info_received_s = time.monotonic()
        self._on_camera_info(message)


class SourceChoice:
    """Choose the topic of the images: the first one that has publishers and is not silent.

    source  the choice
    """

    def __init__(self, sources: Sequence[ImageSource], transport: str) -> None:
        """Create a choice; ``transport`` is the parameter image_transport."""
        self._allowed = [each for each in sources if transport in ('auto', each.transport)]
        if not self._allowed:
            module = VIDEO_TRANSPORTS[transport][0].partition('.')[0]
            raise ConfigError(
                f'image_transport is {transport}, but {module} is not installed: install it'
            )
        self._silent: dict[ImageSource, frozenset[tuple[int, ...]]] = {}
        self._since_s = time.monotonic()
        self.source = self._allowed[0]

    def update(
        self,
        publishers: Mapping[ImageSource, Sequence[TopicEndpointInfo]],
        *,
        is_heard: bool,
        timeout_s: float,
    ) -> None:
        """Follow the publishers of now.

        A source that was silent for ``timeout_s`` is left for the next one until its publishers
        change, or all are silent.
        is_heard  images came within the timeout, or none are needed
        """
        offered = [each for each in self._allowed if publishers[each]]
        identity = {
            each: frozenset(tuple(info.endpoint_gid) for info in publishers[each])
            for each in offered
        }
        now_s = time.monotonic()
        if is_heard:
            self._since_s = now_s
        elif self.source in offered and now_s - self._since_s > timeout_s:
            self._silent[self.source] = identity[self.source]
        audible = [each for each in offered if self._silent.get(each) != identity[each]]
        if offered and not audible:
            self._silent.clear()
        chosen = next(iter(audible or offered), self.source)
        if chosen != self.source:
            self.source, self._since_s = chosen, now_s


def image_sources(node: Node) -> list[ImageSource]:
    """Return the topics of the images of a node, the preferred one first.

    The base topic may hold compressed images or video too.
    """
    base = node.resolve_topic_name('image')
    images = [
        ImageSource('raw', base, Image),
        ImageSource('compressed', transport_topic(node, 'image', 'compressed'), CompressedImage),
        ImageSource('compressed', base, CompressedImage),
    ]
    return [*images, *video_sources(base)]


VIDEO_TRANSPORTS = {
    'foxglove': ('foxglove_msgs.msg', 'CompressedVideo'),
    'ffmpeg': ('ffmpeg_image_transport_msgs.msg', 'FFMPEGPacket'),
}
"""Module and name of the messages of a transport."""


def video_sources(base: str) -> list[ImageSource]:
    """Return the topics of video of a camera; none where its messages are not installed.

    base  topic of the raw images
    """
    sources = []
    for transport, (module, name) in VIDEO_TRANSPORTS.items():
        try:
            kind = getattr(importlib.import_module(module), name)
        except ImportError:
            continue
        sources += [ImageSource(transport, topic, kind) for topic in (f'{base}/{transport}', base)]
    return sources


def type_name(message_type: type) -> str:
    """Return the name of a message type in the ROS graph."""
    return f'{message_type.__module__.partition(".")[0]}/msg/{message_type.__name__}'
