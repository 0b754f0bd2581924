# SPDX-License-Identifier: Apache-2.0
"""What the publishers of a live node share: quality of service, headers and rates."""

from __future__ import annotations

from typing import Any

from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions

from videodepth_ros.messages.transforms import set_stamp


def create_output(node: Node, message_type: type, topic: str) -> Publisher:
    """Return the publisher of an output: reliable, the quality of service may be overridden."""
    qos = QoSProfile(depth=2, reliability=ReliabilityPolicy.RELIABLE)
    options = QoSOverridingOptions.with_default_policies()
    return node.create_publisher(message_type, topic, qos, qos_overriding_options=options)


def send(publisher: Publisher, message: Any, stamp_ns: int, frame_id: str) -> None:
    """Publish a message with a stamp and a frame."""
    set_stamp(message.header.stamp, stamp_ns)
    message.header.frame_id = frame_id
    publisher.publish(message)


def is_due(stamp_ns: int, last_ns: int | None, rate_hz: float) -> bool:
    """Return whether an output is due in data time; one is due if time went backwards.

    last_ns  stamp of the last one; rate_hz: greatest rate; 0: every frame
    """
    return last_ns is None or rate_hz <= 0 or not 0 <= (stamp_ns - last_ns) * rate_hz < 0.99e9
