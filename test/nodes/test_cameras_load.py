# SPDX-License-Identifier: Apache-2.0
"""Several cameras on one device that cannot keep up: shares, counters, and a camera that fails."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from rclpy.qos import ReliabilityPolicy
from sensor_msgs.msg import Image

from test.support.instant_engine import InstantEngine
from test.support.rig import PERIOD_NS, START_NS, InstantNode, image_message
from videodepth_ros.core.errors import DeviceError
from videodepth_ros.engines.batching import RequestBatcher
from videodepth_ros.nodes import cameras_node

STEP_ROUNDS = 20
"""Rounds of images that come while the device is at a step, however slow the machine is."""

PATIENCE_S = 60.0
"""With a step whose rounds do not come, when a test has failed."""

NAMES = ('fast', 'half', 'slow')


class BusyDevice:
    """What all engines of a test share, as those of a GPU do; it serves what waits."""

    def __init__(self) -> None:
        self.batcher: RequestBatcher[object] = RequestBatcher(self._step)
        self._round = threading.Condition()
        self._rounds, self._is_idle = 0, False

    def count_round(self) -> None:
        """Let time pass for the device, by one round of images."""
        with self._round:
            self._rounds, self._is_idle = self._rounds + 1, False
            self._round.notify_all()

    def let_end(self) -> None:
        """Let steps end at once until the next round, for nothing more comes."""
        with self._round:
            self._is_idle = True
            self._round.notify_all()

    def _step(self, batch: Sequence[object]) -> None:
        with self._round:
            end = self._rounds + STEP_ROUNDS
            self._round.wait_for(lambda: self._is_idle or self._rounds >= end, PATIENCE_S)


class SharedEngine(InstantEngine):
    """An engine whose steps take their turns on a device."""

    def __init__(self, width: int, height: int, device: BusyDevice) -> None:
        super().__init__(width, height)
        self.device = device

    def step(self, image: Any, state: int) -> tuple[Any, int]:
        self.device.batcher.submit(self)
        return super().step(image, state)


class Cameras:
    """Nodes for three cameras, what publishes their images, and their depths."""

    def __init__(self, rig: Any, device: BusyDevice, nodes: list[InstantNode]) -> None:
        self.rig, self.device = rig, device
        self.nodes = dict(zip(NAMES, nodes, strict=True))
        self.images = {
            name: rig.peer.create_publisher(Image, f'/{name}/image', 5) for name in NAMES
        }
        self.depths = {name: rig.consume(f'/{name}/depth/image', Image) for name in NAMES}
        self.sent = dict.fromkeys(NAMES, 0)
        for images in self.images.values():
            rig.until(lambda images=images: self.is_heard(images))

    def is_heard(self, images: Any) -> bool:
        """Tell whether a node listens as it will go on to: an image between two plans is lost."""
        return [
            it.qos_profile.reliability
            for it in self.rig.peer.get_subscriptions_info_by_topic(images.topic_name)
        ] == [ReliabilityPolicy.RELIABLE]

    def send(self, name: str) -> None:
        self.images[name].publish(image_message(self.sent[name]))
        self.sent[name] += 1

    def counts(self, name: str) -> Any:
        return self.nodes[name]._worker.state.counts

    def published(self, name: str) -> int:
        return int(self.counts(name).published)

    def flood(self, rounds: int) -> None:
        """Publish faster than the device: the second camera at half the rate of the first, the
        third, which is slow, only when its last image has become depth."""
        for k in range(rounds):
            self.send('fast')
            if k % 2:
                self.send('half')
            if self.published('slow') == self.sent['slow']:
                self.send('slow')
            self.rig.executor.spin_once(timeout_sec=0.001)
            self.device.count_round()

    def flood_until(self, condition: Any) -> None:
        self.rig.until(lambda: self.flood(5) or condition())

    def settle(self) -> None:
        """Return when the newest image of each camera has become depth, and nothing is left."""
        self.device.let_end()
        for name in NAMES:
            newest = START_NS + (self.sent[name] - 1) * PERIOD_NS
            self.rig.until(
                lambda name=name, newest=newest: (
                    stamps(self.depths[name])[-1] == newest and self.counts(name).in_flight == 0
                )
            )


def stamps(messages: list[Any]) -> list[int]:
    """Return the stamps of messages in nanoseconds."""
    return [it.header.stamp.sec * 10**9 + it.header.stamp.nanosec for it in messages]


@pytest.fixture
def cameras(make_rig, monkeypatch) -> Iterator[Cameras]:
    rig, device = make_rig(), BusyDevice()

    def open_engine(node: InstantNode, width: int, height: int) -> SharedEngine:
        node.engines.append(SharedEngine(width, height, device))
        return node.engines[-1]

    monkeypatch.setattr(InstantNode, 'open_engine', open_engine)
    monkeypatch.setattr(
        cameras_node,
        'read_cameras',
        lambda: [['--ros-args', '-r', f'__ns:=/{name}'] for name in NAMES],
    )
    nodes = cameras_node.create_live_nodes(InstantNode)
    for node in nodes:
        rig.executor.add_node(node)
        node.trigger_configure()
        node.trigger_activate()
    yield Cameras(rig, device, list(nodes))
    device.let_end()
    for node in nodes:
        assert node.close()
        rig.executor.remove_node(node)
        node.destroy_node()


def test_under_load_no_camera_starves_and_the_newest_image_wins(cameras):
    cameras.flood_until(lambda: all(map(cameras.published, NAMES)))
    first = {name: cameras.published(name) for name in NAMES}
    cameras.flood_until(lambda: cameras.published('slow') >= 20)
    shares = {name: cameras.published(name) - first[name] for name in NAMES}
    cameras.settle()
    counts = {name: cameras.counts(name) for name in NAMES}
    for it in counts.values():
        assert it.received == it.published + it.displaced + it.rejected
        assert it.rejected == 0
    assert counts['fast'].displaced > counts['fast'].published  # the device was overloaded
    assert counts['slow'].displaced == 0  # who asks for less than a share gets it
    # The others share alike, whatever they ask for, but for threads that a busy machine delays.
    assert min(shares['fast'], shares['half']) >= 0.3 * max(shares['fast'], shares['half'])
    for name in NAMES:
        seen = stamps(cameras.depths[name])
        assert seen == sorted(set(seen))


def test_a_failed_camera_does_not_stop_others_and_can_return(cameras):
    cameras.flood_until(lambda: all(map(cameras.published, NAMES)))
    half = cameras.nodes['half']
    half.engines[0].error = DeviceError('the device is gone: look at it')
    cameras.flood_until(lambda: half.status().state == 'failed' and not half._active)
    before = {name: cameras.published(name) for name in NAMES}
    cameras.flood_until(
        lambda: all(cameras.published(name) >= before[name] + 5 for name in ('fast', 'slow'))
    )
    assert cameras.published('half') == before['half']
    assert cameras.counts('half').rejected == 1
    half.trigger_activate()
    cameras.flood_until(lambda: cameras.published('half') >= before['half'] + 3)
    cameras.settle()
    for name in NAMES:
        it = cameras.counts(name)
        assert it.received == it.published + it.displaced + it.rejected


def test_an_absent_camera_does_not_delay_others(cameras):
    cameras.device.let_end()
    cameras.rig.until(lambda: cameras.send('fast') or cameras.published('fast') >= 5)
    assert cameras.published('half') == cameras.published('slow') == 0
    assert [node.status().state for node in cameras.nodes.values()] == [
        'running',
        'waiting',
        'waiting',
    ]
