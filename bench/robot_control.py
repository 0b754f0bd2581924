# SPDX-License-Identifier: Apache-2.0
"""A rolling costmap and a controller: what Nav2 does with a scan, as short as it can be.

Beams clear the cells that they cross and mark the one in which they end. The path to the goal is
the cheapest one over the costmap, unknown cells being free (NavFn); the robot follows a point on
it some way ahead (regulated pure pursuit) and brakes before what is marked (collision monitor).
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import cv2
import numpy as np
from numba import njit

from videodepth_ros.core.arrays import Float32Array

_NEIGHBOURS = np.array(
    [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0)], np.int64
)


@dataclass(frozen=True)
class ControlOptions:
    """Costmap and controller."""

    mark_m: float = 2.5  # farthest beam that marks, as obstacle_max_range
    clear_m: float = 3.0  # to where a beam clears, as raytrace_max_range
    blind_m: float = 0.6  # nearer cells are below the view and are not cleared, raytrace_min_range
    window_m: float = 4.0  # half side of the costmap about the robot
    margin_m: float = 0.1  # between the robot and a marked cell
    inflation_m: float = 0.4  # beyond the robot, in which cells cost more
    inflation_cost: float = 8.0  # of a cell beside the robot's margin, in free cells
    lethal_cost: float = 500.0  # of a cell that the robot does not fit in
    lookahead_m: float = 0.5  # of the point that is followed
    speed_m_s: float = 0.4
    turn_rad_s: float = 1.0
    turn_gain: float = 2.0  # [1/s] turn rate over heading error
    in_place_rad: float = 0.7  # heading error from which on the robot turns on the spot
    brake_s: float = 1.0  # of motion that must be free
    brake_step_s: float = 0.1


DEFAULTS = ControlOptions()


class Costmap:
    """Marked cells of a map about the robot."""

    def __init__(
        self,
        shape: tuple[int, int],
        low_m: tuple[float, float],
        cell_m: float,
        options: ControlOptions = DEFAULTS,
    ) -> None:
        self.marked = np.zeros(shape, np.bool_)
        self._low_m, self._cell_m, self._options = low_m, cell_m, options

    def update(self, x_m: float, y_m: float, yaw_rad: float, ranges_m: Float32Array) -> None:
        """Clear and mark with a full circle of beams (B,) from -pi: +inf free, NaN unknown."""
        options, cell_m = self._options, self._cell_m
        place = (x_m - self._low_m[0]) / cell_m, (y_m - self._low_m[1]) / cell_m
        ends = np.minimum(ranges_m, options.clear_m) / cell_m
        limits = options.blind_m / cell_m, options.mark_m / cell_m
        _trace(self.marked, *place, yaw_rad, ranges_m / cell_m, ends, *limits)
        row, column, half = int(place[1]), int(place[0]), int(options.window_m / cell_m)
        kept = np.zeros_like(self.marked)
        window = (
            slice(max(0, row - half), row + half + 1),
            slice(max(0, column - half), column + half + 1),
        )
        kept[window] = self.marked[window]
        self.marked = kept

    def clearance_m(self) -> Float32Array:
        """Return the distance of each cell from the nearest one that is marked."""
        free = (~self.marked).astype(np.uint8)
        if free.all():
            return np.full(free.shape, np.inf, np.float32)
        return cv2.distanceTransform(free, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) * np.float32(
            self._cell_m
        )


class Controller:
    """Drive a round robot to a goal over a costmap."""

    def __init__(
        self,
        costmap: Costmap,
        radius_m: float,
        low_m: tuple[float, float],
        cell_m: float,
        options: ControlOptions = DEFAULTS,
    ) -> None:
        self._costmap, self._radius_m = costmap, radius_m
        self._low_m, self._cell_m, self._options = np.array(low_m), cell_m, options

    def command(
        self, x_m: float, y_m: float, yaw_rad: float, goal_m: tuple[float, float]
    ) -> tuple[float, float]:
        """Return forward speed [m/s] and turn rate [rad/s]."""
        options = self._options
        clearance_m = self._costmap.clearance_m()
        ahead = self._point_ahead(clearance_m, np.array([x_m, y_m]), np.array(goal_m))
        error = np.arctan2(ahead[1] - y_m, ahead[0] - x_m) - yaw_rad
        error = float((error + np.pi) % (2 * np.pi) - np.pi)
        turn = float(np.clip(options.turn_gain * error, -options.turn_rad_s, options.turn_rad_s))
        if abs(error) > options.in_place_rad:
            return 0.0, turn
        speed = options.speed_m_s * (1 - abs(error) / options.in_place_rad)
        for share in (1.0, 0.5, 0.25):
            if self._is_free(clearance_m, x_m, y_m, yaw_rad, share * speed, turn):
                return share * speed, turn
        return 0.0, turn if abs(error) > 0.1 else options.turn_rad_s / 2  # look around

    def _point_ahead(
        self, clearance_m: Float32Array, place_m: np.ndarray, goal_m: np.ndarray
    ) -> np.ndarray:
        """Return the point (2,) of the cheapest path that is followed now."""
        options = self._options
        beyond = clearance_m - self._radius_m - options.margin_m
        near = np.clip(1 - beyond / options.inflation_m, 0, 1)
        cost = 1 + options.inflation_cost * near**2
        cost[beyond < 0] = options.lethal_cost
        column, row = ((goal_m - self._low_m) / self._cell_m).astype(int)
        to_goal = cost_to_goal(cost.astype(np.float32), row, column)
        column, row = ((place_m - self._low_m) / self._cell_m).astype(int)
        steps = int(options.lookahead_m / self._cell_m)
        row, column, arrived = _descend(to_goal, row, column, steps)
        if arrived:
            return goal_m
        return np.asarray(self._low_m + (np.array([column, row]) + 0.5) * self._cell_m)

    def _is_free(
        self,
        clearance_m: Float32Array,
        x_m: float,
        y_m: float,
        yaw_rad: float,
        speed: float,
        turn: float,
    ) -> bool:
        """Return whether the robot may drive so, or leaves what it is already too near to."""
        options = self._options
        times = np.arange(0, options.brake_s + 1e-6, options.brake_step_s)
        angles = yaw_rad + turn * times
        steps = speed * options.brake_step_s
        xs = x_m + steps * np.append(0, np.cos(angles[:-1]).cumsum())
        ys = y_m + steps * np.append(0, np.sin(angles[:-1]).cumsum())
        places = (np.stack([ys, xs], axis=1) - self._low_m[::-1]) / self._cell_m
        cells = np.clip(places.astype(int), 0, np.array(clearance_m.shape) - 1)
        found = clearance_m[cells[:, 0], cells[:, 1]]
        least = min(self._radius_m + options.margin_m, float(found[0]))
        return bool(found.min() >= least)


@njit(cache=True)
def cost_to_goal(cost, row, column):  # type: ignore[no-untyped-def]
    """Return the least cost of a path from each cell to a goal (Dijkstra), (H, W) float32.

    cost  (H, W) float32 of a cell; +inf: no path crosses it
    """
    height, width = cost.shape
    total = np.full(cost.shape, np.inf, np.float32)
    total[row, column] = 0.0
    heap = [(np.float32(0.0), row, column)]
    while heap:
        least, i, j = heapq.heappop(heap)
        if least > total[i, j]:
            continue
        for k in range(len(_NEIGHBOURS)):
            a, b = i + _NEIGHBOURS[k, 0], j + _NEIGHBOURS[k, 1]
            if not (0 <= a < height and 0 <= b < width):
                continue
            length = np.sqrt(np.float32(abs(a - i) + abs(b - j)))
            there = np.float32(least + length * (cost[a, b] + cost[i, j]) / 2)
            if there < total[a, b]:
                total[a, b] = there
                heapq.heappush(heap, (there, a, b))
    return total


@njit(cache=True)
def _descend(total, row, column, steps):  # type: ignore[no-untyped-def]
    """Return the cell that many steps along the path, and whether it is the goal."""
    height, width = total.shape
    for _ in range(steps):
        best_row, best_column = row, column
        for k in range(len(_NEIGHBOURS)):
            a, b = row + _NEIGHBOURS[k, 0], column + _NEIGHBOURS[k, 1]
            if 0 <= a < height and 0 <= b < width and total[a, b] < total[best_row, best_column]:
                best_row, best_column = a, b
        if best_row == row and best_column == column:
            return row, column, True
        row, column = best_row, best_column
    return row, column, False


@njit(cache=True)
def _trace(marked, x, y, yaw, ranges, ends, blind, reach):  # type: ignore[no-untyped-def]
    """Clear the cells of all beams, then mark where they end; lengths in cells."""
    height, width = marked.shape
    for beam in range(len(ranges)):
        angle = yaw - np.pi + beam * 2 * np.pi / len(ranges)
        length = blind
        while length < ends[beam] - 1.0:  # NaN: none
            column, row = int(x + length * np.cos(angle)), int(y + length * np.sin(angle))
            if not (0 <= column < width and 0 <= row < height):
                break
            marked[row, column] = False
            length += 0.5
    for beam in range(len(ranges)):
        if ranges[beam] <= reach:
            angle = yaw - np.pi + beam * 2 * np.pi / len(ranges)
            column = int(x + ranges[beam] * np.cos(angle))
            row = int(y + ranges[beam] * np.sin(angle))
            if 0 <= column < width and 0 <= row < height:
                marked[row, column] = True
