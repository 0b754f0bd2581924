# SPDX-License-Identifier: Apache-2.0
"""Depth of boxes on a plane, by ray casting, with noise."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.geometry.ground_plane import camera_rays
from videodepth_ros.synthetic.camera_path import look_along

CAMERA = Intrinsics.centred(640, 480, 500.0)


@dataclass(frozen=True)
class BoxScene:
    """Boxes (K, 2, 3), lowest and highest corners, on z = 0; the map ends at ``walls_m``."""

    boxes: np.ndarray
    walls_m: float = 30.0

    def cast(self, T_map_cam: np.ndarray, camera: Intrinsics = CAMERA):
        """Return depth (H, W) float32, and the box of each pixel (H, W), -1: none."""
        rays = camera_rays(camera).astype(np.float64) @ T_map_cam[:3, :3].T
        origin = T_map_cam[:3, 3]
        with np.errstate(divide='ignore', invalid='ignore'):
            depth = np.where(rays[..., 2] < 0, -origin[2] / rays[..., 2], np.inf)
            depth = np.minimum(depth, self.walls_m / np.abs(rays[..., :2]).max(axis=-1))
            owner = np.full(depth.shape, -1)
            for k, corners in enumerate(self.boxes):
                cut = (corners[:, None, None] - origin) / rays
                near, far = cut.min(axis=0).max(axis=-1), cut.max(axis=0).min(axis=-1)
                hit = (near <= far) & (near > 0) & (near < depth)
                depth[hit], owner[hit] = near[hit], k
        return depth.astype(np.float32), owner


def camera_at(height_m: float, pitch_deg: float, x: float = 0.0, heading: float = 0.0):
    """Return T_map_cam of a camera that looks ``pitch_deg`` down."""
    return look_along(np.array([x, 0.0, height_m]), heading, -np.radians(pitch_deg), 0.0)


def noisy(depth_m: np.ndarray, rng: np.random.Generator, share: float, blob_px: int = 1):
    """Return depth with relative noise; ``blob_px``: pixels over which it is alike."""
    height, width = depth_m.shape
    coarse = rng.normal(0, 1, (-(-height // blob_px), -(-width // blob_px))).astype(np.float32)
    noise = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return (depth_m * (1 + share * noise / noise.std())).astype(np.float32)


def random_boxes(rng: np.random.Generator, count: int) -> BoxScene:
    """Return boxes at least 15 cm high and wide in the view within 4 m, one behind none other."""
    bearings = np.radians(np.linspace(-24, 24, count) + rng.uniform(-2, 2, count))
    boxes = []
    for bearing in bearings:
        range_m, side, high = rng.uniform(1.3, 3.7), rng.uniform(0.15, 0.5), rng.uniform(0.15, 1.2)
        middle = range_m * np.array([np.cos(bearing), np.sin(bearing)])
        boxes.append([[*(middle - side / 2), 0.0], [*(middle + side / 2), high]])
    return BoxScene(np.array(boxes))
