# SPDX-License-Identifier: Apache-2.0
"""Rendering of frames with ground truth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.core.arrays import Float32Array, Float64Array
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.synthetic.camera_path import CameraPath
from videodepth_ros.synthetic.lighting import Illumination, add_moving_shadows
from videodepth_ros.synthetic.optics import Optics, auto_exposure_gain, simulate_camera
from videodepth_ros.synthetic.raycast import Hits, SceneView, cast_image, cast_rays, view_scene
from videodepth_ros.synthetic.scene import Scene
from videodepth_ros.synthetic.shading import shade

FIRST_STAMP_NS = 1_000_000_000
_EDGE_SAMPLES = ((-0.3, -0.35), (0.35, -0.25), (0.1, 0.4))  # beside the pixel's centre


@dataclass(frozen=True)
class SyntheticFrame:
    """One rendered frame with its ground truth.

    stamp_ns   time of the frame
    image      (H, W, 3) uint8, red green blue
    depth_m    (H, W) float32, exact Z at pixel centres, +inf in the sky
    camera     intrinsics
    T_map_cam  (4, 4) float64, optical frame in the map (z up)
    moving     (H, W) bool, True on solids that move on their own
    """

    stamp_ns: int
    image: NDArray[np.uint8]
    depth_m: Float32Array
    camera: Intrinsics
    T_map_cam: Float64Array
    moving: NDArray[np.bool_]


@dataclass(frozen=True)
class ClipSetup:
    """A scene with its light, and the path, intrinsics and optics of a camera."""

    scene: Scene
    light: Illumination
    path: CameraPath
    camera: Intrinsics
    optics: Optics
    exposure_s: float


def render_frames(
    shot: ClipSetup, frames: int, fps: float, rng: np.random.Generator
) -> Iterator[SyntheticFrame]:
    """Render ``frames`` frames at ``fps``; the exposure is metered on the first one."""
    gain = None
    for k in range(frames):
        time_s = k / fps
        T_map_cam = shot.path.pose(time_s)
        view = view_scene(shot.scene, T_map_cam, time_s)
        hits = cast_image(view, shot.camera)
        light = add_moving_shadows(shot.light, shot.scene, time_s)
        radiance = _render_radiance(view, light, shot.camera, hits)
        if gain is None:
            gain = auto_exposure_gain(radiance, shot.optics)
        motion_px = _image_motion(shot, hits, time_s)
        image = simulate_camera(radiance, gain, shot.optics, time_s, motion_px, rng)
        moving = (hits.solid >= 0) & (shot.scene.group[hits.solid] >= 0)
        yield SyntheticFrame(
            FIRST_STAMP_NS + round(time_s * 1e9),
            image,
            hits.depth_m,
            shot.camera,
            T_map_cam,
            moving,
        )


def _render_radiance(
    view: SceneView, light: Illumination, camera: Intrinsics, hits: Hits
) -> Float32Array:
    """Shade pixel centres, and three more rays where another solid begins beside the pixel."""
    row, column = (a.astype(np.float32) for a in np.mgrid[0 : camera.height, 0 : camera.width])
    edge_row, edge_column = np.nonzero(_edges(hits))
    rows, columns = [row.ravel()], [column.ravel()]
    for du, dv in _EDGE_SAMPLES:
        columns.append(edge_column.astype(np.float32) + np.float32(du))
        rows.append(edge_row.astype(np.float32) + np.float32(dv))
    count = row.size
    x = (np.concatenate(columns) - np.float32(camera.cx)) / np.float32(camera.fx)
    y = (np.concatenate(rows) - np.float32(camera.cy)) / np.float32(camera.fy)
    extra = cast_rays(view, x[count:], y[count:])
    both = Hits(
        np.concatenate([hits.depth_m.ravel(), extra.depth_m]),
        np.concatenate([hits.solid.ravel(), extra.solid]),
    )
    radiance = shade(view, light, x, y, both, camera.fx)
    image = np.minimum(radiance[:count], 8).reshape(camera.height, camera.width, 3)
    beside = np.minimum(radiance[count:], 8).reshape(len(_EDGE_SAMPLES), -1, 3).sum(axis=0)
    share = np.float32(1 / (len(_EDGE_SAMPLES) + 1))
    image[edge_row, edge_column] = (image[edge_row, edge_column] + beside) * share
    return image


def _edges(hits: Hits) -> NDArray[np.bool_]:
    solid = hits.solid
    edge = np.zeros(solid.shape, np.bool_)
    across, down = solid[:, 1:] != solid[:, :-1], solid[1:] != solid[:-1]
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    edge[1:] |= down
    edge[:-1] |= down
    return edge


def _image_motion(shot: ClipSetup, hits: Hits, time_s: float) -> tuple[float, float]:
    """Return how far the middle of the image moves during the exposure, in pixels."""
    if shot.exposure_s <= 0:
        return 0.0, 0.0
    depth = hits.depth_m[np.isfinite(hits.depth_m)]
    middle_m = float(np.median(depth)) if depth.size else 100.0
    before, after = shot.path.pose(time_s), shot.path.pose(time_s + shot.exposure_s)
    point = np.linalg.inv(after) @ before @ np.array([0, 0, middle_m, 1])
    scale = shot.camera.fx / max(point[2], 1e-3)
    return float(point[0] * scale), float(point[1] * scale)
