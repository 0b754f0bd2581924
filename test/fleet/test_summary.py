# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re

import numpy as np
import pytest

from videodepth_ros.fleet.manifest import DONE, FAILED, Entry
from videodepth_ros.fleet.place import Place
from videodepth_ros.fleet.summary import (
    HISTOGRAMS,
    Shown,
    bin_edges,
    draw_histogram,
    render_summary,
    worst_bags,
)


def entry(name, status=DONE, **figures):
    return Entry(
        name, f'/b/{name}', status, 'refine', {}, 'k', figures=figures, scale_source='lidar'
    )


def test_a_histogram_counts_every_value():
    chart = draw_histogram(Shown('x', 'm'), [0.0, 0.0, 1.0, 4.0])
    assert sum(bar.count for bar in chart.bars) == 4
    assert max(bar.height for bar in chart.bars) == chart.bars[0].height
    assert chart.bars[0].text == '0 to 0.5 m: 2'
    assert (chart.name, chart.median) == ('x [m]', '0.5 m')
    assert [tick.text for tick in chart.ticks] == ['0', '1', '2', '3', '4']


@pytest.mark.parametrize(
    ('values', 'edges'),
    [
        ([0.34], [0.0, 0.1, 0.2, 0.3, 0.4]),
        ([0.0], [0.0, 1.0]),
        ([0.6], [0.0, 0.2, 0.4, 0.6]),
        ([1234.0, 4000.0], [0.0, 1000.0, 2000.0, 3000.0, 4000.0]),
        ([-1.0, 3.0], [-1.0, 0.0, 1.0, 2.0, 3.0]),
    ],
)
def test_bins_begin_at_zero_and_have_round_widths(values, edges):
    np.testing.assert_allclose(bin_edges(values, 4), edges)


def test_a_share_is_shown_in_percent():
    chart = draw_histogram(HISTOGRAMS['scale_drift'], [0.012, 0.034])
    assert (chart.name, chart.median) == ('drift of the scale [%]', '2.3 %')


def test_the_worst_are_those_with_the_largest_error():
    done = [entry('a', ate_rmse_m=0.1), entry('b', ate_rmse_m=0.5), entry('c', scale_drift=9.0)]
    name, worst = worst_bags(done, 10)
    assert name == 'ate_rmse_m'
    assert [one.name for one in worst] == ['b', 'a']
    assert worst_bags([entry('a', left_out=1), entry('b', left_out=3)], 1)[1][0].name == 'b'
    assert worst_bags([], 10) == ('notes', [])


def test_the_page_has_failures_and_escapes_names(tmp_path):
    failed = Entry('<b>', '/b', FAILED, 'refine', {}, 'k', error='a < b')
    entries = {one.name: one for one in (entry('ä', ate_rmse_m=0.1, scale_drift=0.02), failed)}
    page = render_summary(entries, Place.of(str(tmp_path)))
    assert '&lt;b&gt;' in page
    assert 'a &lt; b' in page
    assert '<b><' not in page
    assert len(re.findall('<svg', page)) == 3  # drift, trajectory error, computing time
    assert '1 of 2' in page
    assert 'lidar (1)' in page


def test_an_empty_fleet_has_a_page(tmp_path):
    assert '0 of 0' in render_summary({}, Place.of(str(tmp_path)))
