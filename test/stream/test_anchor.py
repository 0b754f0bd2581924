# SPDX-License-Identifier: Apache-2.0
"""Metres for a stream from a prior that answers when the test lets it."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from test.support.instant_engine import InstantEngine
from videodepth_ros.core.errors import ConfigError, DeviceError, InputError
from videodepth_ros.frames import Frame, ScaleSource
from videodepth_ros.models.catalogue import InverseDepthUnit, card
from videodepth_ros.models.mono import MonoEstimate, PriorKind
from videodepth_ros.stream.anchor import DEFAULTS, MetricAnchor, log_metric_scale
from videodepth_ros.stream.session import DepthSession, SessionSettings

CARD = replace(
    card('nano'), unit=InverseDepthUnit.NOMINAL, patch=16, min_size_px=16, max_pixels=160 * 128
)
PERIOD_S = 0.1
TIMEOUT_S = 120.0


class Oracle:
    """A prior that knows all depth to be `true_m`, and answers at once or when it is let."""

    name, notice = 'oracle', None

    def __init__(self, true_m: float = 6.0) -> None:
        self.true_m = true_m
        self.kind, self.error = PriorKind.METRIC, None
        self.let = threading.Event()
        self.let.set()
        self.asked: list[int] = []
        self.closed = False

    def estimate(self, frames):
        for frame in frames:
            self.asked.append(frame.stamp_ns)
            assert self.let.wait(TIMEOUT_S)
            if self.error is not None:
                raise self.error
            yield MonoEstimate(np.full((24, 32), self.true_m, np.float32), self.kind)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def oracle():
    return Oracle()


@pytest.fixture
def anchor(oracle):
    made = MetricAnchor(oracle, every=5)
    yield made
    oracle.let.set()
    made.close(TIMEOUT_S)
    assert oracle.closed


def until(condition) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, 'it did not come true in time'
        time.sleep(0.002)


def frame(k: int) -> Frame:
    return Frame(round(k * PERIOD_S * 1e9), 'camera', np.zeros((48, 64, 3), np.uint8))


def show(anchor, k, value):
    """Let frame k of one constant inverse depth pass, and return its metres."""
    metres = anchor.metres(frame(k).stamp_ns)
    anchor.offer(frame(k), np.full((12, 16), value, np.float32))
    return metres


def stream(anchor, values, first=0):
    """Let frames of constant inverse depth pass; each waits until the prior has nothing to do."""
    found = []
    for k, value in enumerate(values, first):
        found.append(show(anchor, k, value))
        until(lambda: not anchor._mailbox.counts.in_flight)
    return found


def test_metres_are_those_of_the_prior(anchor, oracle):
    found = stream(anchor, [20.0] * 7)
    assert found[0] is None, 'the prior had not looked yet'
    assert found[1:] == pytest.approx([120.0] * 6)
    assert oracle.asked == [0, frame(5).stamp_ns]


def test_a_late_answer_belongs_to_its_own_frame(anchor, oracle):
    """The scene comes twice as near while the prior looks at the first frame."""
    oracle.let.clear()
    for k, value in enumerate([20.0, 40.0, 40.0]):
        assert show(anchor, k, value) is None
    oracle.let.set()
    until(lambda: not anchor._mailbox.counts.in_flight)
    assert show(anchor, 3, 40) == pytest.approx(120)


def test_a_stream_never_waits_and_only_the_newest_keyframe_does(anchor, oracle):
    oracle.let.clear()
    for k in range(21):
        show(anchor, k, 20)
        until(lambda: oracle.asked)
    oracle.let.set()
    until(lambda: not anchor._mailbox.counts.in_flight)
    assert oracle.asked == [0, frame(20).stamp_ns]


def test_one_bad_keyframe_does_no_harm(anchor, oracle):
    stream(anchor, [20.0] * 11)  # three keyframes
    oracle.true_m = 60.0
    assert stream(anchor, [20.0] * 5, first=11) == pytest.approx([120.0] * 5)
    oracle.true_m = 6.0
    assert stream(anchor, [20.0] * 10, first=16) == pytest.approx([120.0] * 10)


def test_a_lasting_change_is_followed_without_a_jump(anchor, oracle):
    stream(anchor, [20.0] * 21)
    oracle.true_m = 9.0
    found = np.log(stream(anchor, [20.0] * 80, first=21))
    assert found[-1] == pytest.approx(math.log(180), abs=1e-3)
    assert (
        np.diff(found).max()
        <= math.log(1.5) * (1 - math.exp(-PERIOD_S / DEFAULTS.time_constant_s)) + 1e-6
    )


def test_another_stream_owes_nothing_to_the_last(anchor, oracle):
    stream(anchor, [20.0] * 6)
    oracle.true_m = 12.0
    oracle.let.clear()
    anchor.restart()
    assert show(anchor, 7, 20) == pytest.approx(120)
    anchor.restart()  # what the prior is at is of a stream that has ended
    oracle.let.set()
    until(lambda: not anchor._mailbox.counts.in_flight)
    assert show(anchor, 8, 20) == pytest.approx(120)
    until(lambda: not anchor._mailbox.counts.in_flight)
    assert show(anchor, 9, 20) == pytest.approx(240)


def test_a_keyframe_that_cannot_be_used_is_counted(anchor, oracle):
    oracle.error = InputError('too dark')
    assert stream(anchor, [20.0] * 6) == [None] * 6
    assert anchor.rejected == 2
    oracle.error = None
    assert stream(anchor, [20.0] * 6, first=6)[-1] == pytest.approx(120)


def test_a_prior_that_failed_or_tells_no_metres_is_told(oracle):
    for change, error in (
        ({'error': DeviceError('out of memory')}, DeviceError),
        ({'kind': PriorKind.RELATIVE_INVERSE, 'error': None}, ConfigError),
    ):
        vars(oracle).update(change)
        anchor = MetricAnchor(oracle)
        show(anchor, 0, 20)
        until(lambda made=anchor: made._failure is not None)
        with pytest.raises(error):
            show(anchor, 1, 20)
        anchor.close()


def test_a_prior_that_failed_is_asked_again(anchor, oracle):
    oracle.error = DeviceError('out of memory')
    show(anchor, 0, 20)
    until(lambda: anchor._failure is not None)
    with pytest.raises(DeviceError):
        show(anchor, 1, 20)
    oracle.error = None
    assert stream(anchor, [20.0] * 6, first=2)[-1] == pytest.approx(120)


def test_fit():
    rng = np.random.default_rng(0)
    truth = rng.uniform(1, 20, (48, 64)).astype(np.float32)
    inverse = 50 / truth * np.exp(rng.normal(0, 0.05, truth.shape)).astype(np.float32)
    assert log_metric_scale(inverse, truth) == pytest.approx(math.log(50), abs=0.005)
    worse = inverse.copy()
    worse[:, :20] *= 5  # a third is another surface
    worse[:3], truth[3:6] = 0, np.nan
    assert log_metric_scale(worse, truth) == pytest.approx(math.log(50), abs=0.05)
    with pytest.raises(InputError, match='overlap in 0%'):
        log_metric_scale(inverse, np.full_like(truth, np.inf))
    with pytest.raises(InputError, match='differ'):
        log_metric_scale(inverse, truth[:, ::-1] ** 3)


def test_the_session_takes_its_metres_from_the_anchor(anchor, oracle):
    """The engine says 5 m of nearly all pixels; the prior says 6 m."""
    session = DepthSession(CARD, InstantEngine, SessionSettings(scale_factor=2.0), anchor)
    oracle.let.clear()
    first = session.step(frame(1)).depth
    oracle.let.set()
    until(lambda: not anchor._mailbox.counts.in_flight)
    second = session.step(frame(2)).depth
    assert (first.scale_source, second.scale_source) == (ScaleSource.MODEL, ScaleSource.PRIOR)
    assert (first.depth_m[0, 0], second.depth_m[0, 0]) == pytest.approx((10, 12))
    oracle.true_m = 9.0
    session.request_reset()
    session.step(frame(3))
    until(lambda: not anchor._mailbox.counts.in_flight)
    assert session.step(frame(4)).depth.depth_m[0, 0] == pytest.approx(18)
    session.close()
