# SPDX-License-Identifier: Apache-2.0
"""Gardens and parks of the training set: slopes, paths, hedges, pergolas, ponds, dogs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from videodepth_ros.synthetic import furniture as f
from videodepth_ros.synthetic.camera_path import Carrier, Stage, Zone
from videodepth_ros.synthetic.nature import bush, grass_tufts, hill, rock, tree
from videodepth_ros.synthetic.noise import hsv, neutral, vivid
from videodepth_ros.synthetic.open_air import building, daylight
from videodepth_ros.synthetic.people import walking_person
from videodepth_ros.synthetic.scene import Material, Motion, SceneBuilder


@dataclass(frozen=True)
class Slope:
    """Ground that climbs along +x: gradient without unit, 0 at the origin."""

    gradient: float

    def height_m(self, x: float) -> float:
        """Return the ground's height at x."""
        return self.gradient * x

    @property
    def pitch_rad(self) -> float:
        """Return the pitch of a box that lies on the ground."""
        return -float(np.arctan(self.gradient))


def garden(b: SceneBuilder) -> Stage:
    """Build a garden behind a house or a corner of a park, on flat or sloping ground."""
    r = b.rng
    side = r.uniform(5, 18)
    ground = Slope(0.0 if r.random() < 0.5 else float(np.clip(r.normal(0, 0.09), -0.16, 0.16)))
    lawn = Material(f.pick(b, 'grass', 'grass', 'grass', 'gravel', 'leaves'), r.uniform(1.5, 4))
    b.box((0, 0, -0.5 / np.cos(ground.pitch_rad)), (400, 400, 1.0), lawn, pitch=ground.pitch_rad)
    for _ in range(int(r.integers(0, 5))):
        x, y, wide = r.uniform(-side, side), r.uniform(-side, side), r.uniform(3, 9)
        b.ellipsoid(
            (x, y, ground.height_m(x) - 0.02 * wide),
            (wide, wide * r.uniform(0.5, 1.5), wide * r.uniform(0.05, 0.16)),
            lawn,
        )
    for _ in range(int(r.integers(1, 4))):
        _path(b, ground, side)
    _borders(b, ground, side)
    for _ in range(int(r.integers(14, 32))):
        x, y = r.uniform(-0.95, 0.95, 2) * side * r.uniform(0.4, 1)
        with b.at(float(x), float(y), ground.height_m(float(x)), r.uniform(-np.pi, np.pi)):
            _garden_thing(b)
    grass_tufts(b, int(r.integers(0, 12)) * (ground.gradient == 0), 0.5 * side)
    for _ in range(int(r.integers(0, 4)) * (abs(ground.gradient) < 0.02)):
        walking_person(b, (-0.6 * side, -0.6 * side), (0.6 * side, 0.6 * side))
    for _ in range(int(r.integers(0, 3))):
        _dog(b, ground, side)
    reach = min(0.7 * side, 7.0)
    low = 0.35 + abs(ground.height_m(reach))
    zone = Zone(
        (-reach, -reach, low),
        (reach, reach, low + 1.5),
        pitch_rad=(-0.45, 0.2),
        speed_m_s=(0.2, 1.5),
        fx_ratio=(0.5, 1.15),
        carriers=(Carrier.HAND, Carrier.HAND, Carrier.WHEELS, Carrier.FLIGHT),
    )
    return b.build(daylight(b), (-side, -side, -2), (side, side, 7)), zone


def _path(b: SceneBuilder, ground: Slope, side: float) -> None:
    """Add a path that winds across, of slabs that follow the ground."""
    r = b.rng
    cover = Material(
        f.pick(b, 'gravel', 'stones', 'bricks', 'tiles', 'plaster', 'asphalt'), r.uniform(1, 2.5)
    )
    tile, wide, step = b.atlas.pick(cover.texture, r), r.uniform(0.7, 2.6), 1.6
    y, heading, bend = r.uniform(-0.5, 0.5) * side, r.normal(0, 0.4), r.normal(0, 0.12)
    x, loose = -side, r.random() < 0.2
    while x < side and abs(y) < 1.2 * side:
        b.box(
            (x, y, ground.height_m(x) + 0.01),
            (step * (0.6 if loose else 1.15), wide, 0.05),
            cover,
            yaw=heading,
            pitch=ground.pitch_rad * np.cos(heading),
            tile=tile,
        )
        x, y = x + step * np.cos(heading), y + step * np.sin(heading)
        heading = float(np.clip(heading + bend, -1.2, 1.2))


def _borders(b: SceneBuilder, ground: Slope, side: float) -> None:
    """Add what bounds the garden on each side: hedge, fence, wall, woods, or the house."""
    r = b.rng
    for k in range(4):
        angle = k * np.pi / 2
        x, y = side * np.cos(angle), side * np.sin(angle)
        with b.at(x, y, ground.height_m(x), angle + np.pi):
            kind = r.random()
            if kind < 0.25 and abs(ground.gradient) < 0.1:
                building(b, r.uniform(0.8, 1.5) * side, 8, r.uniform(3.2, 7))
            elif kind < 0.5:
                for y in np.arange(-side, side, 4.0):
                    with b.at(0, y + 2.0, (ground.height_m(-np.sin(angle + np.pi) * y))):
                        hedge(b, 4.1, r.uniform(0.7, 2.2))
            elif kind < 0.75:
                for y in np.arange(-side, side, 3.0):
                    with b.at(0, y, ground.height_m(-np.sin(angle + np.pi) * y), np.pi / 2):
                        fence(b, 3.0)
            for _ in range(int(r.integers(0, 5))):
                with b.at(-r.uniform(1, 14), r.uniform(-1, 1) * side):
                    tree(b, r.uniform(4, 13))
    if r.random() < 0.5:
        soil = Material(f.pick(b, 'grass', 'leaves'), 8.0)
        for _ in range(int(r.integers(1, 5))):
            hill(b, r.uniform(60, 200), soil)


def hedge(b: SceneBuilder, length: float, height: float) -> None:
    """Add a clipped hedge along y."""
    r = b.rng
    deep, tint = r.uniform(0.4, 0.9), r.uniform(0.6, 1.1, 3)
    solid = Material('leaves', r.uniform(0.5, 1.2), wear=0.7).painted(tint)
    fringe = Material('leaves', 0.8, cutout='leaf', cutout_scale_m=r.uniform(0.5, 1.5)).painted(
        tint
    )
    b.box((0, 0, height / 2), (deep, length, height), solid)
    b.box((0, 0, height / 2), (deep + 0.12, length, height + 0.1), fringe)
    for y in np.arange(-length / 2, length / 2, r.uniform(0.6, 1.6)):
        b.ellipsoid((0, y, height * 0.9), (deep * 1.15, 1.2, height * 0.35), fringe)


def fence(b: SceneBuilder, length: float) -> None:
    """Add a piece of fence along +x: pickets, boards, posts with rails, or wire mesh."""
    r = b.rng
    board = f.wooden(b)
    high, kind = r.uniform(0.8, 1.7), r.random()
    for x in (0.0, length / 2):
        b.box((x, 0, high / 2), (0.09, 0.09, high), board)
    if kind < 0.4:
        for z in (0.3 * high, 0.8 * high):
            b.box((length / 2, 0.03, z), (length, 0.03, 0.08), board)
        step = r.uniform(0.12, 0.25)
        for x in np.arange(step / 2, length, step):
            b.box((x, 0.06, high * 0.52), (0.08, 0.02, high * r.uniform(0.88, 0.95)), board)
    elif kind < 0.6:
        b.box((length / 2, 0.04, high * 0.52), (length, 0.03, high * 0.9), Material('planks', 0.9))
    elif kind < 0.8:
        for z in np.linspace(0.3, 0.95, int(r.integers(2, 5))) * high:
            b.rod((0, 0, z), (length, 0, z), 0.03, board)
    else:
        b.box(
            (length / 2, 0, high * 0.52),
            (length, 0.01, high * 0.9),
            Material('metal', cutout='mesh', cutout_scale_m=r.uniform(0.4, 0.9)),
        )


def _garden_thing(b: SceneBuilder) -> None:
    r = b.rng
    things: tuple[Callable[[], None], ...] = (
        lambda: tree(b, r.uniform(2.5, 9)),
        lambda: tree(b, r.uniform(1.5, 6)),
        lambda: bush(b, r.uniform(0.5, 2.2)),
        lambda: bush(b, r.uniform(0.3, 1.2)),
        lambda: f.plant(b, r.uniform(0.5, 1.6)),
        lambda: rock(b, r.uniform(0.3, 1.2)),
        lambda: hedge(b, r.uniform(1, 5), r.uniform(0.4, 1.5)),
        lambda: fence(b, r.uniform(1.5, 4)),
        lambda: _flower_bed(b),
        lambda: _flower_bed(b),
        lambda: _bench(b),
        lambda: _bench(b),
        lambda: _pergola(b),
        lambda: _shed(b),
        lambda: _pond(b),
        lambda: _seats(b),
        lambda: _playground(b),
    )
    things[int(r.integers(0, len(things)))]()


def _seats(b: SceneBuilder) -> None:
    f.table(b, 1.3, 0.8, 0.72, 4)
    for end in (-1, 1):
        with b.at(end * 0.7, 0, 0, np.pi if end > 0 else 0):
            f.chair(b)


def _flower_bed(b: SceneBuilder) -> None:
    r = b.rng
    wide, long = r.uniform(0.8, 2), r.uniform(1.5, 4)
    b.box((0, 0, 0.05), (wide, long, 0.2), Material(f.pick(b, 'gravel', 'carpet', 'bark'), 1.0))
    for _ in range(int(r.integers(6, 20))):
        spot = r.uniform((-0.45, -0.45, 0.15), (0.45, 0.45, 0.3)) * (wide, long, 1)
        tint = vivid(r) if r.random() < 0.6 else r.uniform(0.6, 1.1, 3)
        b.ellipsoid(
            spot,
            r.uniform(0.15, 0.6, 3),
            Material(
                'leaves', 0.3, cutout=f.pick(b, 'leaf', 'sparse'), cutout_scale_m=0.3
            ).painted(tint),
        )


def _bench(b: SceneBuilder) -> None:
    r = b.rng
    wood, metal, long = f.wooden(b), f.hard(b), r.uniform(1.2, 2)
    for k in range(3):
        b.box((-0.14 + 0.14 * k, 0, 0.45), (0.11, long, 0.04), wood)
        b.box((-0.26 - 0.02 * k, 0, 0.58 + 0.13 * k), (0.03, long, 0.1), wood)
    for side in (-1, 1):
        b.box((-0.02, side * long * 0.42, 0.22), (0.4, 0.06, 0.44), metal)
        b.rod((-0.23, side * long * 0.42, 0.4), (-0.32, side * long * 0.42, 0.9), 0.025, metal)


def _pergola(b: SceneBuilder) -> None:
    """Add posts and beams, with leaves over some of it."""
    r = b.rng
    wood, wide, long, high = f.wooden(b), r.uniform(1.6, 3), r.uniform(2, 6), r.uniform(2.1, 2.6)
    for x in np.arange(0, long + 0.1, r.uniform(1.4, 2.2)):
        for side in (-1, 1):
            b.box((x, side * wide / 2, high / 2), (0.11, 0.11, high), wood)
        b.box((x, 0, high + 0.15), (0.07, wide + 0.6, 0.12), wood)
    for side in (-1, 1):
        b.box((long / 2, side * wide / 2, high + 0.03), (long + 0.5, 0.08, 0.13), wood)
    leaf = Material('leaves', 0.6, cutout='leaf', cutout_scale_m=0.9)
    for _ in range(int(r.integers(0, 7))):
        spot = (r.uniform(0, long), r.uniform(-0.5, 0.5) * wide, high + r.uniform(-0.4, 0.3))
        b.ellipsoid(spot, r.uniform(0.5, 1.6, 3), leaf)


def _shed(b: SceneBuilder) -> None:
    """Add a hut with a ridged roof, a door, and what leans on it."""
    r = b.rng
    wide, deep, high = r.uniform(1.6, 3.5), r.uniform(1.5, 2.6), r.uniform(1.9, 2.4)
    wall = Material(f.pick(b, 'planks', 'planks', 'plain', 'bricks'), 1.2).painted(neutral(r))
    b.box((0, 0, high / 2), (deep, wide, high), wall)
    b.box((deep / 2 + 0.02, 0.2 * wide, 0.95), (0.05, 0.8, 1.85), Material('panels', None))
    roof = Material(f.pick(b, 'tiles', 'metal', 'planks'), 1.2)
    for side in (-1, 1):
        b.box(
            (side * deep * 0.28, 0, high + deep * 0.13),
            (deep * 0.68, wide + 0.3, 0.06),
            roof,
            pitch=side * 0.5,
        )
    for _ in range(int(r.integers(0, 4))):
        y = r.uniform(-0.5, 0.3) * wide
        b.rod((deep / 2 + 0.5, y, 0), (deep / 2, y + 0.1, r.uniform(1, 1.8)), 0.02, f.hard(b))


def _pond(b: SceneBuilder) -> None:
    """Add still water as a mirror-like disc among stones."""
    r = b.rng
    wide, long = r.uniform(0.8, 3.5), r.uniform(0.8, 1.6)
    water = Material('plain', gloss=r.uniform(0.75, 1.0), wear=0.3).painted(
        hsv(r.uniform(0.3, 0.6), 0.4, r.uniform(0.1, 0.35))
    )
    b.ellipsoid((0, 0, 0.02), (2 * wide, 2 * wide * long, 0.06), water)
    stone = Material('speckles', 1)
    for angle in np.arange(0, 6.2, r.uniform(0.25, 0.7)):
        spot = (wide * np.cos(angle), wide * long * np.sin(angle), 0.03)
        b.ellipsoid(spot, r.uniform((0.2, 0.2, 0.14), (0.6, 0.6, 0.42)), stone)


def _playground(b: SceneBuilder) -> None:
    """Add a slide or a swing."""
    r, paint = b.rng, f.hard(b).painted(vivid(b.rng))
    if r.random() < 0.5:
        high = r.uniform(1.2, 2.2)
        b.box((0.9 * high, 0, high / 2), (2.1 * high, 0.5, 0.05), f.hard(b), pitch=0.5)
        for side in (-1, 1):
            b.rod((0, side * 0.25, 0), (0, side * 0.25, high + 0.6), 0.03, paint)
            b.rod((-0.5, side * 0.25, 0), (0, side * 0.25, high), 0.03, paint)
        for z in np.arange(0.2, 1, 0.2):
            b.rod((-0.5 * (1 - z), -0.25, z * high), (-0.5 * (1 - z), 0.25, z * high), 0.02, paint)
        return
    for end in (-1, 1):
        for lean in (-0.6, 0.6):
            b.rod((lean, end * 1.4, 0), (0, end * 1.4, 2.1), 0.04, paint)
        for rope in (-0.2, 0.2):
            b.rod((0, end * 0.6 + rope, 0.45), (0, end * 0.6 + rope, 2.1), 0.012, f.hard(b))
        b.box((0, end * 0.6, 0.45), (0.2, 0.45, 0.03), f.wooden(b))
    b.rod((0, -1.4, 2.1), (0, 1.4, 2.1), 0.04, paint)


def _dog(b: SceneBuilder, ground: Slope, side: float) -> None:
    """Add a dog that runs or stands; on a slope it stands."""
    r = b.rng
    x, y = (float(c) for c in r.uniform(-0.5, 0.5, 2) * side)
    speed = 0.0 if ground.gradient or r.random() < 0.3 else r.uniform(0.3, 2.5)
    fur = Material('carpet', 0.3).painted(
        hsv(r.uniform(0.03, 0.12), r.uniform(0, 0.6), r.uniform(0.1, 1))
    )
    tall, heading = r.uniform(0.25, 0.65), r.uniform(-np.pi, np.pi)
    for leg in range(5):
        swing = 0.5 * bool(speed) * (leg < 4)
        with b.moving(
            Motion(
                (x, y, ground.height_m(x)),
                heading,
                speed,
                0.0,
                ((0.35 if leg < 2 else -0.35) * tall, 0.0, 0.55 * tall),
                swing,
                2.0,
                np.pi * (leg in (1, 2)),
            )
        ):
            if leg < 4:
                place = (0.4 if leg < 2 else -0.4) * tall, (0.12 if leg % 2 else -0.12) * tall
                b.rod((*place, 0), (*place, 0.6 * tall), 0.07 * tall, fur)
                continue
            b.ellipsoid((0, 0, 0.7 * tall), np.array([1.15, 0.4, 0.45]) * tall, fur)
            b.rod((0.45 * tall, 0, 0.75 * tall), (0.65 * tall, 0, 1.05 * tall), 0.13 * tall, fur)
            b.ellipsoid((0.75 * tall, 0, 1.08 * tall), np.array([0.42, 0.24, 0.26]) * tall, fur)
            b.rod((-0.5 * tall, 0, 0.8 * tall), (-0.85 * tall, 0, 1.05 * tall), 0.04 * tall, fur)
