# SPDX-License-Identifier: Apache-2.0
"""The 2D grid: walls, a table and free ground of a synthetic room at known cells."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import yaml

from videodepth_ros.core.errors import BagError
from videodepth_ros.results.occupancy import FREE, OCCUPIED, UNKNOWN, fit_ground, occupancy_of
from videodepth_ros.results.options import OccupancyOptions

CAMERAS = np.array([[1.0, 1.0, 1.2], [2.0, 1.0, 1.2]])
STEP_M = 0.02


def sheet(x, y, z):
    """Return points of a rectangle, each axis a value or a range."""
    axes = [np.arange(*a, STEP_M) if isinstance(a, tuple) else np.array([a]) for a in (x, y, z)]
    return np.stack(np.meshgrid(*axes, indexing='ij'), axis=-1).reshape(-1, 3)


def room(slope=0.0, drop_m=0.0):
    """Return a room of 4 x 3 m with a wall at x = 4, a box at (2, 2) and a lamp at 2.2 m."""
    points = np.concatenate(
        [
            sheet((0.0, 4.0), (0.0, 3.0), 0.0),
            sheet(4.01, (0.0, 3.0), (0.2, 1.7)),
            sheet((2.01, 2.4), (2.01, 2.4), 0.5),
            sheet((0.5, 0.8), (0.5, 0.8), 2.2),
        ]
    )
    points[:, 2] += slope * points[:, 0] - drop_m
    return points


def value(grid, x_m, y_m):
    column, row = np.floor((np.array([x_m, y_m]) - grid.origin_m) / grid.resolution_m).astype(int)
    return grid.cells[row, column]


@pytest.mark.parametrize(('slope', 'drop_m'), [(0.0, 0.0), (0.05, 0.0), (0.0, 3.0)])
def test_walls_and_furniture_are_at_their_cells(slope, drop_m):
    cameras = CAMERAS - [0, 0, drop_m]
    grid = occupancy_of(room(slope, drop_m), cameras)
    assert grid.resolution_m == 0.05
    for y_m in np.arange(0.1, 2.9, 0.1):
        assert value(grid, 4.02, y_m) == OCCUPIED
        assert value(grid, 3.8, y_m) == FREE
    assert value(grid, 2.2, 2.2) == OCCUPIED
    assert value(grid, 0.65, 0.65) == FREE  # below the lamp
    assert (grid.cells == OCCUPIED).sum() < 150


def test_what_was_not_seen_is_unknown():
    points = room()
    grid = occupancy_of(points[(points[:, 0] < 1) | (points[:, 0] > 3)], CAMERAS)
    assert value(grid, 2.5, 2.5) == UNKNOWN
    assert value(grid, 2.0, 1.0) == FREE  # the camera was there


def test_few_points_are_no_obstacle():
    points = np.concatenate([room(), [[1.5, 1.5, 1.0]]])
    assert value(occupancy_of(points, CAMERAS), 1.5, 1.5) == FREE


def test_without_ground_below_the_cameras_there_is_no_grid():
    points = room()
    assert occupancy_of(points[points[:, 2] > 1.3], CAMERAS) is None
    assert fit_ground(np.empty((0, 3)), CAMERAS) is None


def test_cells_grow_where_there_would_be_too_many():
    grid = occupancy_of(room(), CAMERAS, OccupancyOptions(max_cells=1500))
    assert grid.resolution_m == 0.1
    assert grid.cells.size <= 1500


def test_files_are_those_of_map_server(tmp_path):
    grid = occupancy_of(room(), CAMERAS)
    assert grid.write(tmp_path, 'map') == ('map.pgm', 'map.yaml')
    stated = yaml.safe_load((tmp_path / 'map.yaml').read_text())
    assert stated['image'] == 'map.pgm'
    assert stated['origin'] == [*grid.origin_m, 0.0]
    assert stated['resolution'] == grid.resolution_m
    image = cv2.imread(str(tmp_path / 'map.pgm'), cv2.IMREAD_UNCHANGED)
    occupied = (255 - image[::-1]) / 255 > stated['occupied_thresh']
    free = (255 - image[::-1]) / 255 < stated['free_thresh']
    np.testing.assert_array_equal(occupied, grid.cells == OCCUPIED)
    np.testing.assert_array_equal(free, grid.cells == FREE)
    with pytest.raises(BagError, match='cannot be written'):
        grid.write(tmp_path / 'nowhere', 'map')
