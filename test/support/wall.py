# SPDX-License-Identifier: Apache-2.0
"""A lane along a wall whose pattern may begin anew: places that are alike, or seen again."""

from __future__ import annotations

import cv2
import numpy as np

from bench.room import pose
from test.support.film import CAMERA, Film, texture
from videodepth_ros.geometry.camera import backproject

WALL_M, FLOOR_M = 3.0, 1.0
CELLS_PER_M = 64.0


def lane(positions_m: np.ndarray, period_m: float) -> Film:
    """Film wall and floor from ``positions_m`` (N,) along them; they repeat after ``period_m``."""
    poses = np.array(
        [
            pose((x, 0.02 * np.sin(n), 0.1 * np.sin(0.1 * n)), (0, 0, 0))
            for n, x in enumerate(positions_m)
        ]
    )
    width = round(period_m * CELLS_PER_M)
    pattern = np.concatenate(
        [np.hstack([texture(2 * n + k) for n in range(-(-width // 512))]) for k in range(2)]
    )[:, :width]
    views = [_view(T, pattern, period_m) for T in poses]
    return Film(np.stack([image for image, _ in views]), np.stack([z for _, z in views]), poses)


def _view(
    T_world_cam: np.ndarray, pattern: np.ndarray, period_m: float
) -> tuple[np.ndarray, np.ndarray]:
    rays = backproject(np.ones((CAMERA.height, CAMERA.width), np.float32), CAMERA)
    centre = T_world_cam[:3, 3]
    with np.errstate(divide='ignore'):
        floor = np.where(rays[..., 1] > 0, (FLOOR_M - centre[1]) / rays[..., 1], np.inf)
    wall = np.full(floor.shape, WALL_M - centre[2])
    z = np.minimum(wall, floor).astype(np.float32)
    points = rays * z[..., None] + centre.astype(np.float32)
    along = points[..., 0] % period_m * CELLS_PER_M
    across = np.where(
        floor < wall, 512 + points[..., 2] * CELLS_PER_M, 256 + points[..., 1] * CELLS_PER_M
    )
    grey = cv2.remap(
        np.hstack([pattern, pattern[:, :1]]),
        along.astype(np.float32),
        across.astype(np.float32),
        cv2.INTER_LINEAR,
    )
    return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=-1), z
