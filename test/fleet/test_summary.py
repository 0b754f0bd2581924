# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re

from videodepth_ros.fleet.manifest import DONE, FAILED, Entry
from videodepth_ros.fleet.place import Place
from videodepth_ros.fleet.summary import draw_histogram, render_summary, worst_bags


def entry(name, status=DONE, **figures):
    return Entry(
        name, f'/b/{name}', status, 'refine', {}, 'k', figures=figures, scale_source='lidar'
    )


def test_a_histogram_counts_every_value():
    chart = draw_histogram('x', [0.0, 0.0, 1.0, 4.0])
    counts = [int(bar.text.rpartition(': ')[2]) for bar in chart.bars]
    assert sum(counts) == 4
    assert chart.most == 2
    assert max(bar.height for bar in chart.bars) == chart.bars[0].height
    assert (chart.least, chart.greatest, chart.median) == ('0', '4', '0.5')
    assert draw_histogram('one', [3.0]).bars


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
