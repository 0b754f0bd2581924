# SPDX-License-Identifier: Apache-2.0
"""Expected relative error of depth, from curvature and flicker of a stream."""

from __future__ import annotations

import numpy as np
import pytest

from videodepth_ros.models.cards import UNCALIBRATED, ErrorModel
from videodepth_ros.models.catalogue import card
from videodepth_ros.stream.confidence import DEFAULTS, ErrorEstimator, confidence_map

SHAPE = 192, 256
MODEL = ErrorModel(1.0, 0.5, 0.5, least=0.0, most=0.9)


def plane(tilt: float = 0.05) -> np.ndarray:
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(np.float32)
    return 20 + tilt * rows + 0.02 * columns


def rough(seed: int, share: float = 0.1) -> np.ndarray:
    """A plane with noise on its right half alone."""
    noise = np.random.default_rng(seed).normal(0, share, (24, 32))
    noise[:, :16] = 0
    return (plane() * np.kron(1 + noise, np.ones((8, 8)))).astype(np.float32)


def halves(values: np.ndarray) -> tuple[float, float]:
    """Means of the left and the right half, without the seam."""
    middle = values.shape[1] // 2
    return float(values[:, : middle - 6].mean()), float(values[:, middle + 6 :].mean())


def test_a_plane_has_no_curvature_and_clutter_has():
    curvature, flicker, _ = ErrorEstimator(MODEL).figures(rough(0))
    left, right = halves(curvature[3:-3, 3:-3])
    assert curvature.shape == (48, 64)
    assert left < 1e-4
    assert right > 0.03
    assert flicker is None


def test_flicker_is_that_of_regions_not_of_the_whole_image():
    estimator = ErrorEstimator(MODEL)
    estimator.figures(plane())
    flicker = estimator.figures(1.3 * plane()).flicker
    assert flicker.max() < 1e-5
    for seed in range(4):
        flicker = estimator.figures(rough(seed)).flicker
    left, right = halves(flicker)
    assert left < 0.1 * right
    assert right > 0.05


def test_slope_is_that_of_log_inverse_depth_from_cell_to_cell():
    columns = np.mgrid[: SHAPE[0], : SHAPE[1]][1]
    receding = np.exp(0.01 * columns).astype(np.float32)
    slope = ErrorEstimator(MODEL).figures(receding).slope
    np.testing.assert_allclose(slope[2:-2, 2:-2], 0.04, rtol=0.01)  # 4 pixels a cell
    assert ErrorEstimator(MODEL).figures(np.full(SHAPE, 20, np.float32)).slope.max() == 0


def test_what_recedes_is_surer_than_what_is_as_curved_and_faces_the_camera():
    model = card('nano').errors
    assert model.slope_power < 0
    assert model.error(0.02, 0.02, 0.1) < 0.9 * model.error(0.02, 0.02, 0.0)


def test_a_restart_forgets_the_frame_before():
    estimator = ErrorEstimator(MODEL)
    estimator.figures(rough(0))
    estimator.restart()
    assert estimator.figures(rough(1)).flicker is None
    assert estimator.figures(rough(1)[:96]).flicker is None  # of another size


def test_the_expected_error_is_log_linear_within_its_limits():
    estimator = ErrorEstimator(ErrorModel(0.5, 1.0, 0.0, floor=0.01, least=0.0, usual_flicker=9.0))
    error = estimator.update(plane())
    assert error.dtype == np.float32
    np.testing.assert_allclose(error[4:-4, 4:-4], 0.005, rtol=0.02)  # 0.5 (0 + floor)
    limited = ErrorEstimator(ErrorModel(5.0, 0.1, 0.1, least=0.1, most=0.4)).update(rough(0))
    assert limited.max() == np.float32(0.4)
    assert ErrorEstimator(ErrorModel(1e-6, 0.1, 0.1, least=0.1)).update(plane()).max() == (
        np.float32(0.1)
    )


def test_clutter_that_flickers_is_expected_to_be_worse():
    estimator = ErrorEstimator(card('nano').errors)
    for seed in range(5):
        error = estimator.update(rough(seed))
    left, right = halves(error)
    assert right > 2 * left


def test_stereo_lowers_the_expected_error_where_it_matches():
    matched = np.zeros((24, 32), np.float32)
    matched[:, 16:] = 1
    plain, error = (ErrorEstimator(MODEL).update(plane(), *given) for given in ((), (matched,)))
    left, right = halves(error / plain)
    assert left == pytest.approx(1)
    assert right == pytest.approx(1 - DEFAULTS.matched_gain)


def test_a_network_that_was_not_measured_gets_the_cautious_model():
    assert card('flashdepth-s').errors is None
    quiet = [ErrorEstimator(None).update(plane()) for _ in range(2)][1]
    assert quiet.min() >= np.float32(UNCALIBRATED.least) > card('nano').errors.least


def test_confidence_is_one_minus_the_error_at_the_size_of_the_depth():
    depth_m = np.full((480, 640), 2.0, np.float32)
    depth_m[:, :100], depth_m[:, 100:200] = np.nan, np.inf
    confidence = confidence_map(np.full((48, 64), 0.2, np.float32), depth_m)
    assert confidence.dtype == np.float32
    assert confidence.shape == depth_m.shape
    assert (confidence[:, :100] == 0).all()
    assert (confidence[:, 100:200] == DEFAULTS.at_infinity).all()
    np.testing.assert_allclose(confidence[:, 200:], 0.8, rtol=1e-6)


@pytest.mark.parametrize('value', [0.0, 1e-30])
def test_an_inverse_depth_of_zero_has_a_finite_error(value):
    estimator = ErrorEstimator(MODEL)
    for _ in range(2):
        error = estimator.update(np.full(SHAPE, value, np.float32))
    assert np.isfinite(error).all()
