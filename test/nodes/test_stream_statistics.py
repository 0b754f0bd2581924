# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import time

import numpy as np
import pytest

from videodepth_ros.frames import ScaleSource
from videodepth_ros.nodes import stream_statistics as module
from videodepth_ros.nodes.stream_statistics import PublishedFrame, StageTimes, StreamStatistics
from videodepth_ros.stream.session import ResetReason


@pytest.fixture
def clock(monkeypatch):
    """A steady clock that stands still until it is set."""
    now = [1000.0]
    monkeypatch.setattr(module.time, 'monotonic', lambda: now[0])
    return now


def output(steady_s: float, age_s: float = 0.1) -> PublishedFrame:
    stages = StageTimes(0, age_s / 16, age_s / 4, age_s / 8, age_s / 16)
    return PublishedFrame(0, 'camera', ScaleSource.MODEL, steady_s, age_s, age_s / 2, stages)


def test_rates_and_ages_are_those_of_the_last_seconds(clock):
    statistics = StreamStatistics()
    for k in range(100):  # 10 Hz in, 5 Hz out; the first 5 s are forgotten
        clock[0] = 1000 + 0.1 * k
        statistics.on_received(clock[0])
        if k % 2 == 0:
            statistics.on_published(output(clock[0], age_s=1.0 if k < 40 else 0.1))
    summary = statistics.summary()
    assert summary.input_rate_hz == pytest.approx(10, abs=0.3)
    assert summary.output_rate_hz == pytest.approx(5, abs=0.3)
    assert summary.age_p50_s == summary.age_p99_s == pytest.approx(0.1)
    assert summary.latency_p50_s == pytest.approx(0.05)
    assert summary.engine_p50_s == pytest.approx(0.025)
    assert summary.stages['postprocess'] == pytest.approx((0.0125, 0.0125))
    assert list(summary.stages) == ['wait', 'decode', 'network', 'postprocess', 'publish']


def test_rates_are_right_from_the_first_second_on(clock):
    statistics = StreamStatistics()
    for k in range(10):
        clock[0] = 1000 + 0.1 * (k + 1)
        statistics.on_received(clock[0])
    assert statistics.summary().input_rate_hz == pytest.approx(10)


def test_nothing_is_not_a_number(clock):
    summary = StreamStatistics().summary()
    assert summary.input_rate_hz == 0
    assert np.isnan(summary.age_p50_s)


def test_clearing_the_window_keeps_the_resets(clock):
    statistics = StreamStatistics()
    statistics.on_reset(ResetReason.GAP)
    statistics.on_received(time.monotonic())
    statistics.on_published(output(time.monotonic()))
    statistics.clear_window()
    summary = statistics.summary()
    assert summary.input_rate_hz == summary.output_rate_hz == 0
    assert dict(zip(ResetReason, summary.resets, strict=True))[ResetReason.GAP] == 1
