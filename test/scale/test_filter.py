# SPDX-License-Identifier: Apache-2.0
"""Fusion of measurements: uncertainty, outliers, steps, age."""

from __future__ import annotations

import math

import numpy as np
import pytest

from videodepth_ros.frames import ScaleSource
from videodepth_ros.scale.filter import ScaleFilter
from videodepth_ros.scale.measurement import ScaleMeasurement
from videodepth_ros.scale.options import ScaleFilterOptions

FRAME_NS = 66_000_000
OPTIONS = ScaleFilterOptions()


def measured(log_scale, k, sigma=0.05, source=ScaleSource.LIDAR):
    return ScaleMeasurement(log_scale, sigma, k * FRAME_NS, source)


def run(scale_filter, values, first=0, **more):
    """Return the output of each frame of a stream with one measurement a frame (None: none)."""
    found = []
    for k, value in enumerate(values, first):
        if value is not None:
            scale_filter.update(measured(value, k, **more))
        found.append(scale_filter.step(k * FRAME_NS))
    return found


def test_there_is_no_scale_before_a_measurement():
    scale_filter = ScaleFilter()
    assert scale_filter.step(0) is None
    assert scale_filter.status(0).source is None


def test_the_first_measurement_is_taken_at_once():
    assert run(ScaleFilter(), [1.3]) == [1.3]


def test_noise_is_averaged():
    rng = np.random.default_rng(0)
    found = run(ScaleFilter(), rng.normal(1.0, 0.05, 300))
    assert np.std(found[100:]) < 0.025
    assert np.mean(found[100:]) == pytest.approx(1.0, abs=0.01)


def test_an_outlier_is_rejected_and_counted():
    scale_filter = ScaleFilter()
    run(scale_filter, [1.0] * 20)
    assert not scale_filter.update(measured(2.0, 20))
    assert scale_filter.step(20 * FRAME_NS) == pytest.approx(1.0, abs=1e-6)
    assert (scale_filter.status(20 * FRAME_NS).accepted, scale_filter.status(0).rejected) == (
        20,
        1,
    )


@pytest.mark.parametrize('every', [1, 8])
def test_a_lasting_change_is_followed_in_small_steps(every):
    scale_filter = ScaleFilter()
    run(scale_filter, [1.0] * 30)
    changed = [1.3 if k % every == 0 else None for k in range(180)]
    found = np.array(run(scale_filter, changed, first=30))
    assert np.abs(np.diff(found)).max() <= OPTIONS.max_step + 1e-12
    assert found[-1] == pytest.approx(1.3, abs=0.01)


def test_while_a_network_settles_the_scale_follows_at_once():
    found = run(ScaleFilter(), [1.3, 1.2, 1.1, 1.05, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    assert found[-1] == pytest.approx(1.0, abs=0.06)


def test_the_more_certain_source_leads():
    scale_filter = ScaleFilter()
    for k in range(60):
        scale_filter.update(measured(1.1, k, 0.2, ScaleSource.ODOMETRY))
        scale_filter.update(measured(1.0, k, 0.02, ScaleSource.LIDAR))
    assert scale_filter.step(0) == pytest.approx(1.0, abs=0.01)
    assert scale_filter.status(60 * FRAME_NS).source is ScaleSource.LIDAR


def test_a_scale_without_measurements_goes_on_and_is_stale():
    scale_filter = ScaleFilter()
    run(scale_filter, [1.0] * 10)
    later_ns = 10 * FRAME_NS + int(3e9)
    status = scale_filter.status(later_ns)
    assert scale_filter.step(later_ns) == pytest.approx(1.0)
    assert status.is_stale
    assert status.age_s == pytest.approx(3.066)
    assert status.source is ScaleSource.LIDAR


def test_drift_and_spread_are_those_of_the_window():
    scale_filter = ScaleFilter()
    run(scale_filter, np.linspace(1.0, 1.1, 150))
    status = scale_filter.status(150 * FRAME_NS)
    assert status.drift == pytest.approx(0.1, abs=0.03)
    assert 0 < status.spread < 0.05
    assert math.isnan(ScaleFilter().status(0).drift)


def test_another_stream_starts_from_the_last_scale_and_takes_its_own_at_once():
    scale_filter = ScaleFilter()
    run(scale_filter, [1.0] * 30)
    scale_filter.restart()
    assert scale_filter.step(0) == pytest.approx(1.0)
    assert not scale_filter.status(0).age_s < math.inf
    assert run(scale_filter, [1.4], first=0)[0] == pytest.approx(1.4, abs=0.05)
