# SPDX-License-Identifier: Apache-2.0
"""Subscriptions whose quality of service follows that of the publishers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from rclpy.topic_endpoint_info import TopicEndpointInfo

VIDEO_DEPTH = 30
"""Packets of a video that wait: a second of it."""


@dataclass(frozen=True)
class SubscriptionConfig:
    """Topic and quality of service of a subscription.

    latched    transient local
    keeps_all  every message counts, as a packet of a video does
    """

    topic: str
    reliable: bool = False
    latched: bool = False
    keeps_all: bool = False

    @property
    def qos(self) -> QoSProfile:
        """Quality of service with depth 1 for best effort, where only the newest counts.

        Reliable has depth 5. A publisher with 512 KB of shared memory sends a large image in
        fragments; only a reader that requests lost fragments, with room for the next image,
        receives it.
        """
        return QoSProfile(
            depth=VIDEO_DEPTH if self.keeps_all else 5 if self.reliable else 1,
            reliability=ReliabilityPolicy.RELIABLE
            if self.reliable
            else ReliabilityPolicy.BEST_EFFORT,
            durability=DurabilityPolicy.TRANSIENT_LOCAL
            if self.latched
            else DurabilityPolicy.VOLATILE,
        )


def is_reliable(publisher: TopicEndpointInfo) -> bool:
    """Return whether a publisher offers reliable delivery."""
    return bool(publisher.qos_profile.reliability == ReliabilityPolicy.RELIABLE)


def is_latched(publisher: TopicEndpointInfo) -> bool:
    """Return whether a publisher keeps its last message for those that subscribe later."""
    return is_reliable(publisher) and bool(
        publisher.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
    )


def compatible_config(
    topic: str, publishers: Sequence[TopicEndpointInfo], reliability: str = 'auto'
) -> SubscriptionConfig:
    """Return the strictest configuration that is compatible with every publisher.

    publishers   of ``topic``; without any, best effort, which is compatible with all
    reliability  'auto', or 'best_effort' or 'reliable' regardless of the publishers
    """
    reliable = bool(publishers) and all(map(is_reliable, publishers))
    latched = reliable and all(map(is_latched, publishers))
    if reliability != 'auto':
        reliable = reliability == 'reliable'
    return SubscriptionConfig(topic, reliable, latched and reliable)


class DynamicSubscription:
    """A subscription that is recreated when its configuration changes."""

    def __init__(
        self, node: Node, message_type: type, callback: Callable[[Any], None], *, raw: bool = False
    ) -> None:
        """Prepare a subscription; raw: the callback receives CDR."""
        self._node = node
        self._type = message_type
        self._callback = callback
        self._raw = raw
        self._subscription: Subscription | None = None
        self.config: SubscriptionConfig | None = None

    def update(self, config: SubscriptionConfig | None) -> None:
        """Apply a configuration; None: unsubscribe."""
        if config == self.config:
            return
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None
        self.config = config
        forget_destroyed_entities(self._node)
        if config is not None:
            self._subscription = self._node.create_subscription(
                self._type, config.topic, self._callback, config.qos, raw=self._raw
            )

    def renew(self) -> None:
        """Subscribe again, which latched publishers answer with their last message."""
        config = self.config
        self.update(None)
        self.update(config)


def forget_destroyed_entities(node: Node) -> None:
    """Drop weak references to destroyed entities; rclpy keeps them (ros2/rclpy#1356).

    Those of publishers destroyed by cleanup go with the next subscription.
    """
    group = node.default_callback_group
    group.entities = {entity for entity in group.entities if entity() is not None}


def transport_topic(node: Node, base: str, transport: str) -> str:
    """Return the topic of a transport of an image topic, as image_transport names it.

    The base name is remapped and the transport is appended to it, unless the topic of the
    transport is remapped itself.
    """
    name = f'{base}/{transport}'
    own = node.resolve_topic_name(name)
    is_own = own != node.resolve_topic_name(name, only_expand=True)
    return own if is_own else f'{node.resolve_topic_name(base)}/{transport}'
