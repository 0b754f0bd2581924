# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from videodepth_ros.nodes.pacer import LATEST_S, Pacer

NS = 10**9


@pytest.fixture
def pacer():
    pacer = Pacer()
    pacer.start(100 * NS, 5.0, 2.0)
    return pacer


def test_data_time_passes_at_the_rate(pacer):
    assert pacer.data_ns(5.0) == 100 * NS
    assert pacer.data_ns(8.0) == 106 * NS
    assert pacer.left_s(106 * NS, 5.5) == pytest.approx(2.5)


def test_a_little_late_is_made_good(pacer):
    assert pacer.left_s(106 * NS, 8.0 + LATEST_S / 2) < 0
    assert pacer.left_s(108 * NS, 8.0 + LATEST_S / 2) == pytest.approx(1 - LATEST_S / 2)
    assert pacer.late_s == 0


def test_too_late_is_given_up(pacer):
    assert pacer.left_s(106 * NS, 11.0) == 0
    assert pacer.late_s == pytest.approx(3.0)
    assert pacer.left_s(108 * NS, 11.0) == pytest.approx(1.0)
