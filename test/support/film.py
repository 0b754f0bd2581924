# SPDX-License-Identifier: Apache-2.0
"""A film of a textured room with exact depth and poses, and priors that are wrong about it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from bench.room import HALF_M, depth, pose
from videodepth_ros.geometry.camera import Intrinsics, backproject

CAMERA = Intrinsics(160, 120, 140.0, 140.0, 79.5, 59.5)
PATCH_M = 8.0


@dataclass(frozen=True)
class Film:
    """images (N, 120, 160, 3) uint8, depth (N, 120, 160) float32, poses (N, 4, 4) float64."""

    images: np.ndarray
    depth: np.ndarray
    poses: np.ndarray


def texture(seed: int = 0) -> np.ndarray:
    """Return noise of several sizes, (512, 512) float32 from 0 to 255."""
    rng = np.random.default_rng(seed)
    total = np.zeros((512, 512), np.float32)
    for cells, strength in ((32, 1.0), (64, 1.0), (128, 1.0)):
        noise = rng.standard_normal((cells, cells)).astype(np.float32)
        total += strength * cv2.resize(noise, (512, 512), interpolation=cv2.INTER_CUBIC)
    return cv2.normalize(total, None, 0, 255, cv2.NORM_MINMAX)


def picture(T_world_cam: np.ndarray, z: np.ndarray, camera: Intrinsics = CAMERA) -> np.ndarray:
    """Return what the camera sees of the walls, (h, w, 3) uint8."""
    points = backproject(z, camera) @ T_world_cam[:3, :3].T + T_world_cam[:3, 3]
    wall = np.abs(np.abs(points) - HALF_M).argmin(axis=-1)
    u = np.where(wall == 0, points[..., 2], points[..., 0])
    v = np.where(wall == 1, points[..., 2], points[..., 1]) + 2.0 * wall
    place = np.stack([u, v], axis=-1) / PATCH_M * 512
    image = cv2.remap(
        texture(),
        (place[..., 0] % 512).astype(np.float32),
        (place[..., 1] % 512).astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_WRAP,
    )
    return np.repeat(image.astype(np.uint8)[..., None], 3, axis=-1)


def film(poses: np.ndarray) -> Film:
    """Film the room."""
    maps = np.stack([depth(T, CAMERA) for T in poses])
    return Film(np.stack([picture(T, z) for T, z in zip(poses, maps, strict=True)]), maps, poses)


def sideways(frames: int) -> np.ndarray:
    """Return the poses of a walk along the room, with a slow turn."""
    return np.array(
        [
            pose((0.05 * n - 0.5, 0.02 * np.sin(n), 0.03 * n), (0, 0.01 * n, 0))
            for n in range(frames)
        ]
    )


def winding(frames: int) -> np.ndarray:
    """Return the poses of a camera that walks from side to side and looks around."""
    share = np.linspace(0, 1, frames)
    return np.array(
        [
            pose(
                (np.sin(2 * np.pi * s), 0.15 * np.cos(4 * np.pi * s), 0.7 * s),
                (0, 0.5 * np.sin(2 * np.pi * s), 0),
            )
            for s in share
        ]
    )


def turning(frames: int) -> np.ndarray:
    """Return the poses of a camera that turns on the spot."""
    return np.array([pose((0, 0, 0), (0, 0.02 * n, 0)) for n in range(frames)])


def bent(true: np.ndarray, flicker: float = 0.1) -> np.ndarray:
    """Return depth that is wrong by a third across the image, and whose scale flickers."""
    frames, _, w = true.shape
    scale = np.exp(flicker * np.random.default_rng(3).standard_normal(frames))
    slope = np.exp(np.linspace(-0.3, 0.3, w))
    return (true * scale[:, None, None] * slope).astype(np.float32)
