# SPDX-License-Identifier: Apache-2.0
"""Shadow maps and an ambient-occlusion volume.

Both are computed once for the solids that stand still; moving solids are cast into a copy of the
shadow maps every frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from videodepth_ros.core.arrays import Float32Array, Float64Array
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.synthetic.raycast import cast_image, view_scene
from videodepth_ros.synthetic.scene import Lamp, Scene

SUN_DISTANCE_M = 400.0
MAP_SIZE = 448
LAMP_SLOPE = 2.2  # a lamp's map spans 65 degrees about the vertical
VOLUME_CELLS = 44  # along the longest side


@dataclass(frozen=True)
class ShadowMap:
    """Depth seen from a light.

    camera, T_map_light  the light as a camera; depth_m (S, S) float32; bias_m hides self-shadow
    """

    camera: Intrinsics
    T_map_light: Float64Array
    depth_m: Float32Array
    bias_m: float


@dataclass(frozen=True)
class Volume:
    """Occupancy blurred finely and coarsely, (nz * ny, nx) float32 slices stacked by z."""

    fine: Float32Array
    coarse: Float32Array
    low_m: Float64Array
    cell_m: float
    shape: tuple[int, int, int]


@dataclass(frozen=True)
class Illumination:
    """Shadow maps of the sun and of the first lamp (None: no shadow), occlusion volume."""

    sun: ShadowMap | None
    lamp: ShadowMap | None
    volume: Volume


def illuminate(scene: Scene) -> Illumination:
    """Compute shadows and occlusion of the solids that stand still."""
    lights = scene.lights
    still = (scene.group < 0) & (scene.glow <= 0)
    sun = lamp = None
    if max(lights.sun) > 0:
        centre, radius = (
            (scene.low_m + scene.high_m) / 2,
            float(np.linalg.norm(scene.high_m - scene.low_m)) / 2,
        )
        direction = np.array(lights.sun_direction) / np.linalg.norm(lights.sun_direction)
        pose = _light_pose(centre + SUN_DISTANCE_M * direction, -direction)
        sun = _shadow_map(scene, pose, radius / SUN_DISTANCE_M, SUN_DISTANCE_M, still)
    if lights.lamps and lights.lamps[0].casts_shadow:
        pose = _light_pose(np.array(lights.lamps[0].position_m), np.array([0.0, 0.0, -1.0]))
        lamp = _shadow_map(scene, pose, LAMP_SLOPE, 2.0, still)
    return Illumination(sun, lamp, _volume(scene, still))


def add_moving_shadows(light: Illumination, scene: Scene, time_s: float) -> Illumination:
    """Return the illumination with the shadows of moving solids at a time."""
    if not scene.motions:
        return light
    return Illumination(
        _with_moving_solids(light.sun, scene, time_s),
        _with_moving_solids(light.lamp, scene, time_s),
        light.volume,
    )


def _with_moving_solids(shadow: ShadowMap | None, scene: Scene, time_s: float) -> ShadowMap | None:
    if shadow is None:
        return None
    view = view_scene(scene, shadow.T_map_light, time_s, scene.group >= 0)
    depth = np.minimum(cast_image(view, shadow.camera).depth_m, shadow.depth_m)
    return ShadowMap(shadow.camera, shadow.T_map_light, depth, shadow.bias_m)


def _light_pose(position: Float64Array, forward: Float64Array) -> Float64Array:
    side = np.cross(forward, [0.0, 1.0, 0.0] if abs(forward[2]) > 0.9 else [0.0, 0.0, 1.0])
    side /= np.linalg.norm(side)
    pose = np.eye(4)
    pose[:3, :] = np.column_stack([side, np.cross(forward, side), forward, position])
    return pose


def _shadow_map(
    scene: Scene, pose: Float64Array, slope: float, distance_m: float, still: NDArray[np.bool_]
) -> ShadowMap:
    focal = MAP_SIZE / 2 / slope
    centre = (MAP_SIZE - 1) / 2
    camera = Intrinsics(MAP_SIZE, MAP_SIZE, focal, focal, centre, centre)
    hits = cast_image(view_scene(scene, pose, 0.0, still), camera)
    return ShadowMap(camera, pose, hits.depth_m, 2.5 * distance_m / focal)


def shadow_factor(shadow: ShadowMap | None, point_m: Float32Array) -> Float32Array:
    """Return the visibility of the light from points (N, 3): (N,) float32 in [0, 1], 4 taps."""
    if shadow is None:
        return np.ones(len(point_m), np.float32)
    R, t = shadow.T_map_light[:3, :3].astype(np.float32), shadow.T_map_light[:3, 3]
    local = (point_m - t.astype(np.float32)) @ R
    z = np.maximum(local[:, 2], 1e-3)
    focal, centre = np.float32(shadow.camera.fx), np.float32(shadow.camera.cx)
    column, row = local[:, 0] / z * focal + centre, local[:, 1] / z * focal + centre
    limit = z - np.float32(shadow.bias_m)
    outside = (np.abs(column - centre) > centre - 2) | (np.abs(row - centre) > centre - 2)
    total = np.zeros(len(z), np.float32)
    for du, dv in ((-0.6, -0.2), (0.2, -0.6), (0.6, 0.2), (-0.2, 0.6)):
        u = np.clip(column + np.float32(du + 0.5), 0, MAP_SIZE - 1).astype(np.int32)
        v = np.clip(row + np.float32(dv + 0.5), 0, MAP_SIZE - 1).astype(np.int32)
        total += shadow.depth_m[v, u] >= limit
    return np.where(outside, np.float32(1), total / 4)


def lamp_irradiance(
    lamp: Lamp, point_m: Float32Array, normal: Float32Array
) -> tuple[Float32Array, Float32Array]:
    """Return irradiance factor (N,) and unit direction to the lamp (N, 3) at surface points."""
    to_lamp = np.array(lamp.position_m, np.float32) - point_m
    square = np.einsum('ni,ni->n', to_lamp, to_lamp) + np.float32(0.05)
    direction = to_lamp / np.sqrt(square)[:, None]
    cosine = np.maximum(np.einsum('ni,ni->n', direction, normal), 0)
    return (0.85 * cosine + 0.15) / square, direction


def _volume(scene: Scene, still: NDArray[np.bool_]) -> Volume:
    extent = scene.high_m - scene.low_m
    cell = float(extent.max()) / VOLUME_CELLS
    nx, ny, nz = (int(np.ceil(e / cell)) + 1 for e in extent)
    grid = np.zeros((nz, ny, nx), np.float32)
    inverse = np.linalg.inv(scene.T_map_solid)
    reach = np.abs(scene.T_map_solid[:, :3, :3]).sum(axis=2) + cell / 2
    first = np.floor((scene.T_map_solid[:, :3, 3] - reach - scene.low_m) / cell).astype(int)
    last = np.ceil((scene.T_map_solid[:, :3, 3] + reach - scene.low_m) / cell).astype(int) + 1
    size = np.array([nx, ny, nz])
    first, last = np.clip(first, 0, size), np.clip(last, 0, size)
    for k in np.flatnonzero(still & (last > first).all(axis=1)):
        x, y, z = (
            np.arange(a, b) * cell + o
            for a, b, o in zip(first[k], last[k], scene.low_m, strict=True)
        )
        A = inverse[k]
        slack = 1 + cell / 2 / scene.half_size_m[k]
        inside = np.ones((len(z), len(y), len(x)), np.bool_)
        for i in range(3):
            inside &= (
                np.abs(
                    A[i, 0] * x + (A[i, 1] * y + A[i, 3])[:, None] + (A[i, 2] * z)[:, None, None]
                )
                <= slack[i]
            )
        solidity = min(1.0, 2 * float(scene.half_size_m[k].min()) / cell) * (
            0.35 if scene.mask[k] >= 0 else 1.0
        )
        part = grid[first[k][2] : last[k][2], first[k][1] : last[k][1], first[k][0] : last[k][0]]
        np.maximum(part, solidity * inside, out=part)
    fine, coarse = _blur(grid, 1.0), _blur(grid, 3.5)
    return Volume(
        fine.reshape(nz * ny, nx), coarse.reshape(nz * ny, nx), scene.low_m, cell, (nz, ny, nx)
    )


def _blur(grid: Float32Array, sigma_cells: float) -> Float32Array:
    nz, ny, nx = grid.shape
    border = cv2.BORDER_REPLICATE
    across = np.stack([cv2.GaussianBlur(s, (0, 0), sigma_cells, borderType=border) for s in grid])
    columns = across.reshape(nz, ny * nx)
    up = cv2.GaussianBlur(
        columns, (1, 2 * int(3 * sigma_cells) + 1), sigma_cells, None, sigma_cells, border
    )
    return np.asarray(up, np.float32).reshape(nz, ny, nx)


def ambient_visibility(
    volume: Volume, point_m: Float32Array, normal: Float32Array
) -> Float32Array:
    """Return the share of ambient light that reaches points, (N,) float32 in (0, 1]."""
    low, cell = volume.low_m.astype(np.float32), np.float32(volume.cell_m)
    near = _look_up(volume, volume.fine, (point_m + 1.3 * cell * normal - low) / cell)
    wide = _look_up(volume, volume.coarse, (point_m + 3.0 * cell * normal - low) / cell)
    return np.exp(-1.6 * near - 2.4 * np.maximum(wide - 0.12, 0))


def _look_up(volume: Volume, field: Float32Array, cell: Float32Array) -> Float32Array:
    nz, ny, nx = volume.shape
    x = np.clip(cell[:, 0], 0, nx - 1)
    y = np.clip(cell[:, 1], 0, ny - 1)
    z = np.clip(cell[:, 2], 0, nz - 1.001)
    floor = np.floor(z)
    width = 512
    count = len(x)
    rows = -(-count // width)
    maps = np.zeros((3, rows * width), np.float32)
    maps[0, :count], maps[1, :count] = x, y + floor * ny
    maps[2, :count] = y + np.minimum(floor + 1, nz - 1) * ny
    grids = maps.reshape(3, rows, width)
    below = cv2.remap(field, grids[0], grids[1], cv2.INTER_LINEAR).ravel()[:count]
    above = cv2.remap(field, grids[0], grids[2], cv2.INTER_LINEAR).ravel()[:count]
    return below + (above - below) * (z - floor)
