# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import cv2
import numpy as np
import pytest

from videodepth_ros.evaluation import DepthPair, TrajectoryAlignment, evaluate_depth
from videodepth_ros.evaluation.depth import error_map
from videodepth_ros.evaluation.plot import (
    PREDICTED,
    TRUE,
    UNKNOWN_GREY,
    colour_errors,
    plot_depth,
    plot_series,
    plot_trajectory,
    stack_plots,
)
from videodepth_ros.evaluation.trajectory import aligned_positions
from videodepth_ros.geometry import Trajectory


def columns_of(picture, colour) -> np.ndarray:
    return np.flatnonzero((picture == colour).all(axis=2).any(axis=0))


def rows_of(picture, colour) -> np.ndarray:
    return np.flatnonzero((picture == colour).all(axis=2).any(axis=1))


def test_a_series_is_drawn_from_its_first_to_its_last_time():
    picture = plot_series('AbsRel', np.arange(5.0), np.array([0.0, 0.1, 0.4, 0.1, 0.0]))
    columns = columns_of(picture, PREDICTED)
    assert columns[0] == pytest.approx(70, abs=2)
    assert columns[-1] == pytest.approx(944, abs=2)
    peak = np.flatnonzero((picture[32] == PREDICTED).all(axis=1))
    assert peak.mean() == pytest.approx((70 + 944) / 2, abs=10)


def test_an_error_map_has_relative_errors_and_unknown_pixels():
    truth_m = np.full((3, 4), 2.0)
    predicted_m = np.full((3, 4), 3.0)
    predicted_m[0, 0] = np.nan
    error = error_map(DepthPair(0, predicted_m, truth_m), (1.0, 0.0), 70.0)
    assert np.isnan(error[0, 0])
    assert error[1, 1] == pytest.approx(0.5)
    colours = colour_errors(error)
    assert (colours[0, 0] == UNKNOWN_GREY).all()
    assert colours[1, 1].sum() > 600  # the bright end of inferno


def test_the_map_is_that_of_the_worst_frame():
    truth_m = np.linspace(1, 4, 48).reshape(6, 8)
    pairs = [DepthPair(k * 10**9, truth_m * scale, truth_m) for k, scale in enumerate((1, 1.8, 1))]
    plots = plot_depth(evaluate_depth(pairs), pairs)
    assert len(plots) == 3
    worst = plots[2][100:-100, 200:-200]
    assert (worst == colour_errors(np.full((1, 1), 0.5))[0, 0]).all()


def test_both_trajectories_are_drawn_to_one_scale():
    stamp_ns = np.arange(20) * 100_000_000
    T_map_cam = np.tile(np.eye(4), (20, 1, 1))
    T_map_cam[:, 0, 3] = np.linspace(0, 4, 20)
    T_map_cam[:, 1, 3] = np.sin(np.linspace(0, 3, 20))
    half = T_map_cam.copy()
    half[:, :3, 3] /= 2
    truth = Trajectory(stamp_ns, T_map_cam)
    aligned_m, true_m = aligned_positions(
        Trajectory(stamp_ns, half), truth, TrajectoryAlignment.SIM3
    )
    np.testing.assert_allclose(aligned_m, true_m, atol=1e-9)
    (picture,) = plot_trajectory(true_m / 2, true_m)
    picture = picture[40:]  # below the legend
    true, found = columns_of(picture, TRUE), columns_of(picture, PREDICTED)
    assert np.ptp(true) == pytest.approx(2 * np.ptp(found), rel=0.1)
    assert np.ptp(true) == pytest.approx(4 * np.ptp(rows_of(picture, TRUE)), rel=0.1)
    assert plot_trajectory(np.empty((0, 3)), np.empty((0, 3))) == []


def test_plots_are_stacked(tmp_path):
    series = plot_series('one value', np.zeros(1), np.ones(1))
    assert stack_plots([series, series]).shape == (2 * 220 + 16, 960, 3)
    assert cv2.imwrite(str(tmp_path / 'plot.png'), series)
