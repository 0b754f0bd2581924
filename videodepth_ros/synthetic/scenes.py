# SPDX-License-Identifier: Apache-2.0
"""Named scenes, and clips of them or of the scenes of a family."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from videodepth_ros.core.errors import ConfigError
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.synthetic.camera_path import CameraPath, Carrier, Zone, random_path
from videodepth_ros.synthetic.families import FAMILIES, Family
from videodepth_ros.synthetic.lighting import Illumination, illuminate
from videodepth_ros.synthetic.optics import random_optics
from videodepth_ros.synthetic.raycast import cast_image, view_scene
from videodepth_ros.synthetic.render import ClipSetup, SyntheticFrame, render_frames
from videodepth_ros.synthetic.scene import Scene
from videodepth_ros.synthetic.style import RICH

_MAX_PATHS = 24  # paths drawn for a clip ...
_USABLE_PATHS = 3  # ... until so many are usable; the one that sees most objects is taken
_CLOSE_UP_SHARE = 0.15  # of the clips of training families, which may see a single surface


@dataclass(frozen=True)
class NamedScene:
    """A scene with a fixed layout: family, seed of the layout, and carrier of the camera."""

    family: str
    layout_seed: int
    carrier: Carrier


SCENES: dict[str, NamedScene] = {
    'living_room': NamedScene('rooms', 3, Carrier.HAND),
    'kitchen': NamedScene('kitchens', 5, Carrier.HAND),
    'desk': NamedScene('desks', 8, Carrier.HAND),
    'corridor': NamedScene('corridors', 2, Carrier.WHEELS),
    'office': NamedScene('offices', 4, Carrier.WHEELS),
    'workshop': NamedScene('halls', 1, Carrier.HAND),
    'street': NamedScene('streets', 6, Carrier.WHEELS),
    'courtyard': NamedScene('courtyards', 2, Carrier.HAND),
    'terrain': NamedScene('wilds', 1, Carrier.WHEELS),
    'flight': NamedScene('aerials', 1, Carrier.FLIGHT),
}


def render_scene(
    name: str,
    seed: int = 0,
    frames: int = 30,
    width: int = 640,
    height: int = 480,
    fps: float = 15.0,
) -> Iterator[SyntheticFrame]:
    """Render a clip of a named scene (SCENES) or of the family (FAMILIES) of that name.

    The seed of a named scene changes the camera alone. The same arguments give the same bytes on
    the same machine.
    raises  ConfigError for an unknown name
    """
    if name in FAMILIES:
        yield from render_family(FAMILIES[name], seed, frames, width, height, fps)
        return
    if name not in SCENES:
        raise ConfigError(
            f"unknown scene '{name}'; choose one of {', '.join((*SCENES, *FAMILIES))}"
        )
    named = SCENES[name]
    stage = _lit(FAMILIES[named.family].scene(named.layout_seed, RICH))
    rng = np.random.default_rng([13, seed])
    yield from _clip(stage, rng, frames, width, height, fps, named.carrier)


def render_family(
    family: Family,
    seed: int = 0,
    frames: int = 30,
    width: int = 640,
    height: int = 480,
    fps: float = 15.0,
) -> Iterator[SyntheticFrame]:
    """Render a clip of the scene that ``seed`` draws from a family; it draws the camera too."""
    stage = _lit(family.scene(seed))
    rng = np.random.default_rng([13, seed])
    close_up = not family.held_out and np.random.default_rng([17, seed]).random() < _CLOSE_UP_SHARE
    yield from _clip(stage, rng, frames, width, height, fps, None, close_up)


def render_views(
    family: Family, seed: int, views: int, width: int = 256, height: int = 192
) -> Iterator[SyntheticFrame]:
    """Render single frames of one scene from unrelated cameras: faster than a clip."""
    for clip in render_clips(family, seed, views, 1, width, height):
        yield clip[0]


def render_clips(
    family: Family,
    seed: int,
    clips: int,
    frames: int,
    width: int = 256,
    height: int = 192,
    fps: float = 10.0,
) -> Iterator[tuple[SyntheticFrame, ...]]:
    """Render several short clips of one scene, each with its own camera and path."""
    stage = _lit(family.scene(seed))
    for k in range(clips):
        rng = np.random.default_rng([29, seed, k])
        yield tuple(_clip(stage, rng, frames, width, height, fps, None))


def _lit(stage: tuple[Scene, Zone]) -> tuple[Scene, Zone, Illumination]:
    scene, zone = stage
    return scene, zone, illuminate(scene)


def _clip(
    stage: tuple[Scene, Zone, Illumination],
    rng: np.random.Generator,
    frames: int,
    width: int,
    height: int,
    fps: float,
    carrier: Carrier | None,
    close_up: bool = False,
) -> Iterator[SyntheticFrame]:
    scene, zone, light = stage
    camera = _camera(zone, rng, width, height)
    path = _free_path(scene, zone, camera, frames / fps, rng, carrier, close_up)
    exposure_s = 0.0 if rng.random() < 0.5 else rng.uniform(0.002, 0.03)
    shot = ClipSetup(scene, light, path, camera, random_optics(rng), exposure_s)
    yield from render_frames(shot, frames, fps, rng)


def _camera(zone: Zone, rng: np.random.Generator, width: int, height: int) -> Intrinsics:
    low, high = zone.fx_ratio
    focal = width * float(np.exp(rng.uniform(np.log(low), np.log(high))))
    shift = rng.normal(0, 0.01, 2) * width
    return Intrinsics(
        width,
        height,
        focal,
        focal * float(rng.normal(1, 0.003)),
        (width - 1) / 2 + float(shift[0]),
        (height - 1) / 2 + float(shift[1]),
    )


def _free_path(
    scene: Scene,
    zone: Zone,
    camera: Intrinsics,
    seconds: float,
    rng: np.random.Generator,
    carrier: Carrier | None,
    close_up: bool,
) -> CameraPath:
    """Draw paths until one keeps its distance and sees more than one bare surface.

    ``close_up`` takes the first that keeps a short distance, whatever it sees.
    """
    small = camera.scaled_to(24, 18)
    times = np.linspace(0, seconds, 1 + min(6, int(np.ceil(seconds * 2))))
    best, best_score, good = random_path(zone, rng, carrier), -np.inf, 0
    for _ in range(_MAX_PATHS):
        path = random_path(zone, rng, carrier)
        score = np.inf
        for time_s in times:
            score = min(score, _clearance(scene, path, small, float(time_s), close_up))
            if score < min(best_score, 1.0):
                break
        if score > best_score:
            best, best_score = path, score
        good += score > 1
        if good == (1 if close_up else _USABLE_PATHS):
            break
    return best


def _clearance(
    scene: Scene, path: CameraPath, small: Intrinsics, time_s: float, close_up: bool
) -> float:
    """Return a score of a pose that is above 1 where the view is usable."""
    hits = cast_image(view_scene(scene, path.pose(time_s), time_s), small)
    inverse = np.sort(1 / hits.depth_m.ravel())
    nearest_m = 1 / max(float(inverse[-1]), 1e-6)
    middle_m = 1 / max(float(np.median(inverse)), 1e-6)
    if close_up:
        return min(nearest_m / 0.15, middle_m / 0.3, 1.01)
    low, high = inverse[int(0.05 * inverse.size)], inverse[int(0.95 * inverse.size)]
    spread = float(high - low) * middle_m
    usable = min(nearest_m / 0.3, middle_m / 0.7, spread / 0.25, 1.0)
    return usable if usable < 1 else len(np.unique(hits.solid)) / 5
