# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np

from videodepth_ros.geometry.bilinear_grid import COLUMNS, ROWS, log_field, spread_out
from videodepth_ros.sfm.depth_samples import log_depth_at


def points(count=300, seed=0):
    return np.random.default_rng(seed).random((count, 2))


def slope(place):
    return 0.4 * place[:, 0] - 0.2 * place[:, 1]


def test_a_field_follows_points_and_leaves_outliers_alone():
    place = points()
    ratio, sigma = slope(place), np.full(300, 0.02)
    ratio[::10] += 1.5
    field = spread_out(log_field(place, ratio, sigma, 0.25, 0.0), 60, 80)
    column, row = ((np.arange(80) + 0.5) / 80, (np.arange(60) + 0.5) / 60)
    grid = np.stack(np.meshgrid(column, row), axis=-1).reshape(-1, 2)
    assert np.abs(field.ravel() - slope(grid)).max() < 0.05


def test_without_points_a_field_is_the_level_of_its_frame():
    field = log_field(np.empty((0, 2)), np.empty(0), np.empty(0), 0.25, 0.3)
    assert field.shape == (ROWS, COLUMNS)
    assert np.allclose(field, 0.3)


def test_vague_points_bend_a_trusted_prior_little():
    place = points()
    field = log_field(place, np.full(300, 0.5), np.full(300, 1.0), 0.01, 0.0)
    assert np.abs(field).max() < 0.05


def test_a_field_lies_between_its_nodes():
    field = np.random.default_rng(1).standard_normal((ROWS, COLUMNS))
    pixels = spread_out(field, 48, 64)
    assert pixels.shape == (48, 64)
    assert pixels.dtype == np.float32
    assert pixels.min() >= field.min()
    assert pixels.max() <= field.max()


def test_a_prior_is_read_where_it_is_smooth():
    depth = np.full((10, 12), 2.0, np.float32)
    depth[:, 6:], depth[:3], depth[8, 1] = 4.0, np.inf, np.nan
    pixel = np.array([[2.2, 5.4], [5.0, 5.0], [9.0, 5.0], [9.0, 1.0], [1.0, 7.0], [-3.0, 5.0]])
    found = log_depth_at(depth, pixel)
    assert np.allclose(
        found.log_depth, [np.log(2), np.nan, np.log(4), np.nan, np.nan, np.log(2)], equal_nan=True
    )
    assert found.far.tolist() == [False, False, False, True, False, False]


def test_zero_and_negative_depth_is_no_depth():
    depth = np.array([[0, 0, 0], [0, 0, 0], [-1, -1, -1]], np.float32)
    found = log_depth_at(depth, np.array([[1.0, 1.0]]))
    assert np.isnan(found.log_depth).all()
    assert not found.far.any()
