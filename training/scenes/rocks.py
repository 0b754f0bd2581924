# SPDX-License-Identifier: Apache-2.0
"""Rocks of the training set: scree, cliffs, rough walls, caves, and animals among them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.scenes.animals import animal, random_beast
from training.scenes.bodies import random_body, standing_person
from training.scenes.gardens import Slope
from videodepth_ros.synthetic import furniture as f
from videodepth_ros.synthetic.camera_path import Carrier, Stage, Zone
from videodepth_ros.synthetic.nature import bush, grass_tufts, hill, tree
from videodepth_ros.synthetic.noise import hsv, neutral
from videodepth_ros.synthetic.scene import Material, SceneBuilder
from videodepth_ros.synthetic.skies import open_sky

_STONES = ('plaster', 'plaster', 'speckles', 'gravel', 'marble', 'asphalt', 'bark', 'plain')


@dataclass(frozen=True)
class Site:
    """Ground, its stones, half its side in metres, and where the camera is (x, y)."""

    ground: Slope
    stones: tuple[Material, ...]
    side_m: float
    eye_m: tuple[float, float]

    def free(self, x: float, y: float, size_m: float) -> bool:
        """Return whether a thing of this size leaves room for the camera."""
        return bool(np.hypot(x - self.eye_m[0], y - self.eye_m[1]) > 0.7 * size_m + 0.7)


def rocks(b: SceneBuilder) -> Stage:
    """Build boulders on level or sloping ground, perhaps before a cliff, a wall or a cave."""
    r = b.rng
    side = float(np.exp(r.uniform(np.log(3.5), np.log(16))))
    ground = Slope(0.0 if r.random() < 0.45 else float(r.uniform(0.05, 0.5)))
    angle, away = r.uniform(-np.pi, np.pi), r.uniform(0.35, 0.85) * side
    site = Site(
        ground,
        tuple(_stone(b) for _ in range(int(r.integers(1, 4)))),
        side,
        (float(away * np.cos(angle)), float(away * np.sin(angle))),
    )
    soil = Material(
        f.pick(b, 'gravel', 'gravel', 'plaster', 'leaves', 'grass', 'stones', 'speckles'),
        r.uniform(0.8, 4),
        wear=0.8,
    )
    soil = soil.painted(_earth(b)) if r.random() < 0.5 else soil
    b.box((0, 0, -0.5 / np.cos(ground.pitch_rad)), (300, 300, 1.0), soil, pitch=ground.pitch_rad)
    _behind(b, site, angle + np.pi)
    _strewn(b, site)
    _growth(b, site)
    _animals(b, site)
    x, y = site.eye_m
    z = ground.height_m(x) + (r.uniform(0.3, 0.8) if r.random() < 0.3 else r.uniform(0.9, 2.2))
    spread = 0.06 * side
    target = (0.0, 0.0, float(r.uniform(0.0, 0.18) * side))
    zone = Zone(
        (x - spread, y - spread, z),
        (x + spread, y + spread, z + 0.3),
        (-0.5, 0.5),
        (-0.2, 0.15),
        (0.1, 1.2),
        (Carrier.HAND, Carrier.HAND, Carrier.WHEELS, Carrier.STATIC, Carrier.FLIGHT),
        (0.5, 1.25),
        target,
    )
    low = -abs(ground.height_m(side)) - 1
    return b.build(open_sky(b, 600 + 60 * side), (-side, -side, low), (side, side, 6 - low)), zone


def _earth(b: SceneBuilder) -> tuple[float, float, float]:
    """Return a colour of stone or earth."""
    r = b.rng
    colour = (
        neutral(r, 0.2, 0.95)
        if r.random() < 0.5
        else hsv(r.uniform(0.02, 0.14), r.uniform(0.05, 0.5), r.uniform(0.25, 0.9))
    )
    return float(colour[0]), float(colour[1]), float(colour[2])


def _stone(b: SceneBuilder) -> Material:
    return Material(
        f.pick(b, *_STONES),
        b.rng.uniform(0.5, 2.5),
        wear=b.rng.uniform(0.5, 1),
        gloss=float(b.rng.choice([0.0, 0.0, 0.3])),
    ).painted(_earth(b))


def boulder(b: SceneBuilder, size: float, stone: Material, kind: str) -> None:
    """Add a boulder on the origin: 'round', 'jagged' of tilted blocks, or 'slabs' in layers."""
    r = b.rng
    core = 0.75 if kind == 'round' else 0.55
    b.ellipsoid(
        (0, 0, 0.2 * size),
        r.uniform(0.8, 1.35, 3) * core * size,
        stone,
        yaw=r.uniform(0, 3),
        pitch=r.normal(0, 0.4),
    )
    for k in range(int(r.integers(2, 6)) if size > 0.25 else 1):
        spot = r.uniform((-0.3, -0.3, 0.0), (0.3, 0.3, 0.35)) * size
        yaw, pitch = r.uniform(0, 3), r.normal(0, 0.5)
        if kind == 'slabs':
            b.box(
                (spot[0], spot[1], (0.15 + 0.17 * k) * size),
                r.uniform((0.6, 0.6, 0.12), (1.2, 1.2, 0.25)) * size,
                stone,
                yaw,
                0.2 * pitch,
            )
        elif kind == 'jagged':
            b.box(spot, r.uniform(0.35, 0.85, 3) * size, stone, yaw, 1.6 * pitch)
        else:
            b.ellipsoid(spot, r.uniform(0.4, 0.95, 3) * size, stone, yaw, 1.4 * pitch)


def _strewn(b: SceneBuilder, site: Site) -> None:
    """Add boulders by a power law of sizes, logs, and pebbles about the middle and the camera."""
    r = b.rng
    kind = f.pick(b, 'round', 'jagged', 'jagged', 'slabs')
    largest = min(5.0, 0.4 * site.side_m)
    for _ in range(int(r.integers(10, 55))):
        size = 0.2 * (largest / 0.2) ** (r.random() ** r.uniform(1.2, 2.5))
        x, y = r.uniform(-1, 1, 2) * site.side_m * r.uniform(0.5, 1)
        if site.free(x, y, size):
            with b.at(x, y, site.ground.height_m(x) - 0.1 * size, r.uniform(0, 6.3)), b.matched():
                boulder(
                    b,
                    size,
                    site.stones[int(r.integers(0, len(site.stones)))],
                    kind if r.random() < 0.8 else 'round',
                )
    for _ in range(int(r.integers(0, 60))):
        x, y = r.normal(0, 0.35, 2) * site.side_m + np.array(site.eye_m) * (r.random() < 0.5)
        size = r.uniform(0.05, 0.3)
        b.ellipsoid(
            (x, y, site.ground.height_m(x) + 0.2 * size),
            r.uniform(0.5, 1.2, 3) * size,
            site.stones[0],
            yaw=r.uniform(0, 3),
        )
    for _ in range(int(r.choice(4, p=[0.5, 0.25, 0.15, 0.1]))):
        x, y = r.uniform(-0.7, 0.7, 2) * site.side_m
        thick = r.uniform(0.08, 0.35)
        if site.free(x, y, 3.0):
            with b.at(x, y, site.ground.height_m(x) + 0.8 * thick, r.uniform(0, 6.3)):
                _log(b, thick)


def _log(b: SceneBuilder, thick: float) -> None:
    """Add a trunk that lies, with stumps of branches."""
    r, bark = b.rng, Material('bark', b.rng.uniform(0.5, 1.5))
    long, tilt = r.uniform(8, 18) * thick, r.normal(0, 0.12)
    way = np.array([np.cos(tilt), 0, np.sin(tilt)])
    b.rod(-long / 2 * way, long / 2 * way, thick, bark, taper=r.uniform(0.5, 0.9))
    for _ in range(int(r.integers(0, 5))):
        root = r.uniform(-0.4, 0.4) * long * way
        b.rod(root, root + r.uniform((-1, -1, 0), (1, 1, 1)) * 4 * thick, 0.25 * thick, bark, 0.4)


def _growth(b: SceneBuilder, site: Site) -> None:
    """Add shrubs, tufts, trees and far hills."""
    r = b.rng
    for _ in range(int(r.integers(0, 7))):
        size = r.uniform(0.3, 1.6)
        x, y = r.uniform(-1, 1, 2) * site.side_m
        if site.free(x, y, size):
            with b.at(x, y, site.ground.height_m(x)):
                bush(b, size)
    for _ in range(int(r.integers(0, 5))):
        x, y = r.uniform(0.6, 2.5) * site.side_m * r.choice([-1, 1], 2) * r.uniform(0.3, 1, 2)
        if site.free(x, y, 3):
            with b.at(x, y, site.ground.height_m(x) - 0.1):
                tree(b, r.uniform(2, 11))
    if site.ground.gradient == 0:
        grass_tufts(b, int(r.integers(0, 12)), 0.7 * site.side_m)
        if r.random() < 0.15:
            wide = r.uniform(0.2, 0.7) * site.side_m
            b.ellipsoid(
                (0, 0.4 * site.side_m, 0.02),
                (2 * wide, 2.5 * wide, 0.06),
                Material('plain', gloss=r.uniform(0.7, 1), wear=0.3).painted((0.12, 0.2, 0.22)),
            )
    for _ in range(int(r.integers(0, 3))):
        hill(b, r.uniform(60, 200), Material(f.pick(b, 'grass', 'gravel', 'plaster'), 8.0))


def _animals(b: SceneBuilder, site: Site) -> None:
    """Add a few animals, near the middle of the view; on a slope they walk along it."""
    r = b.rng
    herd = random_beast(b)
    for _ in range(int(r.choice(5, p=[0.15, 0.45, 0.22, 0.12, 0.06]))):
        beast = herd if r.random() < 0.5 else random_beast(b)
        share = r.uniform(-0.2, 0.6)
        x, y = share * np.array(site.eye_m) + r.normal(0, 0.15, 2) * site.side_m
        if not site.free(x, y, 1.2 * beast.tall_m):
            continue
        level = site.ground.gradient == 0
        heading = r.uniform(-np.pi, np.pi) if level else r.choice([-1, 1]) * np.pi / 2
        animal(
            b,
            beast,
            (float(x), float(y), site.ground.height_m(float(x))),
            float(heading),
            0.0 if r.random() < 0.45 else r.uniform(0.3, 1.5),
        )
    if r.random() < 0.12:
        x, y = r.uniform(-0.5, 0.5, 2) * site.side_m
        if site.free(x, y, 1):
            with b.at(x, y, site.ground.height_m(x), r.uniform(0, 6.3)):
                standing_person(b, random_body(b))


def _behind(b: SceneBuilder, site: Site, ahead: float) -> None:
    """Add what closes the view at an angle ahead of the camera: cliffs, rough walls, a cave."""
    r = b.rng
    for turn in (0.0, 1.2, -1.2):
        if r.random() > (0.75 if turn == 0 else 0.3):
            continue
        angle, away = ahead + turn + r.normal(0, 0.2), site.side_m * r.uniform(0.3, 1.1)
        x, y = away * np.cos(angle), away * np.sin(angle)
        stone = site.stones[int(r.integers(0, len(site.stones)))]
        if not site.free(x, y, 2):
            continue
        with b.at(x, y, site.ground.height_m(x) - 0.15, angle + np.pi):
            kind, long = r.random(), site.side_m * r.uniform(0.7, 1.8)
            if kind < 0.4:
                _cliff(b, long, r.uniform(0.25, 1.0) * site.side_m + 1, stone)
            elif kind < 0.75:
                _rough_wall(b, min(long, 10), r.uniform(1, 4), stone)
            else:
                _cave(b, stone)


def _cliff(b: SceneBuilder, long: float, high: float, stone: Material) -> None:
    """Add a rock face along y in blocks and bulges, its foot at x = 0."""
    r = b.rng
    size = max(long / 7, high / 4)
    b.box((-0.9 * size, 0, high / 2), (size, long, high), stone, pitch=-r.uniform(0, 0.2))
    for y in np.arange(-long / 2, long / 2, 0.75 * size):
        for z in np.arange(0.2 * size, high, 0.8 * size):
            spot = (r.uniform(-0.5, 0.1) * size - 0.15 * z, y + r.normal(0, 0.2) * size, z)
            extent = r.uniform((0.6, 0.7, 0.7), (1.2, 1.5, 1.4)) * size
            place = b.box if r.random() < 0.55 else b.ellipsoid
            place(spot, extent, stone, r.normal(0, 0.5), r.normal(0, 0.35))


def _rough_wall(b: SceneBuilder, long: float, high: float, stone: Material) -> None:
    """Add a wall along y of stones of many sizes in rough courses."""
    r = b.rng
    course = max(r.uniform(0.2, 0.6), long * high / 60)
    b.box(
        (-0.3, 0, high / 2),
        (0.5, long, high),
        Material('stones', 2.0, wear=0.9) if r.random() < 0.5 else stone,
    )
    other = _stone(b)
    z = 0.0
    while z < high:
        tall, y = course * r.uniform(0.7, 1.3), -long / 2
        while y < long / 2:
            wide = course * r.uniform(0.8, 2.4)
            place = b.box if r.random() < 0.6 else b.ellipsoid
            place(
                (r.uniform(-0.15, 0.02), y + wide / 2, z + tall / 2),
                (r.uniform(0.2, 0.5), 0.97 * wide, 0.95 * tall),
                stone if r.random() < 0.8 else other,
                r.normal(0, 0.06),
                r.normal(0, 0.06),
            )
            y += wide
        z += tall


def _cave(b: SceneBuilder, stone: Material) -> None:
    """Add a mouth in a rock face, deep and dark behind, opening to +x."""
    r = b.rng
    wide, high, deep = r.uniform(1, 3), r.uniform(1.2, 2.6), r.uniform(3, 9)
    for side in (-1, 1):
        b.box(
            (-deep / 2, side * (wide / 2 + 1.6), high),
            (deep, 3.0, 2 * high + 1),
            stone,
            r.normal(0, 0.08),
        )
    b.box((-deep / 2, 0, high + 1.2), (deep, wide + 2, 2.2), stone, 0.0, r.normal(0, 0.08))
    b.box((-deep, 0, high), (1.0, wide + 6, 2 * high + 2), stone)
    for angle in np.linspace(-0.2, np.pi + 0.2, int(r.integers(7, 14))):
        size = r.uniform(0.6, 1.5)
        spot = (
            r.uniform(-0.4, 0.4),
            (wide / 2 + 0.4 * size) * np.cos(angle),
            (high + 0.3 * size) * np.sin(angle),
        )
        (b.box if r.random() < 0.4 else b.ellipsoid)(
            spot, r.uniform(0.7, 1.3, 3) * size, stone, r.uniform(0, 3), r.normal(0, 0.5)
        )
    with b.at(0, -wide / 2 - 3.5, 0):
        boulder(b, 3.0, stone, 'round')
    with b.at(0, wide / 2 + 3.5, 0):
        boulder(b, 3.0, stone, 'jagged')
