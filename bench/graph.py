# SPDX-License-Identifier: Apache-2.0
"""The processes of a ROS graph that is measured: a camera, the live node, a sink.

Each runs as ``python -m bench.graph ROLE`` and prints JSON; ``run_graph`` starts them, reads what
they say, and ends them.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from videodepth.msg import Status

from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.messages.camera_info import fill_camera_info
from videodepth_ros.messages.image import write_image
from videodepth_ros.messages.transforms import set_stamp, stamp_ns
from videodepth_ros.models.catalogue import ModelCard, card
from videodepth_ros.nodes.live_node import LiveNode, run
from videodepth_ros.nodes.transport import prepare_process

ROOT = Path(__file__).parents[1]
SENSOR = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)


class InstantNode(LiveNode):
    """The live node with an engine that returns at once."""

    def model_card(self) -> ModelCard:
        """Return the card of the model whose place the engine takes."""
        return card('nano')

    def open_engine(self, width: int, height: int) -> Any:
        """Return the engine of the tests."""
        from test.support.instant_engine import InstantEngine

        return InstantEngine(width, height)


def spin_until(node: Node, condition: Callable[[], Any], timeout_s: float) -> None:
    """Spin until the condition holds; give up silently after ``timeout_s``."""
    deadline = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < deadline:
        rclpy.spin_once(node, timeout_sec=0.02)


def camera(width: int, height: int, rate_hz: float, seconds: float) -> None:
    """Publish a picture, best effort, once the node runs; say 'begin', then what was sent."""
    node = rclpy.create_node('camera')
    images = node.create_publisher(Image, 'image', SENSOR)
    infos = node.create_publisher(CameraInfo, 'camera_info', 5)
    message, info = Image(), CameraInfo()
    focal_px = 0.8 * width
    fill_camera_info(info, Intrinsics(width, height, focal_px, focal_px, width / 2, height / 2))
    message.header.frame_id = info.header.frame_id = 'camera'
    picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    spin_until(node, images.get_subscription_count, 60)
    spin_until(node, infos.get_subscription_count, 10)
    statuses: list[Status] = []
    node.create_subscription(Status, '/videodepth/status', statuses.append, 5)
    infos.publish(info)
    spin_until(node, lambda: statuses and statuses[-1].engine, 300)
    print('begin', flush=True)
    begin_s = time.monotonic()
    sent = round(seconds * rate_hz)
    for k in range(sent):
        time.sleep(max(0.0, begin_s + k / rate_hz - time.monotonic()))
        write_image(picture, message, 'rgb8')
        set_stamp(message.header.stamp, time.time_ns())
        info.header.stamp = message.header.stamp
        infos.publish(info)
        images.publish(message)
    print(json.dumps({'sent': sent, 'sent_s': round(time.monotonic() - begin_s, 3)}), flush=True)
    spin_until(node, lambda: False, 1.0)


def sink(topics: list[str]) -> None:
    """Count what comes until a line comes in, then print counts, latencies and statuses."""
    node = rclpy.create_node('sink')
    ages_s: dict[str, list[float]] = {topic: [] for topic in topics}
    arrivals_s: dict[str, list[float]] = {topic: [] for topic in topics}
    statuses: list[Status] = []

    def listen(topic: str) -> None:
        def receive(message: Any) -> None:
            ages_s[topic].append((time.time_ns() - stamp_ns(message.header.stamp)) * 1e-9)
            arrivals_s[topic].append(time.monotonic())

        message_type = PointCloud2 if topic == 'depth/points' else Image
        node.create_subscription(message_type, topic, receive, SENSOR)

    for topic in topics:
        listen(topic)
    node.create_subscription(Status, '/videodepth/status', statuses.append, 100)
    spin_until(node, lambda: select.select([sys.stdin], [], [], 0)[0], 600)
    found = {
        topic: {
            'arrived': len(ages_s[topic]),
            'rate_hz': rate_of(arrivals_s[topic]),
            **percentiles_ms(ages_s[topic]),
        }
        for topic in topics
    }
    print(json.dumps({**found, 'statuses': [summary(status) for status in statuses]}), flush=True)


def rate_of(arrivals_s: list[float]) -> float:
    """Return arrivals a second between the first and the last; 0 where there are none."""
    if len(arrivals_s) < 2:
        return 0.0
    return round((len(arrivals_s) - 1) / (arrivals_s[-1] - arrivals_s[0]), 2)


def percentiles_ms(values_s: list[float]) -> dict[str, float]:
    """Return median and 99th percentile in milliseconds."""
    if not values_s:
        return {}
    p50, p99 = np.percentile(values_s, [50, 99]) * 1e3
    return {'p50_ms': round(float(p50), 2), 'p99_ms': round(float(p99), 2)}


def summary(status: Status) -> dict[str, Any]:
    """Return a status as JSON takes it."""
    fields = [name for name in status.get_fields_and_field_types() if name != 'header']
    return {name: getattr(status, name) for name in fields}


def cpu_s(pid: int) -> float:
    """Return the CPU time of a process so far, user and system."""
    values = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    return (int(values[11]) + int(values[12])) / os.sysconf('SC_CLK_TCK')


def start(*arguments: str, environment: dict[str, str]) -> subprocess.Popen[str]:
    """Start one role."""
    search = os.pathsep.join([str(ROOT), str(ROOT / 'test'), os.environ.get('PYTHONPATH', '')])
    return subprocess.Popen(
        [sys.executable, '-m', 'bench.graph', *arguments],
        text=True,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={'ROS_DOMAIN_ID': '78', **os.environ, 'PYTHONPATH': search, **environment},
    )


def run_graph(
    node: list[str],
    size: str,
    rate_hz: float,
    seconds: float,
    topics: list[str],
    environment: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Run camera, node and sink once; ``node`` is the role of the node and its ROS arguments."""
    environment = environment or {}
    live = start(*node, environment=environment)
    consumer = start('sink', '--topics', *topics, environment=environment)
    source = start(
        'camera',
        '--size',
        size,
        '--rate',
        str(rate_hz),
        '--seconds',
        str(seconds),
        environment=environment,
    )
    try:
        assert source.stdout is not None
        if source.stdout.readline() != 'begin\n':
            raise SystemExit('the camera found no node: see the messages above')
        before_s = cpu_s(live.pid)
        sent = json.loads(source.stdout.readline())
        used_s = cpu_s(live.pid) - before_s
        source.wait(30)
        arrived = json.loads(consumer.communicate('end\n', timeout=30)[0])
    finally:
        for process in (source, consumer, live):
            process.terminate()
            process.communicate(timeout=20)
    return {
        **sent,
        **arrived,
        'node_cpu_ms_a_frame': round(used_s / sent['sent'] * 1e3, 2),
        'node_exit_code': live.returncode,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('role', choices=['camera', 'sink', 'instant', 'live'])
    parser.add_argument('--size', default='640x480')
    parser.add_argument('--rate', type=float, default=30.0)
    parser.add_argument('--seconds', type=float, default=5.0)
    parser.add_argument('--topics', nargs='+', default=['depth/image'])
    arguments, rest = parser.parse_known_args()
    if arguments.role in ('instant', 'live'):
        sys.exit(run({'instant': InstantNode, 'live': LiveNode}[arguments.role], ['node', *rest]))
    prepare_process()
    rclpy.init()
    if arguments.role == 'sink':
        sink(arguments.topics)
    else:
        width, height = map(int, arguments.size.split('x'))
        camera(width, height, arguments.rate, arguments.seconds)


if __name__ == '__main__':
    main()
