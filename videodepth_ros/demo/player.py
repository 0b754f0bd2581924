# SPDX-License-Identifier: Apache-2.0
"""Play the camera of a bag in real time, with the present time as stamps.

Unlike `ros2 bag play` it does not need rosbag2, and it replaces the stamps, so that the age of
depth images can be measured. The last line of its output is a summary in JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import rclpy
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from rosbags.highlevel import AnyReader
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from videodepth_ros.bags.cdr import header_stamp_ns, with_header_stamp
from videodepth_ros.core.errors import BagError
from videodepth_ros.core.interruption import Interruption
from videodepth_ros.nodes.process import ros_context

TYPES = {f'sensor_msgs/msg/{kind.__name__}': kind for kind in (Image, CompressedImage, CameraInfo)}
WARM_UP_PERIOD_S = 0.1  # of the copies of the first image [s]


@dataclass(frozen=True)
class PlaybackSummary:
    """Summary of a playback.

    frames      images after the warm-up
    warm_up     copies of the first image until there was a depth
    started_ns  first new stamp after the warm-up
    offset_ns   new stamp minus stamp in the bag
    late_ms     maximum delay of a message
    """

    frames: int
    warm_up: int
    started_ns: int
    offset_ns: int
    late_ms: float


class Player:
    """Publish the camera topics of one bag until its end or a signal."""

    def __init__(
        self, node: Node, bag: AnyReader, namespace: str, interruption: Interruption
    ) -> None:
        self._node = node
        self._interruption = interruption
        self._bag = bag
        self._connections = [
            each
            for each in bag.connections
            if each.msgtype in TYPES
            and each.topic.strip('/').startswith(namespace.strip('/') + '/')
        ]
        if not self._connections:
            raise BagError(
                f'no image below {namespace} in this bag; its topics are '
                f'{sorted(each.topic for each in bag.connections)}'
            )
        self._publishers = {
            each.topic: node.create_publisher(
                TYPES[each.msgtype], each.topic, qos_profile_sensor_data
            )
            for each in self._connections
        }

    def warm_up(self, has_answer: Callable[[], bool], timeout_s: float) -> int:
        """Publish the first message of each topic repeatedly until there is a depth.

        Images that arrive while an engine is being opened are displaced.

        Return the number of images. Raise BagError at the timeout.
        """
        first = {topic: raw for topic, _, raw in reversed(self._head())}
        deadline_s = time.monotonic() + timeout_s
        sent = 0
        while not (has_answer() or self._interruption.requested):
            if time.monotonic() > deadline_s:
                raise BagError(
                    f'no depth of {sent} images within {timeout_s:g} s; read the log of the node'
                )
            now_ns = self._node.get_clock().now().nanoseconds
            for topic, raw in first.items():
                self._publishers[topic].publish(with_header_stamp(raw, now_ns))
            sent += 1
            next_s = time.monotonic() + WARM_UP_PERIOD_S
            while (left_s := next_s - time.monotonic()) > 0:
                rclpy.spin_once(self._node, timeout_sec=left_s)
        return sent

    def play(self, warm_up: int) -> PlaybackSummary:
        """Publish every message at its time."""
        started_ns = offset_ns = frames = late_ns = 0
        messages = self._bag.messages(self._connections)
        for connection, _, raw in self._interruption.iterate(messages):
            stamp_ns, now_ns = header_stamp_ns(raw), self._node.get_clock().now().nanoseconds
            if not started_ns:
                started_ns, offset_ns = now_ns, now_ns - stamp_ns
            due_ns = stamp_ns + offset_ns
            late_ns = max(late_ns, now_ns - due_ns)
            time.sleep(max(0.0, (due_ns - now_ns) * 1e-9))
            self._publishers[connection.topic].publish(with_header_stamp(raw, due_ns))
            frames += TYPES[connection.msgtype] is not CameraInfo
        return PlaybackSummary(frames, warm_up, started_ns, offset_ns, late_ns * 1e-6)

    def _head(self) -> list[tuple[str, int, bytes]]:
        """Return the messages from the start up to the first of every topic."""
        head: list[tuple[str, int, bytes]] = []
        missing = set(self._publishers)
        for connection, stamp_ns, raw in self._bag.messages(self._connections):
            head.append((connection.topic, stamp_ns, bytes(raw)))
            missing.discard(connection.topic)
            if not missing:
                break
        return head


def main(arguments: list[str] | None = None) -> int:
    """Play a bag after the first depth; return the exit code."""
    parser = argparse.ArgumentParser(
        description='Play the camera of a bag with the present time as stamps.'
    )
    parser.add_argument('bag', type=Path, help='bag to play')
    parser.add_argument('--namespace', default='/camera', help='namespace of the topics to play')
    parser.add_argument(
        '--answer-topic',
        default='/videodepth/depth/camera_info',
        help='CameraInfo topic that must have a message before the bag starts',
    )
    parser.add_argument(
        '--recorded-topic',
        default='/videodepth/depth/image',
        help='topic that must have a subscriber before the bag starts',
    )
    parser.add_argument('--timeout-s', type=float, default=120.0, help='timeout of the warm-up')
    args = parser.parse_args(arguments)
    with ros_context([]) as interruption:
        node = rclpy.create_node('player')
        answers: list[Any] = []
        node.create_subscription(
            CameraInfo, args.answer_topic, answers.append, qos_profile_sensor_data
        )

        def has_answer() -> bool:
            return bool(answers) and node.count_subscribers(args.recorded_topic) > 0

        try:
            with AnyReader([args.bag]) as bag:
                player = Player(node, bag, args.namespace, interruption)
                sent = player.warm_up(has_answer, args.timeout_s)
                print(json.dumps(asdict(player.play(sent))), flush=True)
        finally:
            node.destroy_node()
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
