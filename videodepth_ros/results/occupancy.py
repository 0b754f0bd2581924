# SPDX-License-Identifier: Apache-2.0
"""2D occupancy grid of a recording: ground and obstacles of its cloud, for Nav2's map_server."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from videodepth_ros.core.arrays import Float64Array, UInt8Array
from videodepth_ros.core.errors import BagError
from videodepth_ros.results.options import OCCUPANCY, OccupancyOptions

UNKNOWN, FREE, OCCUPIED = -1, 0, 100
"""Values of nav_msgs/OccupancyGrid."""
GREY_OF = {UNKNOWN: 205, FREE: 254, OCCUPIED: 0}
"""Grey levels of map_server, mode trinary."""


@dataclass(frozen=True)
class OccupancyGrid:
    """Cells of the ground plane, in the map.

    cells         (rows, columns) int8: `UNKNOWN`, `FREE` or `OCCUPIED`; row 0 has the least y
    origin_m      x and y of the corner of cell (0, 0)
    resolution_m  side of a cell
    """

    cells: NDArray[np.int8]
    origin_m: tuple[float, float]
    resolution_m: float

    def picture(self) -> UInt8Array:
        """Return the grid as map_server shows it, (rows, columns) uint8, the greatest y on top."""
        grey = np.full(self.cells.shape, GREY_OF[UNKNOWN], np.uint8)
        for value in (FREE, OCCUPIED):
            grey[self.cells == value] = GREY_OF[value]
        return np.ascontiguousarray(grey[::-1])

    def write(self, folder: Path, name: str) -> tuple[str, str]:
        """Write NAME.pgm and NAME.yaml for map_server and return their names.

        raises  BagError if they cannot be written
        """
        names = grid_files(name)
        x_m, y_m = self.origin_m
        text = (
            f'image: {names[0]}\nmode: trinary\nresolution: {self.resolution_m:g}\n'
            f'origin: [{x_m:.6g}, {y_m:.6g}, 0.0]\n'
            'negate: 0\noccupied_thresh: 0.65\nfree_thresh: 0.196\n'
        )
        if not cv2.imwrite(str(folder / names[0]), self.picture()):
            raise BagError(f'{folder / names[0]} cannot be written; check free space')
        try:
            (folder / names[1]).write_text(text, encoding='utf-8')
        except OSError as error:
            raise BagError(f'{folder / names[1]} cannot be written: {error}') from error
        return names


def grid_files(name: str) -> tuple[str, str]:
    """Return the names of the image and of the description of a grid."""
    return f'{name}.pgm', f'{name}.yaml'


def occupancy_of(
    points_m: Float64Array, cameras_m: Float64Array, options: OccupancyOptions = OCCUPANCY
) -> OccupancyGrid | None:
    """Return the grid of a cloud; None where no ground is seen below the cameras.

    points_m   (N, 3) float64 in the map, z up; cameras_m: (M, 3), centres of the cameras

    Points near the ground plane make a cell free, those above it up to the height of a robot
    occupied. Where the cameras were is free.
    """
    ground = fit_ground(points_m, cameras_m, options)
    if ground is None:
        return None
    height_m = points_m[:, 2] - points_m[:, :2] @ ground[:2] - ground[2]
    used = np.abs(height_m) <= options.ground_tolerance_m
    blocking = (height_m > options.min_height_m) & (height_m < options.max_height_m)
    seen = np.concatenate([points_m[used | blocking, :2], cameras_m[:, :2]])
    low, high = seen.min(axis=0), seen.max(axis=0)
    resolution_m = options.resolution_m
    while (np.ceil((high - low) / resolution_m) + 1).prod() > options.max_cells:
        resolution_m *= 2
    origin = np.floor(low / resolution_m) * resolution_m
    columns, rows = (np.floor((high - origin) / resolution_m) + 1).astype(int)

    def count(xy: Float64Array) -> NDArray[np.int64]:
        column, row = np.floor((xy - origin) / resolution_m).astype(int).T
        return np.bincount(row * columns + column, minlength=rows * columns).reshape(rows, columns)

    cells = np.full((rows, columns), UNKNOWN, np.int8)
    cells[(count(points_m[used, :2]) > 0) | (count(cameras_m[:, :2]) > 0)] = FREE
    cells[count(points_m[blocking, :2]) >= options.min_points] = OCCUPIED
    return OccupancyGrid(cells, (float(origin[0]), float(origin[1])), resolution_m)


def fit_ground(
    points_m: Float64Array, cameras_m: Float64Array, options: OccupancyOptions = OCCUPANCY
) -> Float64Array | None:
    """Return a, b, c of the ground z = a x + b y + c; None where nothing is below the cameras.

    Of the heights below the cameras the most frequent one is that of the ground; the plane is
    fitted by least squares to the points about it, and to those about the plane so found.
    """
    below = points_m[points_m[:, 2] < np.median(cameras_m[:, 2]) - options.min_camera_height_m]
    if len(below) < options.min_ground_points:
        return None
    bins = np.floor(below[:, 2] / options.ground_tolerance_m).astype(int)
    number, counts = np.unique(bins, return_counts=True)
    height_m = (number[counts.argmax()] + 0.5) * options.ground_tolerance_m
    plane = np.array([0.0, 0.0, height_m])
    tilted = np.column_stack([below[:, :2], np.ones(len(below))])
    for _ in range(options.ground_rounds):
        near = np.abs(below[:, 2] - tilted @ plane) < options.ground_tolerance_m
        if np.count_nonzero(near) < options.min_ground_points:
            return None
        plane = np.linalg.lstsq(tilted[near], below[near, 2], rcond=None)[0]
    return plane
