# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from videodepth_ros.core.errors import Cancelled
from videodepth_ros.core.progress import Meter, Stage

READ, ALIGN = Stage('read', 4, 1.0), Stage('align', 2, 3.0)


def test_fractions_follow_the_expected_time_and_reach_one():
    said = []
    meter = Meter(said.append, lambda: False)
    meter.expect([READ, ALIGN])
    for name in ['read'] * 4 + ['align'] * 2:
        meter.tick(name)
    assert [one.fraction for one in said] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.7, 1.0])
    assert said[-1].seconds_left == 0
    assert said[0].seconds_left > 0


def test_a_fraction_never_falls_when_more_turns_out_to_be_there():
    said = []
    meter = Meter(said.append, lambda: False)
    meter.expect([READ])
    meter.tick('read')
    meter.expect([READ, ALIGN])
    meter.tick('read')
    assert [one.fraction for one in said] == pytest.approx([0.25, 0.25])


def test_a_job_ends_where_somebody_wants_it_to():
    meter = Meter(lambda _: None, lambda: True)
    meter.expect([READ])
    with pytest.raises(Cancelled, match="stage 'read'"):
        meter.tick('read')


def test_what_an_earlier_run_has_done_counts_no_more():
    said = []
    meter = Meter(said.append, lambda: False)
    meter.expect([READ, ALIGN])
    meter.finish('read')
    meter.tick('align')
    assert said[0].fraction == pytest.approx(0.5)
