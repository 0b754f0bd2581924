"""A textured wall and a box before it, ray cast with exact depth."""

from __future__ import annotations

import cv2
import numpy as np

from videodepth_ros.geometry.camera import Intrinsics

CAMERA = Intrinsics.centred(128, 96, 110.0)


def texture(seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).uniform(0, 255, (512, 512)).astype(np.float32)
    coarse = cv2.resize(noise[:128, :128], (512, 512), interpolation=cv2.INTER_CUBIC)
    return np.clip(0.6 * cv2.GaussianBlur(noise, (0, 0), 1.2) + 0.5 * coarse, 0, 255)


PLANES = (
    # normal . X = offset, in the map (x right, y down, z forward); limits of x and y
    (np.array([0.15, 0.1, 1.0]), 3.0, (-9.0, 9.0), (-9.0, 9.0), texture(1)),
    (np.array([0.0, 0.0, 1.0]), 1.8, (-0.35, 0.3), (-0.3, 0.35), texture(2)),
)


def pose(x: float, y: float = 0.0, z: float = 0.0, yaw: float = 0.0) -> np.ndarray:
    T = np.eye(4)
    c, s = np.cos(yaw), np.sin(yaw)
    T[:3, :3] = [[c, 0, s], [0, 1, 0], [-s, 0, c]]
    T[:3, 3] = x, y, z
    return T


def nodded(T_map_cam: np.ndarray, pitch: float) -> np.ndarray:
    """Return a pose that is turned about the camera's x axis, by radians."""
    c, s = np.cos(pitch), np.sin(pitch)
    T = T_map_cam.copy()
    T[:3, :3] = T[:3, :3] @ [[1, 0, 0], [0, c, -s], [0, s, c]]
    return T


def render(T_map_cam: np.ndarray, camera: Intrinsics = CAMERA, gain: float = 1.0):
    """Return image (H, W, 3) uint8 and depth (H, W) float32."""
    rows, columns = np.mgrid[: camera.height, : camera.width]
    rays = np.stack(
        [(columns - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy, np.ones(rows.shape)],
        axis=-1,
    )
    turned, origin = rays @ T_map_cam[:3, :3].T, T_map_cam[:3, 3]
    depth = np.full(rows.shape, np.inf)
    grey = np.zeros(rows.shape)
    for normal, offset, across, down, picture in PLANES:
        z = (offset - normal @ origin) / (turned @ normal)
        point = origin + z[..., None] * turned
        hit = (z > 0) & (z < depth)
        for k, (least, most) in enumerate((across, down)):
            hit &= (point[..., k] >= least) & (point[..., k] <= most)
        place = (point[..., :2] * 90 + 256).astype(np.float32)
        value = cv2.remap(
            picture, place[..., 0], place[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP
        )
        depth[hit], grey[hit] = z[hit], value[hit]
    image = np.clip(gain * grey, 0, 255).astype(np.uint8)
    return np.repeat(image[..., None], 3, axis=2), depth.astype(np.float32)


def smear(depth_m: np.ndarray) -> np.ndarray:
    """Return what a small network makes of a depth map: vague, and wrong by regions."""
    rows, columns = np.mgrid[: depth_m.shape[0], : depth_m.shape[1]]
    wrong = 1 + 0.12 * np.sin(columns / 25) * np.cos(rows / 20)
    return (cv2.GaussianBlur(depth_m, (0, 0), 6) * wrong).astype(np.float32)
