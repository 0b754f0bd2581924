# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from videodepth_ros.geometry.bilinear_grid import (
    RidgeGridOptions,
    SmoothGridOptions,
    evaluate_grid,
    fit_ridge_grid,
    fit_smooth_grid,
)

RIDGE = RidgeGridOptions()


def points(count=300, seed=0):
    return np.random.default_rng(seed).random((count, 2))


def slope(place):
    return 0.4 * place[:, 0] - 0.2 * place[:, 1]


def test_a_smooth_grid_fits_points_and_ignores_outliers():
    place = points()
    ratio, sigma = slope(place), np.full(300, 0.02)
    ratio[::10] += 1.5
    field = evaluate_grid(fit_smooth_grid(place, ratio, sigma, 0.25, 0.0), 60, 80)
    column, row = ((np.arange(80) + 0.5) / 80, (np.arange(60) + 0.5) / 60)
    grid = np.stack(np.meshgrid(column, row), axis=-1).reshape(-1, 2)
    assert np.abs(field.ravel() - slope(grid)).max() < 0.05


def test_a_smooth_grid_without_points_is_its_level():
    field = fit_smooth_grid(np.empty((0, 2)), np.empty(0), np.empty(0), 0.25, 0.3)
    assert field.shape == SmoothGridOptions().shape
    assert np.allclose(field, 0.3)


def test_uncertain_points_change_a_smooth_grid_little():
    place = points()
    field = fit_smooth_grid(place, np.full(300, 0.5), np.full(300, 1.0), 0.01, 0.0)
    assert np.abs(field).max() < 0.05


def test_values_of_a_grid_are_between_those_of_its_nodes():
    field = np.random.default_rng(1).standard_normal((7, 9))
    pixels = evaluate_grid(field, 48, 64)
    assert pixels.shape == (48, 64)
    assert pixels.dtype == np.float32
    assert pixels.min() >= field.min()
    assert pixels.max() <= field.max()


def plane(uv):
    return 0.2 * uv[:, 0] - 0.1 * uv[:, 1]


def plane_image(height, width):
    rows, columns = (np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width
    return 0.2 * columns[None] - 0.1 * rows[:, None]


def ridge(uv, values, variance):
    return evaluate_grid(fit_ridge_grid(uv, values, variance, RIDGE), 48, 64)


def test_a_ridge_grid_fits_a_plane():
    field = ridge(points(), plane(points()), np.full(300, 0.02**2))
    assert field.dtype == np.float32
    np.testing.assert_allclose(field, plane_image(48, 64), atol=0.01)


def test_a_ridge_grid_bounds_the_weight_of_outliers():
    values = plane(points())
    values[::6] += 2
    field = ridge(points(), values, np.full(300, 0.02**2))
    np.testing.assert_allclose(field, plane_image(48, 64), atol=0.05)


def test_a_ridge_grid_is_zero_away_from_points():
    field = ridge(points() * (0.3, 1), np.full(300, 0.1), np.full(300, 0.02**2))
    assert field[:, :12] == pytest.approx(0.1, abs=0.02)
    np.testing.assert_array_equal(field[:, 44:], 0)


def test_an_uncertain_point_changes_a_ridge_grid_little():
    field = ridge(points(1), np.array([1.0]), np.array([0.5]))
    assert 0 < np.abs(field).max() < 0.1
