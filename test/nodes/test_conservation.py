# SPDX-License-Identifier: Apache-2.0
"""Random schedules of images, faults, resets and transitions in a live node.

At any time every received image is published, displaced, rejected or in flight; what is published
carries the stamp of an image that was received, in the order of arrival; and no image is computed
after a newer one was waiting.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger

from test.support.instant_engine import InstantEngine
from test.support.rig import InstantNode, Rig, image_message
from videodepth_ros.core.errors import DeviceError
from videodepth_ros.frames import Frame
from videodepth_ros.messages.transforms import stamp_ns
from videodepth_ros.nodes.camera_subscription import ReceivedImage
from videodepth_ros.nodes.options import LiveNodeOptions
from videodepth_ros.nodes.worker import DepthWorker
from videodepth_ros.stream.session import StepResult

pytestmark = pytest.mark.slow

PATIENCE_S = 120.0


@dataclass
class Journal:
    """Images put into the mailbox and frames published, as their threads did it.

    sent       images in the order of arrival; the place of one is its index
    put        images in the mailbox so far: never more than it has received
    published  index of each published image, and ``put`` after it
    """

    sent: list[ReceivedImage] = field(default_factory=list)
    put: int = 0
    published: list[tuple[int, int]] = field(default_factory=list)
    wrong: list[Any] = field(default_factory=list)

    def watch(self, worker: DepthWorker) -> None:
        """Record what a worker publishes from now on."""
        publish = worker._publish

        def recorded(image: ReceivedImage, frame: Frame, result: StepResult) -> None:
            publish(image, frame, result)
            sent = image.message.header
            depth = result.depth.stamp_ns, result.depth.frame_id
            if depth != (stamp_ns(sent.stamp), sent.frame_id):
                self.wrong.append((depth, sent))
            index = next(n for n, each in enumerate(self.sent) if each is image)
            self.published.append((index, self.put))

        worker._publish = recorded


class Watcher:
    """Check the counters in a thread of its own, as often as it can."""

    def __init__(self, counts: Callable[[], Any]) -> None:
        self.wrong: list[Any] = []
        self._counts = counts
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name='watcher', daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(0.0005):
            counts = self._counts()
            if not adds_up(counts) or not 0 <= counts.in_flight <= 2:
                self.wrong.append(counts)

    def close(self) -> None:
        self._stop.set()
        self._thread.join()


def adds_up(counts: Any) -> bool:
    ended = counts.published + counts.displaced + counts.rejected
    return counts.received == ended + counts.in_flight


class NodeMachine(RuleBasedStateMachine):
    """A live node whose worker is driven without a network, so that no message is lost."""

    node: InstantNode  # one for all examples

    def __init__(self) -> None:
        super().__init__()
        self.journal = Journal()
        self.k = 0
        self.width, self.frame_id = 96, 'left'
        assert self.node.trigger_configure().name == 'SUCCESS'
        self.activate()
        self.worker = self.node._worker
        self.journal.watch(self.worker)
        self.watcher = Watcher(lambda: self.worker.state.counts)

    def teardown(self) -> None:
        self.drain()
        self.watcher.close()
        self.node.trigger_deactivate()
        assert self.node.trigger_cleanup().name == 'SUCCESS'
        assert self.watcher.wrong == self.journal.wrong == []

    def wait(self, condition: Callable[[], Any]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.001)

    def drain(self) -> None:
        self.wait(lambda: self.worker.state.counts.in_flight == 0)

    def submit(self, message: Image) -> None:
        self.journal.sent.append(ReceivedImage(message, time.monotonic()))
        self.worker.submit(self.journal.sent[-1])
        self.journal.put += 1

    def next_image(self) -> None:
        self.k += 1
        self.submit(image_message(self.k, width=self.width, height=96, frame_id=self.frame_id))

    @rule(
        steps=st.lists(st.sampled_from((1, 1, 1, 0, -2, 80)), min_size=1, max_size=6),
        width=st.sampled_from((96, 128)),
        frame_id=st.sampled_from(('left', 'right')),
        fault=st.sampled_from(('', '', '', 'data', 'encoding')),
        paced=st.booleans(),
    )
    def images(self, steps: list[int], width: int, frame_id: str, fault: str, paced: bool) -> None:
        self.width, self.frame_id = width, frame_id
        for step in steps:
            self.k += step
            message = image_message(self.k, width=width, height=96, frame_id=frame_id)
            if fault == 'data':
                message.data = message.data[:100]
            elif fault == 'encoding':
                message.encoding = 'palette8'
            self.submit(message)
            if paced:
                self.drain()

    @rule()
    def wait_for_the_worker(self) -> None:
        self.drain()

    @rule(count=st.integers(2, 6))
    def overload(self, count: int) -> None:
        """Let images arrive while the network computes the one before them."""
        self.drain()
        computing, may_go_on = threading.Event(), threading.Event()
        for engine in self.node.engines[-1:]:

            def held(image: Any, state: int, engine: Any = engine) -> tuple[np.ndarray, int]:
                computing.set()
                may_go_on.wait(PATIENCE_S)
                return InstantEngine.step(engine, image, state)

            engine.step = held
            self.next_image()
            self.wait(lambda: computing.is_set() or not self.worker.state.counts.in_flight)
        for _ in range(count):
            self.next_image()
        may_go_on.set()

    @rule(error=st.sampled_from((DeviceError('gone'), ZeroDivisionError('oh'))))
    def fail(self, error: Exception) -> None:
        """Let the device fail; the node deactivates at its next look, an operator activates."""
        self.drain()
        if not self.node.engines:
            return
        self.node.engines[-1].error = error
        self.next_image()
        self.drain()
        for engine in self.node.engines:
            engine.error = None
        if self.worker.state.has_failed:
            self.node._watch()
            self.activate()

    @rule()
    def not_a_number(self) -> None:
        self.drain()
        for engine in self.node.engines[-1:]:
            answer, engine.answer = engine.answer, engine.answer * np.float32(np.nan)
            self.next_image()
            self.drain()
            engine.answer = answer

    @rule(clock=st.booleans())
    def reset(self, clock: bool) -> None:
        if clock:
            self.node._on_clock_jump(None)
        else:
            self.node._on_reset(Trigger.Request(), Trigger.Response())

    @rule(
        max_gap_s=st.sampled_from((0.5, 2.0)),
        output=st.sampled_from(('camera', 'network')),
        factor=st.sampled_from((1.0, 2.0)),
    )
    def change_parameters(self, max_gap_s: float, output: str, factor: float) -> None:
        values = {'max_gap_s': max_gap_s, 'output': output, 'scale.factor': factor}
        results = self.node.set_parameters([Parameter(*item) for item in _typed(values)])
        assert all(result.successful for result in results)

    def activate(self) -> None:
        assert self.node.trigger_activate().name == 'SUCCESS'

    @rule(count=st.integers(0, 3))
    def deactivate_and_activate(self, count: int) -> None:
        assert self.node.trigger_deactivate().name == 'SUCCESS'
        published = len(self.journal.published)
        for _ in range(count):
            self.next_image()
        assert len(self.journal.published) == published  # nothing while inactive
        self.activate()

    @invariant()
    def every_image_is_accounted_for(self) -> None:
        counts = self.worker.state.counts
        assert adds_up(counts)
        assert counts.received == len(self.journal.sent)
        assert counts.published <= len(self.journal.published) <= counts.published + 1

    @invariant()
    def published_in_the_order_of_arrival_and_never_stale(self) -> None:
        newest_at_end = -1
        last = -1
        for index, put in list(self.journal.published):
            assert index > last
            assert index >= newest_at_end  # it was waiting when the frame before it ended
            last, newest_at_end = index, put - 1


def _typed(values: dict[str, Any]) -> list[tuple[str, Parameter.Type, Any]]:
    return [(name, Parameter.Type.from_parameter_value(v), v) for name, v in values.items()]


def test_random_schedules_lose_invent_and_delay_nothing(make_rig: Callable[..., Rig]) -> None:
    NodeMachine.node = make_rig(keep_state_warm=True, scale__steady='never').node
    NodeMachine.node._options = LiveNodeOptions(worker_period_s=0.01)
    run_state_machine_as_test(
        NodeMachine, settings=settings(max_examples=12, stateful_step_count=20)
    )
