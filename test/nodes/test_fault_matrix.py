# SPDX-License-Identifier: Apache-2.0
"""Every fault of the matrix, injected into one live graph (test/support/fault_matrix.py).

For each: /diagnostics and the counters show it within a second, consumers get what the matrix
states, the first good image afterwards becomes depth, and the level rises and falls once.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

from test.support.fault_matrix import DOCUMENT, FAULTS, ROOT, with_table
from test.support.rig import HEIGHT, WIDTH, Rig, image_message, info_message
from videodepth_ros.core.errors import DeviceError
from videodepth_ros.messages.transforms import set_stamp, stamp_ns
from videodepth_ros.nodes.options import LIVE

pytestmark = pytest.mark.slow

STATUS_PERIOD_S = 0.25
WINDOWS = replace(LIVE, storm_window_s=1.0, statistics_window_s=1.0)  # instead of 10 and 5 s
DIAGNOSTIC_S, RECOVERY_S = 1.0, 2.0
OK, WARN, ERROR = b'\0', b'\1', b'\2'


class Graph:
    """A camera that stamps its images with the time of now, a live node, and a consumer."""

    def __init__(self, executor: SingleThreadedExecutor) -> None:
        self.rig = Rig(
            executor,
            WINDOWS,
            status_period_s=STATUS_PERIOD_S,
            max_gap_s=600.0,
            scale__steady='never',
        )
        self.rig.start()
        self.images = self.rig.connect()
        self.depths = self.rig.received['depth/image']
        self.reports = self.rig.consume('/diagnostics', DiagnosticArray)
        self.last_ns = self.rounds = 0

    def good(self, **changes: Any) -> Image:
        """Return the next image."""
        message = image_message(0, **changes)
        self.last_ns = max(time.time_ns(), self.last_ns + 1_000_000)
        set_stamp(message.header.stamp, self.last_ns)
        return message

    def send(self, message: Image | None = None) -> Image:
        return self.rig.send(self.images, message or self.good())

    def nominal(self) -> None:
        """Deactivate, activate and get depth of one image, with a calibration of its own."""
        if self.rig.node._active:
            self.rig.node.trigger_deactivate()
        assert self.rig.node.trigger_activate().name == 'SUCCESS'
        self.rig.until(lambda: self.images.get_subscription_count() == 1)
        self.calibrate()
        self.depth()
        self.until_report(OK, 'running')

    def calibrate(self) -> None:
        """Publish a good calibration, another one each time, and wait until it is used."""
        self.rounds += 1
        info = info_message()
        info.k[0] = info.p[0] = 150.0 + self.rounds
        self.rig.infos.publish(info)
        # Earlier ones are latched, too; the last of them comes last.
        self.rig.until(lambda: self.rig.camera_info and self.rig.camera_info.k[0] == info.k[0])

    def depth(self) -> None:
        """Send an image and wait for its depth."""
        last = self.send()
        self.rig.until(lambda: self.depths and self.depths[-1].header == last.header)

    @property
    def counts(self) -> dict[str, int]:
        status = self.rig.node.status()
        return {name: getattr(status, name) for name in COUNTERS}

    def until_report(self, level: bytes, text: str, *, sending: bool = False) -> None:
        """Wait for a report of this level and text; images may be sent meanwhile."""
        first, due_s = len(self.reports), time.monotonic()

        def is_there() -> bool:
            nonlocal due_s
            if sending and time.monotonic() >= due_s:
                due_s = time.monotonic() + 0.05
                self.images.publish(self.good())
            found = [report.status[0] for report in self.reports[first:]]
            return any(each.level == level and text in each.message for each in found)

        try:
            self.rig.until(is_there, timeout_s=20.0)
        except AssertionError:
            seen = [(each.status[0].level, each.status[0].message) for each in self.reports]
            raise AssertionError(f'no report {level!r} {text!r} in {seen[first:]}') from None


RESETS = ['time_back', 'gap', 'size', 'frame_id', 'not_finite']
COUNTERS = ['published', 'displaced', 'rejected', *(f'resets_{name}' for name in RESETS)]


@dataclass(frozen=True)
class Case:
    """How a fault is injected, and what is seen.

    inject  returns the images whose depth is published, or None if any may be
    level   of /diagnostics; ``text`` is in its message, ``counts`` are added
    end     ends the fault, beside a good calibration and good images
    """

    inject: Callable[[Graph], list[Image] | None]
    level: bytes = OK
    text: str = ''
    counts: dict[str, int] = field(default_factory=dict)
    end: Callable[[Graph], object] = lambda graph: None


def rejected(change: Callable[[Image], object], text: str) -> Case:
    """An image that is rejected with a text."""

    def inject(graph: Graph) -> list[Image]:
        message = graph.good()
        change(message)
        graph.send(message)
        return []

    return Case(inject, WARN, text, {'rejected': 1})


def changed(level: bytes = OK, text: str = '', **counts: int) -> Callable[..., Case]:
    """An image that is changed and becomes depth all the same."""

    def case(change: Callable[[Image], object]) -> Case:
        def inject(graph: Graph) -> list[Image]:
            message = graph.good()
            change(message)
            return [graph.send(message)]

        return Case(inject, level, text, counts)

    return case


def assign(**values: Any) -> Callable[[Image], None]:
    return lambda message: [setattr(message, *item) for item in values.items()] and None


def cut_off(message: Image) -> None:
    message.data = message.data[: len(message.data) // 3]


def pad(message: Image) -> None:
    rows = np.frombuffer(message.data, np.uint8).reshape(message.height, -1)
    message.data = np.pad(rows, ((0, 0), (0, 32))).tobytes()
    message.step += 32


def as_mono16(message: Image) -> None:
    message.encoding, message.step, message.is_bigendian = 'mono16', 2 * message.width, 1
    message.data = np.full(message.width * message.height, 40000, '>u2').tobytes()


def as_depth(message: Image) -> None:
    message.encoding, message.step = '32FC1', 4 * message.width
    message.data = np.ones(message.width * message.height, np.float32).tobytes()


def saturate(message: Image) -> None:
    message.data = bytes([255]) * len(message.data)


def shift_stamp(seconds: float) -> Callable[[Image], None]:
    def change(message: Image) -> None:
        set_stamp(message.header.stamp, stamp_ns(message.header.stamp) + round(seconds * 1e9))

    return change


def calibration(**values: Any) -> Callable[[Graph], list[Image]]:
    """Publish another camera_info, and an image."""

    def inject(graph: Graph) -> list[Image]:
        info = info_message()
        for name, value in values.items():
            setattr(info, name, value)
        graph.rig.infos.publish(info)
        name, value = next(iter(values.items()))
        expected = getattr(info, name)
        graph.rig.until(lambda: np.array_equal(getattr(graph.rig.camera_info, name), expected))
        return [graph.send()]

    return inject


def without_calibration(graph: Graph) -> list[Image]:
    graph.rig.node._worker.set_camera_info(None)
    return [graph.send()]


def repeated(graph: Graph) -> list[Image]:
    message = graph.send()
    graph.send(message)
    return [message]


def gap(graph: Graph) -> list[Image]:
    set_parameter(graph, 'max_gap_s', 2.0)
    message = graph.good()
    shift_stamp(-5.0)(message)
    return [graph.send(message), graph.send()]


def set_parameter(graph: Graph, name: str, value: Any) -> Any:
    return graph.rig.node.set_parameters([Parameter(name, value=value)])[0]


def storm_of_resets(graph: Graph) -> list[Image]:
    return [graph.send(graph.good(frame_id=f'camera{k % 2}')) for k in range(6)]


def nan(graph: Graph) -> list[Image]:
    engine = graph.rig.node.engines[-1]
    answer, engine.answer = engine.answer, np.full_like(engine.answer, np.nan)
    graph.send()
    engine.answer = answer
    return []


def device_fails(error: Exception) -> Callable[[Graph], list[Image]]:
    def inject(graph: Graph) -> list[Image]:
        graph.rig.node.engines[-1].error = error
        graph.images.publish(graph.good())
        graph.rig.until(lambda: not graph.rig.node._active)
        return []

    return inject


def engine_is_missing(graph: Graph) -> list[Image]:
    def fail() -> None:
        raise DeviceError('no engine: look at it')

    graph.rig.node.hold = fail
    graph.rig.node._worker._session.close()
    graph.images.publish(graph.good())
    graph.rig.until(lambda: not graph.rig.node._active)
    return []


def engine_returns(graph: Graph) -> None:
    graph.rig.node.hold = lambda: None


def burst(graph: Graph) -> list[Image]:
    """Two hundred images while the network computes the first: the newest one follows."""
    engine, before = graph.rig.node.engines[-1], graph.counts['displaced']
    begun, end = threading.Event(), threading.Event()
    step = engine.step

    def wait(image: np.ndarray, state: int) -> Any:
        begun.set()
        assert end.wait(60)
        return step(image, state)

    engine.step = wait
    sent = [graph.good() for _ in range(200)]
    for k, message in enumerate(sent):
        received = graph.rig.counts.received
        graph.images.publish(message)
        graph.rig.until(lambda: graph.rig.counts.received == received + 1)  # noqa: B023
        if k == 0:
            assert begun.wait(60)
    end.set()
    graph.rig.until(lambda: graph.rig.counts.in_flight == 0)
    engine.step = step
    assert graph.counts['displaced'] - before == 198
    return [sent[0], sent[-1]]


def silence(graph: Graph) -> list[Image]:
    set_parameter(graph, 'image_timeout_s', 0.1)
    time.sleep(0.15)
    return []


def other_quality(graph: Graph) -> list[Image]:
    peer, images = graph.rig.peer, graph.images
    peer.destroy_publisher(images)
    quality = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
    graph.images = peer.create_publisher(Image, 'image', quality)
    graph.rig.until(
        lambda: (
            [
                each.qos_profile.reliability
                for each in peer.get_subscriptions_info_by_topic('/image')
            ]
            == [ReliabilityPolicy.RELIABLE]
        )
    )
    graph.rig.until(graph.images.get_subscription_count)
    return [graph.send()]


def second_camera(graph: Graph) -> list[Image]:
    graph.other = graph.rig.peer.create_publisher(Image, 'image', 5)
    graph.rig.until(lambda: graph.rig.topics.publishers == 2)
    return [graph.send()]


def second_camera_leaves(graph: Graph) -> None:
    graph.rig.peer.destroy_publisher(graph.other)
    graph.rig.until(lambda: graph.rig.topics.publishers == 1)


def subscribers_come_and_go(graph: Graph) -> list[Image]:
    sent = []
    for _ in range(5):
        subscription = graph.rig.peer.create_subscription(Image, 'depth/image', print, 1)
        sent.append(graph.send())
        graph.rig.peer.destroy_subscription(subscription)
    graph.rig.until(lambda: len(graph.depths) == len(sent))
    (consumer,) = (each for each in graph.rig.peer.subscriptions if 'depth' in each.topic_name)
    graph.rig.peer.destroy_subscription(consumer)
    graph.until_report(OK, 'idle')
    assert graph.images.get_subscription_count() == 0
    return sent


def consumer_returns(graph: Graph) -> None:
    graph.rig.peer.create_subscription(Image, 'depth/image', graph.depths.append, 10)
    graph.rig.until(graph.images.get_subscription_count)


def storm_of_parameters(graph: Graph) -> list[Image]:
    sent = []
    for k in range(50):
        assert set_parameter(graph, 'scale.factor', 1.0 + k / 50).successful
        refused = set_parameter(graph, 'scale.factor', -1.0)
        assert not refused.successful
        assert 'scale.factor' in refused.reason
        if k % 10 == 0:
            sent.append(graph.send())
    set_parameter(graph, 'scale.factor', 1.0)
    return sent


def slow_consumer(graph: Graph) -> list[Image]:
    """A reliable subscriber with a queue of one that is not served."""
    import rclpy

    node = rclpy.create_node('slow')
    node.create_subscription(Image, 'depth/image', print, 1)
    sent = [graph.send() for _ in range(10)]
    node.destroy_node()
    return sent


CASES = {
    'no camera_info': Case(without_calibration, WARN, 'no camera_info on'),
    'camera_info with K = 0': Case(calibration(k=[0.0] * 9, p=[0.0] * 12), WARN, 'uncalibrated'),
    'image of another size than camera_info': rejected(
        lambda message: [assign(height=HEIGHT // 2)(message), cut_to_rows(message)], 'camera_info'
    ),
    'unknown distortion model': Case(
        calibration(d=[0.1] * 4, distortion_model='magic'), WARN, 'magic'
    ),
    'unknown encoding': rejected(assign(encoding='palette8'), 'palette8'),
    'rows with padding': changed()(pad),
    'rows shorter than the image': rejected(assign(step=10, width=WIDTH * 2), 'step'),
    'big-endian 16-bit image': changed()(as_mono16),
    'truncated data': rejected(cut_off, 'bytes'),
    'image of size zero': rejected(assign(width=0, height=0), 'no pixels'),
    'depth sent as picture': rejected(as_depth, 'depth'),
    'constant or saturated image': changed()(saturate),
    'network returns NaN': Case(nan, WARN, 'NaN', {'rejected': 1}),
    'size changes': Case(
        lambda graph: [*without_calibration(graph), graph.send(graph.good(width=96))],
        WARN,
        'camera_info',
        {'resets_size': 1},
    ),
    'frame_id changes': Case(
        lambda graph: [graph.send(graph.good(frame_id='other'))],
        WARN,
        "'other'",
        {'resets_frame_id': 1},
    ),
    'stamp is zero': changed(WARN, 'behind the clock', resets_time_back=1)(
        lambda message: set_stamp(message.header.stamp, 0)
    ),
    'stamp is repeated': Case(repeated, WARN, 'stamp', {'rejected': 1}),
    'stamps run backwards': changed(resets_time_back=1)(shift_stamp(-5.0)),
    'stamp in the far future': changed(WARN, 'the clock', resets_gap=1)(shift_stamp(1e6)),
    'stamps in another clock': Case(
        lambda graph: [graph.send(each) for each in stale(graph)], WARN, 'behind the clock'
    ),
    'gap of 5 s': Case(
        gap, counts={'resets_gap': 1}, end=lambda graph: set_parameter(graph, 'max_gap_s', 600.0)
    ),
    'storm of resets': Case(storm_of_resets, WARN, 'frame_id', {'resets_frame_id': 6}),
    'burst of 200 images': Case(burst, counts={'displaced': 198}),
    'camera falls silent': Case(
        silence,
        WARN,
        'no image on /image',
        end=lambda graph: set_parameter(graph, 'image_timeout_s', 600.0),
    ),
    'publisher of other QoS': Case(other_quality),
    'two publishers of images': Case(
        second_camera, WARN, '2 publishers share', end=second_camera_leaves
    ),
    'subscribers come and go': Case(subscribers_come_and_go, OK, 'idle', end=consumer_returns),
    'storm of parameters': Case(storm_of_parameters),
    'device fails': Case(device_fails(DeviceError('gone: look at it')), ERROR, 'gone'),
    'out of memory in the network': Case(device_fails(MemoryError('oom')), ERROR, 'oom'),
    'engine cannot be opened': Case(engine_is_missing, ERROR, 'no engine', end=engine_returns),
    'slow consumer': Case(slow_consumer),
}


def cut_to_rows(message: Image) -> None:
    message.data = message.data[: message.step * message.height]


def stale(graph: Graph) -> Iterator[Image]:
    """Yield images of two minutes ago, more than there are good ones in the window."""
    for _ in range(5):
        message = graph.good()
        shift_stamp(-120.0)(message)
        yield message


@pytest.fixture(scope='module')
def graph(ros: None) -> Iterator[Graph]:
    executor = SingleThreadedExecutor()
    graph = Graph(executor)
    yield graph
    graph.rig.close()
    executor.shutdown()


def slowness() -> float:
    """Return by how much more work than cores a machine takes longer; 1 for a quiet one."""
    return max(1.0, 2 * os.getloadavg()[0] / (os.cpu_count() or 1))


@pytest.mark.parametrize('name', [fault.name for fault in FAULTS if fault.test == 'live'])
def test_a_fault_is_seen_counted_and_over_with_its_end(graph, name):
    case = CASES[name]
    graph.nominal()
    before, reported, graph.depths[:] = graph.counts, len(graph.reports), []
    expected = case.inject(graph)
    if expected is not None:
        stamps = [each.header for each in expected]
        graph.rig.until(lambda: len(graph.depths) >= len(stamps))
        assert [each.header for each in graph.depths] == stamps
    begin_s = time.monotonic()
    graph.until_report(case.level, case.text)
    assert time.monotonic() - begin_s <= DIAGNOSTIC_S * slowness()
    after = graph.counts
    for counter, count in case.counts.items():
        assert after[counter] - before[counter] == count, counter
    case.end(graph)
    if case.level == ERROR:
        assert graph.rig.node.trigger_activate().name == 'SUCCESS'
        graph.rig.until(lambda: graph.images.get_subscription_count() == 1)
    graph.calibrate()
    begin_s, published = time.monotonic(), graph.counts['published']
    graph.depth()
    assert time.monotonic() - begin_s <= RECOVERY_S * slowness()
    assert graph.counts['published'] == published + 1
    graph.until_report(OK, 'running', sending=True)
    assert time.monotonic() - begin_s <= (RECOVERY_S + WINDOWS.storm_window_s) * slowness()
    levels = [report.status[0].level for report in graph.reports[reported:]]
    levels = [level for level, _ in itertools.groupby(levels)]
    peak = levels.index(max(levels))
    assert levels[peak] == case.level
    assert levels == sorted(levels[:peak]) + sorted(levels[peak:], reverse=True), levels
    graph.rig.until(lambda: graph.rig.counts.in_flight == 0)
    counts = graph.rig.counts
    ended = counts.published + counts.displaced + counts.rejected
    assert counts.received == ended + counts.in_flight


def test_every_row_has_a_test():
    live = {fault.name for fault in FAULTS if fault.test == 'live'}
    assert live == set(CASES)
    for fault in FAULTS:
        if fault.test != 'live':
            file, _, test = fault.test.partition('::')
            assert f'def {test}' in (ROOT / file).read_text(), fault.name


def test_the_document_has_the_matrix():
    document = DOCUMENT.read_text()
    assert document == with_table(document), 'run python -m test.support.fault_matrix'
