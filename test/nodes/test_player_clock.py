# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from videodepth_ros.nodes.options import OFFLINE
from videodepth_ros.nodes.player_clock import PlayerClock

NS = 10**9
LAG_S = OFFLINE.max_lag_s


@pytest.fixture
def clock():
    clock = PlayerClock()
    clock.start(100 * NS, 5.0, 2.0)
    return clock


def test_data_time_passes_at_the_rate(clock):
    assert clock.data_ns(5.0) == 100 * NS
    assert clock.data_ns(8.0) == 106 * NS
    assert clock.wait_s(106 * NS, 5.5) == pytest.approx(2.5)


def test_a_little_late_is_made_good(clock):
    assert clock.wait_s(106 * NS, 8.0 + LAG_S / 2) < 0
    assert clock.wait_s(108 * NS, 8.0 + LAG_S / 2) == pytest.approx(1 - LAG_S / 2)
    assert clock.late_s == 0


def test_too_late_is_given_up(clock):
    assert clock.wait_s(106 * NS, 11.0) == 0
    assert clock.late_s == pytest.approx(3.0)
    assert clock.wait_s(108 * NS, 11.0) == pytest.approx(1.0)
