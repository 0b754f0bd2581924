# SPDX-License-Identifier: Apache-2.0
import numpy as np

from videodepth_ros.mvs.confidence import (
    UNKNOWN_ERROR,
    USUAL_PRIOR_ERROR,
    error_by_agreement,
    expected_error,
    missing_parallax,
)


def test_error_grows_where_parallax_is_less():
    per_m = np.float32([[1.0, 0.5, 0.25, 0.125, 2.0]]).repeat(3, axis=0)
    missing = missing_parallax(per_m, parallax_px=16.0, preferred_px=16.0)
    np.testing.assert_allclose(missing[0], [1, 1, 2, 4, 1])  # the median is .5 / m
    np.testing.assert_allclose(missing_parallax(per_m, 8.0, 16.0)[0], [1, 2, 4, 8, 1])
    certain, nowhere = np.ones_like(per_m), np.zeros(per_m.shape, bool)
    error = expected_error(certain, missing, nowhere)
    np.testing.assert_allclose(error[0], 0.015 * missing[0], rtol=1e-5)


def test_error_is_bounded_where_there_is_no_parallax():
    per_m = np.ones((2, 2), np.float32)
    missing = missing_parallax(per_m, 0.0, 16.0)
    assert (expected_error(per_m, missing, np.zeros((2, 2), bool)) == UNKNOWN_ERROR).all()


def errors(certainty, prior_error, missing=1.0, trust=1.0):
    maps = (np.float32([[value]]) for value in (certainty, missing))
    error = expected_error(*maps, np.zeros((1, 1), bool), np.float32([[prior_error]]), trust)
    return float(error[0, 0])


def test_error_is_that_of_the_prior_where_nothing_is_certain():
    assert np.isclose(errors(0.0, 0.07), 0.07)
    assert np.isclose(errors(0.0, 0.07, missing=5.0), 0.07)  # parallax is stereo's need
    assert np.isclose(errors(0.0, 0.07, trust=0.0), 0.14)
    assert errors(0.0, 0.4, trust=0.0) == UNKNOWN_ERROR


def test_the_prior_does_not_count_where_stereo_is_sure():
    assert errors(0.9, 0.03) == errors(0.9, 0.45) < 0.04
    assert errors(0.4, 0.05) < errors(0.4, USUAL_PRIOR_ERROR) < errors(0.4, 0.4)


def test_error_without_stereo_grows_where_frames_disagree():
    error = error_by_agreement(np.float32([[0.1, 0.1, 0.45]]), np.float32([[1.0, 0.0, 0.0]]))
    np.testing.assert_allclose(error, [[0.05, 0.15, UNKNOWN_ERROR]], rtol=1e-6)
