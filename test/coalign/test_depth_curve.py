# SPDX-License-Identifier: Apache-2.0
import numpy as np

from videodepth_ros.coalign.streaming import DepthCurve, fit_depth_curve


def test_compressed_depth_is_expanded():
    random = np.random.default_rng(0)
    truth = random.uniform(0, 4, 3000)
    compressed = 1 + 0.6 * truth
    curve = fit_depth_curve(compressed, truth - compressed, np.ones(3000))
    np.testing.assert_allclose(compressed + curve(compressed), truth, atol=0.12)


def test_outliers_do_not_change_the_curve():
    random = np.random.default_rng(1)
    depth = random.uniform(0, 3, 2000)
    ratio = random.normal(0.2, 0.02, 2000)
    ratio[:300] += 3
    curve = fit_depth_curve(depth, ratio, np.ones(2000))
    np.testing.assert_allclose(curve(np.linspace(0, 3, 20)), 0.2, atol=0.03)


def test_the_curve_is_constant_beyond_its_ends_and_unknown_stays():
    curve = DepthCurve(np.array([0.0, 1.0]), np.array([0.5, -0.5]))
    np.testing.assert_array_equal(
        curve(np.array([-9, 0.5, 9, np.inf, np.nan])), [0.5, 0, -0.5, -0.5, np.nan]
    )
    np.testing.assert_array_equal(curve.shifted(1.0)(np.array([[0.0, 1.0]])), [[1.5, 0.5]])


def test_points_of_one_depth_make_one_factor():
    curve = fit_depth_curve(np.full(5, 2.0), np.array([0.1, 0.1, 0.1, 0.1, 4]), np.ones(5))
    np.testing.assert_allclose(curve(np.array([0.0, 2, 9])), 0.1)
    assert DepthCurve.identity()(np.zeros((2, 3))).tolist() == np.zeros((2, 3)).tolist()
