# SPDX-License-Identifier: Apache-2.0
"""World of a simulated robot: a synthetic scene that stands still, its map, camera and lidar."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import cv2
import numpy as np

from bench.robot_control import cost_to_goal
from videodepth_ros.core.arrays import Float32Array, Float64Array, MaskArray
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.synthetic.camera_path import look_along
from videodepth_ros.synthetic.families import FAMILIES
from videodepth_ros.synthetic.lighting import Illumination, illuminate
from videodepth_ros.synthetic.optics import random_optics
from videodepth_ros.synthetic.raycast import cast_image, view_scene
from videodepth_ros.synthetic.render import ClipSetup, SyntheticFrame, render_frames
from videodepth_ros.synthetic.scene import Scene, Shape

FIRST_SEED = 5_000_000
"""Of the layouts; those of training are below 100,000."""


@dataclass(frozen=True)
class Robot:
    """A round robot with two driven wheels and a camera.

    It passes over what is lower than ``clearance_m`` and below what is higher than ``height_m``.
    """

    radius_m: float = 0.2
    clearance_m: float = 0.1
    height_m: float = 0.5
    camera_ahead_m: float = 0.1
    camera_height_m: float = 0.4
    camera_pitch_rad: float = -0.15
    fx_ratio: float = 0.6  # focal length in image widths

    @property
    def T_base_cam(self) -> Float64Array:
        """Pose (4, 4) of the camera in the base frame: x ahead, z up, on the ground."""
        place = np.array([self.camera_ahead_m, 0.0, self.camera_height_m])
        return look_along(place, 0.0, self.camera_pitch_rad, 0.0)

    def camera(self, width: int = 320, height: int = 240) -> Intrinsics:
        """Return the intrinsics at a size."""
        return Intrinsics.centred(width, height, self.fx_ratio * width)


class Pose(NamedTuple):
    """Pose of the base in the map."""

    x_m: float
    y_m: float
    yaw_rad: float

    @property
    def T_map_base(self) -> Float64Array:
        """The pose (4, 4)."""
        T = np.eye(4)
        c, s = np.cos(self.yaw_rad), np.sin(self.yaw_rad)
        T[:2, :2] = [[c, -s], [s, c]]
        T[:2, 3] = self.x_m, self.y_m
        return T


class Errand(NamedTuple):
    """A drive from a pose to a goal (x, y)."""

    start: Pose
    goal_m: tuple[float, float]


@dataclass(frozen=True)
class World:
    """A scene, and the map of what the robot runs into.

    blocked  (rows, columns) bool, rows along y and columns along x from ``low_m``
    """

    scene: Scene
    light: Illumination
    blocked: MaskArray
    low_m: tuple[float, float]
    cell_m: float

    @cached_property
    def clearance_m(self) -> Float32Array:
        """Distance of each cell from the nearest one that is blocked."""
        free = (~self.blocked).astype(np.uint8)
        distance = cv2.distanceTransform(free, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        return np.asarray(distance * self.cell_m, np.float32)

    def distance_m(self, x_m: float, y_m: float) -> float:
        """Return the distance of a place from the nearest obstacle; 0 outside the map."""
        row, column = self._cell(x_m, y_m)
        inside = 0 <= row < self.blocked.shape[0] and 0 <= column < self.blocked.shape[1]
        return float(self.clearance_m[row, column]) if inside else 0.0

    def _cell(self, x_m: float, y_m: float) -> tuple[int, int]:
        return int((y_m - self.low_m[1]) / self.cell_m), int((x_m - self.low_m[0]) / self.cell_m)

    def lidar(self, pose: Pose, beams: int = 360, reach_m: float = 5.0) -> Float32Array:
        """Return ideal ranges (beams,) from -pi on about the base; +inf: nothing within reach."""
        angles = pose.yaw_rad - np.pi + 2 * np.pi / beams * np.arange(beams)
        ranges = np.zeros(beams)
        for _ in range(200):  # by the distance to the nearest obstacle, until it is in the cell
            columns = (pose.x_m + ranges * np.cos(angles) - self.low_m[0]) / self.cell_m
            rows = (pose.y_m + ranges * np.sin(angles) - self.low_m[1]) / self.cell_m
            rows = np.clip(rows.astype(int), 0, self.blocked.shape[0] - 1)
            columns = np.clip(columns.astype(int), 0, self.blocked.shape[1] - 1)
            step = self.clearance_m[rows, columns]
            ranges += np.where(step > 0, np.maximum(step - self.cell_m, self.cell_m / 2), 0)
            if not ((step > 0) & (ranges < reach_m)).any():
                break
        return np.where(ranges < reach_m, ranges, np.inf).astype(np.float32)

    def errands(self, robot: Robot, count: int, seed: int) -> list[Errand]:
        """Draw drives of 2.5 to 6 m that leave the robot 15 cm on both sides."""
        rng = np.random.default_rng([31, seed])
        wide = self.clearance_m > robot.radius_m + 0.15
        places = np.argwhere(wide)
        found: list[Errand] = []
        for _ in range(200):
            row, column = places[rng.integers(len(places))]
            cost = np.where(wide, 1.0, np.inf).astype(np.float32)
            length_m = cost_to_goal(cost, row, column) * self.cell_m
            starts = np.argwhere(wide & (length_m > 2.5) & (length_m < 6.0))
            if not len(starts):
                continue
            start = self._place(starts[rng.integers(len(starts))])
            pose = Pose(*start, float(rng.uniform(-np.pi, np.pi)))
            found.append(Errand(pose, self._place((row, column))))
            if len(found) == count:
                return found
        raise ValueError(f'{len(found)} of {count} drives found: the scene is too narrow')

    def _place(self, cell: tuple[int, int] | Float64Array) -> tuple[float, float]:
        row, column = cell
        x_m = self.low_m[0] + (float(column) + 0.5) * self.cell_m
        return x_m, self.low_m[1] + (float(row) + 0.5) * self.cell_m


def open_world(family: str, layout: int, robot: Robot, cell_m: float = 0.05) -> World:
    """Build a scene of a family; what moves in it stands still."""
    scene, _ = FAMILIES[family].scene(FIRST_SEED + layout)
    scene = replace(
        scene, T_map_solid=scene.poses(0.0), group=np.full_like(scene.group, -1), motions=()
    )
    blocked = blocked_cells(scene, robot, cell_m)
    low = float(scene.low_m[0]), float(scene.low_m[1])
    return World(scene, illuminate(scene), blocked, low, cell_m)


def blocked_cells(scene: Scene, robot: Robot, cell_m: float, fine_m: float = 0.0125) -> MaskArray:
    """Return the cells (rows, columns) of the map with something as high as the robot.

    Points ``fine_m`` apart are looked up in every solid, which is enlarged by as much.
    """
    per_cell = round(cell_m / fine_m)
    cells = np.ceil((scene.high_m - scene.low_m)[:2] / cell_m).astype(int)
    blocked = np.zeros(cells[::-1] * per_cell, np.bool_)
    levels = np.arange(robot.clearance_m + fine_m, robot.height_m, 2 * fine_m)
    for k, T_map_solid in enumerate(scene.T_map_solid):
        lengths = np.linalg.norm(T_map_solid[:3, :3], axis=0)
        T = T_map_solid.copy()
        T[:3, :3] *= (lengths + fine_m) / lengths
        reach = np.abs(T[:3, :3]).sum(axis=1)
        if T[2, 3] - reach[2] > robot.height_m or T[2, 3] + reach[2] < robot.clearance_m:
            continue
        low = np.floor((T[:2, 3] - reach[:2] - scene.low_m[:2]) / fine_m).astype(int)
        high = np.ceil((T[:2, 3] + reach[:2] - scene.low_m[:2]) / fine_m).astype(int)
        low, high = np.maximum(low, 0), np.minimum(high, blocked.shape[::-1])
        if (high <= low).any():
            continue
        xs, ys = (
            scene.low_m[axis] + (np.arange(low[axis], high[axis]) + 0.5) * fine_m
            for axis in (0, 1)
        )
        points = np.stack(np.meshgrid(levels, ys, xs, indexing='ij')[::-1], axis=-1)
        inside = _inside(scene, k, (points - T[:3, 3]) @ np.linalg.inv(T[:3, :3]).T)
        blocked[low[1] : high[1], low[0] : high[0]] |= inside.any(axis=0)
    shape = cells[1], per_cell, cells[0], per_cell
    return np.asarray(blocked.reshape(shape).any(axis=(1, 3)))


def _inside(scene: Scene, k: int, unit: Float64Array) -> MaskArray:
    """Return which points (..., 3) in the unit frame of a solid are inside it."""
    x, y, z = np.moveaxis(unit, -1, 0)
    if scene.shape[k] == Shape.BOX:
        return np.asarray(np.maximum(np.maximum(abs(x), abs(y)), abs(z)) <= 1)
    if scene.shape[k] == Shape.ELLIPSOID:
        return np.asarray(x**2 + y**2 + z**2 <= 1)
    radius = 1 + (scene.taper[k] - 1) * (z + 1) / 2
    return np.asarray((abs(z) <= 1) & (x**2 + y**2 <= radius**2))


class RobotCamera:
    """Camera on the robot: frames of the poses that it is given."""

    def __init__(self, world: World, robot: Robot, seed: int, period_s: float) -> None:
        self.T_map_cam: Float64Array = np.eye(4)
        self._world, self._robot, self.period_s = world, robot, period_s
        rng = np.random.default_rng([37, seed])
        shot = ClipSetup(world.scene, world.light, self, robot.camera(), random_optics(rng), 0.0)
        self._frames: Iterator[SyntheticFrame] = render_frames(shot, 10**6, 1 / period_s, rng)

    def pose(self, _: float) -> Float64Array:
        """Return T_map_cam of now, as the path of a clip."""
        return self.T_map_cam

    def move(self, pose: Pose) -> None:
        """Move with the base."""
        self.T_map_cam = pose.T_map_base @ self._robot.T_base_cam

    def shoot(self) -> SyntheticFrame:
        """Render the next frame."""
        return next(self._frames)

    def depth_m(self, width: int, height: int) -> Float32Array:
        """Return the exact depth (height, width), +inf where nothing is hit."""
        view = view_scene(self._world.scene, self.T_map_cam, 0.0)
        return cast_image(view, self._robot.camera(width, height)).depth_m
