# SPDX-License-Identifier: Apache-2.0
"""Record the outputs of the live node into a bag, and the age of each message on arrival.

Messages are written unchanged. The recording ends when the camera has left the graph and no
message has arrived for some time, or at SIGINT or SIGTERM; then a summary is written in JSON.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosbags.rosbag2 import StoragePlugin, Writer
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from videodepth.msg import Status

from videodepth_ros.bags.cdr import header_stamp_ns
from videodepth_ros.bags.types import STORE
from videodepth_ros.nodes.process import ros_context, spin_until

OUTPUTS = {'depth/image': Image, 'depth/camera_info': CameraInfo, 'depth/points': PointCloud2}


@dataclass
class ReceivedMessages:
    """Messages of one topic: stamps, and ages on arrival."""

    stamp_ns: list[int] = field(default_factory=list)
    age_ms: list[float] = field(default_factory=list)


class Recorder:
    """Write the outputs of one live node, and keep its last status."""

    def __init__(self, node: Node, namespace: str, writer: Writer) -> None:
        self._node = node
        self._writer = writer
        self.received: dict[str, ReceivedMessages] = {}
        self.status: Status | None = None
        self._last_s = math.inf
        qos = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
        for name, kind in OUTPUTS.items():
            node.create_subscription(
                kind,
                f'{namespace}/{name}',
                self._write_to(f'{namespace}/{name}', f'sensor_msgs/msg/{kind.__name__}'),
                qos,
                raw=True,
            )
        node.create_subscription(Status, f'{namespace}/videodepth/status', self._on_status, 5)

    def _write_to(self, topic: str, kind: str) -> Callable[[bytes], None]:
        connection = self._writer.add_connection(topic, kind, typestore=STORE)
        received = self.received[topic] = ReceivedMessages()

        def write(raw: bytes) -> None:
            now_ns = self._node.get_clock().now().nanoseconds
            stamp_ns = header_stamp_ns(raw)
            received.stamp_ns.append(stamp_ns)
            self._last_s = time.monotonic()
            received.age_ms.append((now_ns - stamp_ns) * 1e-6)
            self._writer.write(connection, now_ns, raw)

        return write

    def _on_status(self, status: Status) -> None:
        self.status = status

    def quiet_s(self) -> float:
        """Return the seconds since the last message; negative before the first."""
        return time.monotonic() - self._last_s

    def summary(self) -> str:
        """Return the last status and the received messages as JSON."""
        status = (
            {}
            if self.status is None
            else {
                name: getattr(self.status, name)
                for name in self.status.get_fields_and_field_types()
                if name != 'header'
            }
        )
        return json.dumps(
            {
                'status': status,
                'topics': {topic: asdict(messages) for topic, messages in self.received.items()},
            }
        )


def main(arguments: list[str] | None = None) -> int:
    """Record until the camera ends or a signal; return the exit code."""
    parser = argparse.ArgumentParser(description='Record the outputs of the live node.')
    parser.add_argument('bag', type=Path, help='bag to write')
    parser.add_argument('summary', type=Path, help='JSON file to write')
    parser.add_argument('--namespace', default='/videodepth', help='namespace of the live node')
    parser.add_argument(
        '--camera-info',
        default='/camera/camera_info',
        help='topic that is published while the camera runs',
    )
    parser.add_argument(
        '--quiet-s',
        type=float,
        default=2.0,
        help='time without messages that ends the recording when the camera has ended',
    )
    args = parser.parse_args(arguments)
    with ros_context([]) as interruption:
        node = rclpy.create_node('recorder')
        with Writer(args.bag, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
            recorder = Recorder(node, args.namespace, writer)
            executor = SingleThreadedExecutor()
            executor.add_node(node)
            spin_until(
                executor,
                lambda: (
                    interruption.requested
                    or (
                        not node.count_publishers(args.camera_info)
                        and recorder.quiet_s() >= args.quiet_s
                    )
                ),
            )
        node.destroy_node()
    args.summary.write_text(recorder.summary())
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
