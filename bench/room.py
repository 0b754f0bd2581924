# SPDX-License-Identifier: Apache-2.0
"""A synthetic box-shaped room: exact depth, and noisy point-map pairs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.alignment.pairs import PointMapPair
from videodepth_ros.core.arrays import Edge
from videodepth_ros.geometry.camera import Intrinsics, backproject
from videodepth_ros.geometry.motion_mask import ego_flow
from videodepth_ros.geometry.rotation import so3_exp

Array = NDArray[np.float32]
Array64 = NDArray[np.float64]

CAMERA = Intrinsics(48, 32, 40.0, 40.0, 24.0, 16.0)
HALF_M = np.array([2.0, 1.5, 4.0])
LOOP_FRAMES = 120


def pose(
    position_m: Sequence[float] = (0, 0, 0), turn_rad: Sequence[float] = (0, 0, 0)
) -> Array64:
    """Return T_world_cam (4, 4) of a camera in the room."""
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = so3_exp(np.array(turn_rad, np.float64)), position_m
    return T


def walk(frames: int) -> Array64:
    """Return the poses (N, 4, 4) of a slow walk with turns; at most 40 frames fit the room."""
    return np.array(
        [
            pose((0.06 * n, 0.05 * np.sin(n), 0.08 * n), (0.02 * np.sin(n), 0.04 * n, 0))
            for n in range(frames)
        ]
    )


def rounds(frames: int) -> Array64:
    """Return the poses (N, 4, 4) of a walk in circles, 120 frames each."""
    angles = 2 * np.pi * np.arange(frames) / LOOP_FRAMES
    return np.array(
        [pose((np.sin(a), 0.2 * np.sin(3 * a), 2 * np.cos(a)), (0, a, 0)) for a in angles]
    )


def depth(T_world_cam: Array64, camera: Intrinsics = CAMERA) -> Array:
    """Return the exact Z of the walls, (h, w) float32, metres."""
    rays = backproject(np.ones((camera.height, camera.width), np.float32), camera)
    rays = rays @ T_world_cam[:3, :3].T
    rays[rays == 0] = 1e-9
    hits = (np.sign(rays) * HALF_M - T_world_cam[:3, 3]) / rays
    return hits.min(axis=-1).astype(np.float32)


def pair(
    poses: Array64,
    i: int,
    j: int,
    *,
    noise: float = 0.0,
    outliers: float = 0.0,
    flow: bool = False,
    camera: Intrinsics = CAMERA,
) -> PointMapPair:
    """Return the pair of frames i and j, at a random scale and with random errors.

    noise     relative error of a point's distance, 1 sigma
    outliers  share of points at 1.5 times their distance
    """
    rng, maps = np.random.default_rng([7, i, j]), []
    scale = np.exp(0.2 * rng.standard_normal())
    for n in (i, j):
        T_i_n = np.linalg.inv(poses[i]) @ poses[n]
        points = backproject(depth(poses[n], camera), camera) @ T_i_n[:3, :3].T + T_i_n[:3, 3]
        length = 1 + noise * rng.standard_normal(points.shape[:2])
        length[rng.random(points.shape[:2]) < outliers] *= 1.5
        maps.append((scale * length[..., None] * points).astype(np.float32))
    sure = np.full(maps[0].shape[:2], 5.0, np.float32)
    T_j_i = np.linalg.inv(poses[j]) @ poses[i]
    moved = ego_flow(depth(poses[i], camera), camera, T_j_i, camera) if flow else None
    return PointMapPair(i, j, maps[0], maps[1], sure, sure.copy(), moved)


def pairs(poses: Array64, edges: Iterable[Edge], **errors: float) -> list[PointMapPair]:
    """Return the pairs of all edges."""
    return [pair(poses, i, j, **errors) for i, j in edges]


@dataclass(frozen=True)
class Room:
    """A `PairProvider` of a walk in the room."""

    poses: Array64
    noise: float = 0.02

    def pairs(self, edges: Iterable[Edge]) -> Iterator[PointMapPair]:
        """Yield the pair of every edge."""
        return (pair(self.poses, i, j, noise=self.noise) for i, j in edges)
