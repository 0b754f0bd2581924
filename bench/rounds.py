# SPDX-License-Identifier: Apache-2.0
"""Held-out scenes rendered along closed camera paths, for loop closure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.synthetic import held_out
from videodepth_ros.synthetic.atlas import load_atlas
from videodepth_ros.synthetic.camera_path import Zone, look_along
from videodepth_ros.synthetic.lighting import illuminate
from videodepth_ros.synthetic.optics import random_optics
from videodepth_ros.synthetic.raycast import cast_image, view_scene
from videodepth_ros.synthetic.render import ClipSetup, SyntheticFrame, render_frames
from videodepth_ros.synthetic.scene import Scene, SceneBuilder

MAKERS = {'studios': held_out.studio, 'car_parks': held_out.car_park, 'alleys': held_out.alley}
RADIUS_RANGE_M = {'studios': (0.5, 1.0), 'car_parks': (4.0, 8.0), 'alleys': (2.0, 4.0)}
ASPECTS = {'studios': 0.8, 'car_parks': 0.2, 'alleys': 0.03}
"""Width of the path against its length: a lane between cars, or between houses."""

MIN_CLEARANCE_M = 0.3
MAX_TRIES = 200
WOBBLE_HZ = np.array([0.11, 0.29, 0.71])
"""Incommensurable with a lap, so that no two laps are equal."""


@dataclass(frozen=True)
class LoopPath:
    """An ellipse with wobble, walked in laps.

    radii_m  (2,) along x and y
    outward  whether the camera faces away from the centre; else its heading is fixed
    phase    (6, 3) of the wobble [rad]
    """

    center_m: np.ndarray
    radii_m: np.ndarray
    outward: bool
    lap_s: float
    heading_rad: float
    pitch_rad: float
    phase: np.ndarray

    def pose(self, time_s: float) -> np.ndarray:
        """Return T_map_cam (4, 4) at a time."""
        angle = 2 * np.pi * time_s / self.lap_s
        wave = np.sin(2 * np.pi * WOBBLE_HZ * time_s + self.phase).sum(axis=1)
        position = (
            self.center_m
            + [self.radii_m[0] * np.cos(angle), self.radii_m[1] * np.sin(angle), 0.0]
            + 0.01 * wave[:3]
        )
        heading = self.heading_rad + angle * self.outward + 0.02 * wave[3]
        return look_along(position, heading, self.pitch_rad + 0.01 * wave[4], 0.005 * wave[5])


def render_loop(
    family: str, seed: int, frames: int, lap: int, width: int, height: int, fps: float
) -> Iterator[SyntheticFrame]:
    """Render a held-out scene along a closed path of ``lap`` frames."""
    rng = np.random.default_rng([41, seed])
    scene, zone = MAKERS[family](SceneBuilder(load_atlas(1), rng))
    focal = 0.75 * width
    camera = Intrinsics(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2)
    path = _sample_clear_path(scene, zone, family, camera, lap / fps, rng)
    shot = ClipSetup(scene, illuminate(scene), path, camera, random_optics(rng), 0.0)
    yield from render_frames(shot, frames, fps, rng)


def _sample_clear_path(
    scene: Scene,
    zone: Zone,
    family: str,
    camera: Intrinsics,
    lap_s: float,
    rng: np.random.Generator,
) -> LoopPath:
    """Sample paths until one keeps the clearance; else return the clearest."""
    small = camera.scaled_to(16, 12)
    best, most_m = None, -1.0
    for _ in range(MAX_TRIES):
        radius = rng.uniform(*RADIUS_RANGE_M[family])
        lane = family == 'alleys'
        path = LoopPath(
            rng.uniform(zone.low_m, zone.high_m),
            radius * np.array([1.0, ASPECTS[family]]),
            not lane,
            lap_s,
            0.0 if lane else rng.uniform(-0.5, 0.5),
            rng.uniform(-0.2, 0.0),
            rng.uniform(0, 2 * np.pi, (6, 3)),
        )
        clear_m = np.inf
        for time_s in np.linspace(0, lap_s, 48, endpoint=False):
            depth = cast_image(view_scene(scene, path.pose(time_s), time_s), small).depth_m
            clear_m = min(clear_m, float(depth.min()), float(np.median(depth)) / 3)
            if clear_m <= most_m:
                break
        if clear_m > most_m:
            best, most_m = path, clear_m
        if most_m > MIN_CLEARANCE_M:
            break
    return best
