# SPDX-License-Identifier: Apache-2.0
"""Record what the live node publishes into a bag, and how old each message was when it came.

Messages are written as they came, byte for byte. Once the camera is gone and nothing has come for
a while the bag is finished, and the facts are written as JSON; SIGINT and SIGTERM end it too.
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
from videodepth_ros.nodes.process import ros, spin

OUTPUTS = {'depth/image': Image, 'depth/camera_info': CameraInfo, 'depth/points': PointCloud2}


@dataclass
class Heard:
    """One topic: the stamps of its messages and their age in milliseconds when they came."""

    stamp_ns: list[int] = field(default_factory=list)
    age_ms: list[float] = field(default_factory=list)


class Recorder:
    """Writes the outputs of one live node, and keeps the last word on its state."""

    def __init__(self, node: Node, namespace: str, writer: Writer) -> None:
        self._node = node
        self._writer = writer
        self.heard: dict[str, Heard] = {}
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
        node.create_subscription(Status, f'{namespace}/videodepth/status', self._keep, 5)

    def _write_to(self, topic: str, kind: str) -> Callable[[bytes], None]:
        connection = self._writer.add_connection(topic, kind, typestore=STORE)
        heard = self.heard[topic] = Heard()

        def write(raw: bytes) -> None:
            now_ns = self._node.get_clock().now().nanoseconds
            stamp_ns = header_stamp_ns(raw)
            heard.stamp_ns.append(stamp_ns)
            self._last_s = time.monotonic()
            heard.age_ms.append((now_ns - stamp_ns) * 1e-6)
            self._writer.write(connection, now_ns, raw)

        return write

    def _keep(self, status: Status) -> None:
        self.status = status

    def quiet_s(self) -> float:
        """Seconds since the last message; below 0 before the first."""
        return time.monotonic() - self._last_s

    def facts(self) -> str:
        """Return what was heard, as JSON."""
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
                'topics': {topic: asdict(heard) for topic, heard in self.heard.items()},
            }
        )


def main(arguments: list[str] | None = None) -> int:
    """Record until somebody ends it; return the exit code."""
    parser = argparse.ArgumentParser(description='Record the outputs of the live node.')
    parser.add_argument('bag', type=Path)
    parser.add_argument('facts', type=Path, help='JSON file')
    parser.add_argument('--namespace', default='/videodepth')
    parser.add_argument(
        '--camera-info',
        default='/camera/camera_info',
        help='topic that is there as long as the camera is',
    )
    parser.add_argument(
        '--quiet-s', type=float, default=2.0, help='silence that ends it, once the camera is gone'
    )
    args = parser.parse_args(arguments)
    with ros([]) as interruption:
        node = rclpy.create_node('recorder')
        with Writer(args.bag, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
            recorder = Recorder(node, args.namespace, writer)
            executor = SingleThreadedExecutor()
            executor.add_node(node)
            spin(
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
    args.facts.write_text(recorder.facts())
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
