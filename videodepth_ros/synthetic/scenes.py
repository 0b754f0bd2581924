# SPDX-License-Identifier: Apache-2.0
"""Names of scenes and families, and how to render them.

A family draws a new scene from every seed. A named scene is one family with a fixed layout: the
seed only changes the camera. Held-out families are never trained on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from videodepth_ros.core.errors import ConfigError
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.synthetic import (
    crowds,
    gardens,
    held_out,
    homes,
    indoor,
    jumbles,
    lattices,
    outdoor,
    roads,
    rocks,
    shops,
    stairs,
    tunnels,
    warehouses,
)
from videodepth_ros.synthetic.atlas import load_atlas
from videodepth_ros.synthetic.camera_path import CameraPath, Carrier, Zone, random_path
from videodepth_ros.synthetic.lighting import Illumination, illuminate
from videodepth_ros.synthetic.optics import random_optics
from videodepth_ros.synthetic.raycast import cast_image, look
from videodepth_ros.synthetic.render import Shot, SyntheticFrame, film
from videodepth_ros.synthetic.scene import Scene, SceneBuilder
from videodepth_ros.synthetic.style import RICH, Style, StyledBuilder, random_style

Family = Callable[[SceneBuilder], tuple[Scene, Zone]]

# The place of a family here seeds its scenes: new ones go to the end, and none moves or goes.
_FAMILIES: dict[str, Family] = {
    'rooms': indoor.living,
    'kitchens': indoor.kitchen,
    'corridors': indoor.corridor,
    'offices': indoor.office,
    'halls': indoor.hall,
    'desks': homes.desks,
    'homes': homes.homes,
    'roads': roads.road,
    'streets': outdoor.street,
    'courtyards': outdoor.courtyard,
    'wilds': outdoor.terrain,
    'aerials': outdoor.aerial,
    'studios': held_out.studio,
    'car_parks': held_out.car_park,
    'alleys': held_out.alley,
    'jumbles': jumbles.jumble,
    'warehouses': warehouses.warehouse,
    'stairs': stairs.stairs,
    'gardens': gardens.garden,
    'tunnels': tunnels.tunnel,
    'shops': shops.shop,
    'lattices': lattices.lattice,
    'crowds': crowds.crowd,
    'rocks': rocks.rocks,
}
HELD_OUT_FAMILIES = ('studios', 'car_parks', 'alleys')
TRAINING_FAMILIES = tuple(name for name in _FAMILIES if name not in HELD_OUT_FAMILIES)

SEEDS_PER_POOL = 128  # seeds that share one pool of textures
_TRIES = 24  # paths drawn for a clip ...
_CHOICES = 3  # ... until so many are usable, of which the richest is taken
_CLOSE_SHARE = 0.15  # of the clips of training scenes, which may see little but one surface


@dataclass(frozen=True)
class NamedScene:
    """A fixed scene: the family, the seed of its layout, and what carries the camera."""

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
    """Render a clip of a named scene (SCENES) or of a random scene of a family.

    The same arguments give the same bytes on the same machine.
    raises  ConfigError for an unknown name
    """
    named = SCENES.get(name)
    if named:
        stage = _stage(named.family, named.layout_seed, RICH)
    else:
        stage = _stage(name, seed, _style(name, seed))
    rng = np.random.default_rng([13, seed])
    close = name in TRAINING_FAMILIES and np.random.default_rng([17, seed]).random() < _CLOSE_SHARE
    carrier = named.carrier if named else None
    yield from _clip(stage, rng, frames, width, height, fps, carrier, close)


def render_views(
    family: str, seed: int, views: int, width: int = 256, height: int = 192
) -> Iterator[SyntheticFrame]:
    """Render single frames of one random scene from unrelated cameras; the fast way to images.

    raises  ConfigError for an unknown family
    """
    for clip in render_clips(family, seed, views, 1, width, height):
        yield clip[0]


def render_clips(
    family: str,
    seed: int,
    clips: int,
    frames: int,
    width: int = 256,
    height: int = 192,
    fps: float = 10.0,
) -> Iterator[tuple[SyntheticFrame, ...]]:
    """Render several short clips of one random scene, each with its own camera and path.

    raises  ConfigError for an unknown family
    """
    stage = _stage(family, seed, _style(family, seed))
    for k in range(clips):
        rng = np.random.default_rng([29, seed, k])
        yield tuple(_clip(stage, rng, frames, width, height, fps, None))


def _style(family: str, seed: int) -> Style:
    """Styles vary what is trained on; held-out scenes stay a fixed measure."""
    return random_style(np.random.default_rng([11, seed])) if family in TRAINING_FAMILIES else RICH


def _stage(family: str, seed: int, style: Style) -> tuple[Scene, Zone, Illumination]:
    if family not in _FAMILIES:
        raise ConfigError(
            f"no scene or family is called '{family}'; choose one of "
            f'{", ".join((*SCENES, *_FAMILIES))}'
        )
    held = family in HELD_OUT_FAMILIES
    atlas = load_atlas(2 * (seed // SEEDS_PER_POOL) + held)
    number = tuple(_FAMILIES).index(family)
    rng = np.random.default_rng([7, number, seed])
    scene, zone = _FAMILIES[family](
        StyledBuilder(atlas, rng, style=style, style_rng=np.random.default_rng([19, number, seed]))
    )
    return scene, zone, illuminate(scene)


def _clip(
    stage: tuple[Scene, Zone, Illumination],
    rng: np.random.Generator,
    frames: int,
    width: int,
    height: int,
    fps: float,
    carrier: Carrier | None,
    close: bool = False,
) -> Iterator[SyntheticFrame]:
    scene, zone, light = stage
    camera = _camera(zone, rng, width, height)
    path = _free_path(scene, zone, camera, frames / fps, rng, carrier, close)
    exposure_s = 0.0 if rng.random() < 0.5 else rng.uniform(0.002, 0.03)
    shot = Shot(scene, light, path, camera, random_optics(rng), exposure_s)
    yield from film(shot, frames, fps, rng)


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
    close: bool,
) -> CameraPath:
    """Draw paths until one keeps its distance and sees more than one bare surface.

    ``close`` takes the first that keeps a short distance, whatever it sees.
    """
    small = camera.scaled_to(24, 18)
    times = np.linspace(0, seconds, 1 + min(6, int(np.ceil(seconds * 2))))
    best, best_score, good = random_path(zone, rng, carrier), -np.inf, 0
    for _ in range(_TRIES):
        path = random_path(zone, rng, carrier)
        score = np.inf
        for time_s in times:
            score = min(score, _clearance(scene, path, small, float(time_s), close))
            if score < min(best_score, 1.0):
                break
        if score > best_score:
            best, best_score = path, score
        good += score > 1
        if good == (1 if close else _CHOICES):
            break
    return best


def _clearance(
    scene: Scene, path: CameraPath, small: Intrinsics, time_s: float, close: bool
) -> float:
    """Return a score of a pose that is above 1 where the view is usable."""
    hits = cast_image(look(scene, path.pose(time_s), time_s), small)
    inverse = np.sort(1 / hits.depth_m.ravel())
    nearest_m = 1 / max(float(inverse[-1]), 1e-6)
    middle_m = 1 / max(float(np.median(inverse)), 1e-6)
    if close:
        return min(nearest_m / 0.15, middle_m / 0.3, 1.01)
    low, high = inverse[int(0.05 * inverse.size)], inverse[int(0.95 * inverse.size)]
    spread = float(high - low) * middle_m
    usable = min(nearest_m / 0.3, middle_m / 0.7, spread / 0.25, 1.0)
    return usable if usable < 1 else len(np.unique(hits.solid)) / 5
