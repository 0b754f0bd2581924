# SPDX-License-Identifier: Apache-2.0
"""A small bag whose truth is what the instant engine answers."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from videodepth_ros.bags.writer import BagWriter
from videodepth_ros.geometry.camera import Intrinsics

WIDTH, HEIGHT = 160, 128
CAMERA = Intrinsics(WIDTH, HEIGHT, 128.0, 128.0, 79.5, 63.5)
START_NS, PERIOD_NS = 10**9, 50_000_000
WIDTH_AT_4_3 = math.sqrt(WIDTH * HEIGHT * 4 / 3)  # of an image of the same area
NEAR_M, FAR_M = (z * CAMERA.fx / WIDTH_AT_4_3 for z in (2.0, 5.0))  # of the instant engine


def truth_m() -> np.ndarray:
    """Return the depth that the instant engine sees, exactly, at the size of the image."""
    depth_m = np.full((HEIGHT, WIDTH), FAR_M, np.float32)
    depth_m[HEIGHT // 4 : HEIGHT // 2, WIDTH // 4 : WIDTH // 2] = NEAR_M
    return depth_m


def write_scene(path: Path, frames: int = 5, scale: float = 1.0) -> Path:
    """Write a bag with a camera that moves along x, and its truth times ``scale``."""
    rng = np.random.default_rng(0)
    with BagWriter(path) as bag:
        for k in range(frames):
            stamp_ns, T_map_cam = START_NS + k * PERIOD_NS, np.eye(4)
            T_map_cam[0, 3] = 0.1 * k
            image = rng.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
            bag.write_image('camera/image_raw', stamp_ns, 'optical', image)
            bag.write_camera_info('camera/camera_info', stamp_ns, 'optical', CAMERA)
            bag.write_depth('ground_truth/depth/image', stamp_ns, 'optical', truth_m() * scale)
            bag.write_pose('ground_truth/pose', stamp_ns, 'map', T_map_cam)
    return path
