# SPDX-License-Identifier: Apache-2.0
import numpy as np

from videodepth_ros.mvs.confidence import UNKNOWN_ERROR, expected_error, missing_parallax


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
