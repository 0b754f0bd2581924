# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from videodepth_ros.core.errors import Cancelled
from videodepth_ros.core.progress import ProgressMeter, Stage

READ, ALIGN = Stage('read', 4, 1.0), Stage('align', 2, 3.0)


def test_fractions_follow_the_expected_time_and_reach_one():
    reports = []
    meter = ProgressMeter(reports.append, lambda: False)
    meter.set_stages([READ, ALIGN])
    for name in ['read'] * 4 + ['align'] * 2:
        meter.advance(name)
    assert [one.fraction for one in reports] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.7, 1.0])
    assert reports[-1].seconds_left == 0
    assert reports[0].seconds_left > 0


def test_a_fraction_never_falls_when_stages_are_added():
    reports = []
    meter = ProgressMeter(reports.append, lambda: False)
    meter.set_stages([READ])
    meter.advance('read')
    meter.set_stages([READ, ALIGN])
    meter.advance('read')
    assert [one.fraction for one in reports] == pytest.approx([0.25, 0.25])


def test_a_stage_that_is_repeated_counts_up_to_twice_its_items():
    reports = []
    meter = ProgressMeter(reports.append, lambda: False)
    meter.set_stages([READ, ALIGN])
    for _ in range(4):
        meter.advance('read')
    meter.mark_done('read')
    meter.repeat('read')
    for name in ['read'] * 4 + ['align'] * 2:
        meter.advance(name)
    assert [(one.done, one.items) for one in reports[4:8]] == [(5, 8), (6, 8), (7, 8), (8, 8)]
    assert reports[-2].seconds_left > 0
    assert reports[-1].fraction == pytest.approx(1.0)
    assert reports[-1].seconds_left == 0


def test_a_cancelled_job_raises_after_the_item():
    meter = ProgressMeter(lambda _: None, lambda: True)
    meter.set_stages([READ])
    with pytest.raises(Cancelled, match="stage 'read'"):
        meter.advance('read')


def test_a_stage_done_by_an_earlier_run_has_no_share():
    reports = []
    meter = ProgressMeter(reports.append, lambda: False)
    meter.set_stages([READ, ALIGN])
    meter.mark_done('read')
    meter.advance('align')
    assert reports[0].fraction == pytest.approx(0.5)
