# SPDX-License-Identifier: Apache-2.0
"""Outdoor families of the training set: streets, courtyards, wild terrain, views from above."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from videodepth_ros.synthetic import furniture as f
from videodepth_ros.synthetic.architecture import railing, stairs
from videodepth_ros.synthetic.camera_path import Carrier, Stage, Zone
from videodepth_ros.synthetic.nature import bush, grass_tufts, hill, rock, tree
from videodepth_ros.synthetic.noise import muted, vivid
from videodepth_ros.synthetic.open_air import building, daylight, street_furniture
from videodepth_ros.synthetic.people import car, driving_car, walking_person
from videodepth_ros.synthetic.scene import Material, SceneBuilder


def _road(b: SceneBuilder, long: float, half: float, walk: float) -> None:
    r = b.rng
    b.box((long / 2 - 20, 0, -0.15), (long + 300, half * 2, 0.3), Material('asphalt', 3.0))
    kerb = Material('plaster', 1.5)
    paving = Material(f.pick(b, 'tiles', 'bricks', 'asphalt', 'speckles'), 2.0)
    for side in (-1, 1):
        y = side * (half + walk / 2)
        b.box((long / 2 - 20, y, -0.05), (long + 300, walk, 0.35), paving)
        b.box((long / 2 - 20, side * (half + 0.08), -0.04), (long + 300, 0.16, 0.35), kerb)
        outer = side * (half + walk + 100)
        b.box(
            (long / 2 - 20, outer, -0.1),
            (long + 300, 200, 0.4),
            Material(f.pick(b, 'grass', 'grass', 'gravel', 'asphalt'), 3.0),
        )
    paint = Material('plain', wear=0.9).painted((0.9, 0.9, 0.85))
    for x in np.arange(-20, long, r.uniform(4, 8)):
        b.box((x, 0, 0), (r.uniform(1.5, 3), 0.13, 0.006), paint)
    if r.random() < 0.4:
        for y in np.arange(-half + 0.5, half, 0.9):
            b.box((r.uniform(8, 9), y, 0), (3, 0.45, 0.008), paint)


def street(b: SceneBuilder) -> Stage:
    """Build a street between houses, gardens or trees, with cars and walkers."""
    r = b.rng
    long, half, walk = r.uniform(60, 110), r.uniform(3, 7.5), r.uniform(1.5, 4.5)
    _road(b, long, half, walk)
    green = r.random() < 0.35
    for side in (-1, 1):
        _houses(b, side, long, half + walk, green)
        _verge(b, side, long, half, walk)
        _parked_cars(b, side, long, half)
    _traffic(b, long, half, walk)
    _wires(b, long, half + walk * 0.5)
    zone = Zone(
        (-8, -half * 0.5, 1.1),
        (long * 0.4, half * 0.5, 2.0),
        (-0.35, 0.35) if r.random() < 0.7 else (-np.pi, np.pi),
        (-0.15, 0.08),
        (1, 9),
        (Carrier.WHEELS, Carrier.WHEELS, Carrier.WHEELS, Carrier.HAND, Carrier.STATIC),
        (0.55, 1.25),
    )
    if r.random() < 0.35:
        zone = Zone(
            (0, half + 0.5, 0.5),
            (long * 0.5, half + walk - 0.5, 1.9),
            (-np.pi, np.pi),
            (-0.3, 0.15),
            (0.3, 1.6),
            (Carrier.HAND, Carrier.WHEELS),
            (0.55, 1.1),
        )
    return b.build(daylight(b), (-15, -half - walk - 6, -0.5), (45, half + walk + 6, 12)), zone


def _houses(b: SceneBuilder, side: int, long: float, kerb: float, green: bool) -> None:
    r, x = b.rng, -18.0
    while x < long:
        width = r.uniform(7, 22)
        edge = kerb + (r.uniform(1, 9) if green else r.uniform(0, 0.6))
        with b.at(x + width / 2, side * edge, 0, -side * np.pi / 2):
            if r.random() < (0.45 if green else 0.92):
                building(b, width, r.uniform(8, 14), r.uniform(4, 9 if green else 19))
            else:
                tree(b, r.uniform(4, 11))
        x += width + (r.uniform(0, 6) if green or r.random() < 0.2 else 0)


def _verge(b: SceneBuilder, side: int, long: float, half: float, walk: float) -> None:
    r = b.rng
    for x in np.arange(-10, long, r.uniform(6, 14)):
        along, across = x + r.normal(0, 2), half + r.uniform(0.5, walk * 0.7)
        with b.at(along, side * across, 0.12, -side * np.pi / 2):
            if r.random() < 0.35:
                tree(b, r.uniform(3.5, 8))
            elif r.random() < 0.7:
                street_furniture(b)


def _parked_cars(b: SceneBuilder, side: int, long: float, half: float) -> None:
    r = b.rng
    for x in np.arange(-8, long * 0.7, 6.5):
        if r.random() < 0.4 and half > 4:
            along, heading = x + r.normal(0, 0.5), 0 if side < 0 else np.pi
            with b.at(along, side * (half - 1.1), 0, heading + r.normal(0, 0.04)):
                car(b)


def _wires(b: SceneBuilder, long: float, y: float) -> None:
    """Add overhead wires that sag between poles along every other street, as thin as they come."""
    r, metal = b.rng, Material('plain').painted((0.05, 0.05, 0.05))
    if r.random() < 0.5:
        return
    high, step = r.uniform(5, 8), r.uniform(14, 25)
    side = float(r.choice([-1, 1])) * y
    for x in np.arange(-12, min(long, 60), step):
        b.rod((x, side, 0), (x, side, high + 0.3), 0.1, Material('bark', 0.8))
        for lift in (0.0, -0.5):
            points = [(x + k * step / 4, side, high + lift - 0.12 * k * (4 - k)) for k in range(5)]
            for start, end in pairwise(points):
                b.rod(start, end, 0.012, metal)


def _traffic(b: SceneBuilder, long: float, half: float, walk: float) -> None:
    r = b.rng
    for _ in range(int(r.integers(0, 4))):
        lane = r.choice([-1, 1])
        driving_car(
            b, (r.uniform(6, 60), -lane * half * 0.4), 0.0 if lane > 0 else np.pi, r.uniform(0, 12)
        )
    for _ in range(int(r.integers(0, 4))):
        side = r.choice([-1, 1])
        y = side * (half + walk / 2)
        walking_person(b, (2, y - 0.8), (min(35, long), y + 0.8))


def courtyard(b: SceneBuilder) -> Stage:
    """Build a yard, garden or square between walls, with trees, benches, steps and fences."""
    r = b.rng
    side_m = r.uniform(5, 22)
    b.box(
        (0, 0, -0.2),
        (300, 300, 0.4),
        Material(
            f.pick(b, 'bricks', 'tiles', 'gravel', 'grass', 'stones', 'asphalt'), r.uniform(1.5, 3)
        ),
    )
    _enclosure(b, side_m)
    for _ in range(int(r.integers(12, 34))):
        away = side_m * r.uniform(0.1, 0.97)
        angle = r.uniform(-np.pi, np.pi)
        with b.at(away * np.cos(angle), away * np.sin(angle), 0, r.uniform(-np.pi, np.pi)):
            _yard_thing(b)
    for _ in range(int(r.integers(0, 3))):
        walking_person(b, (-side_m / 2, -side_m / 2), (side_m / 2, side_m / 2))
    reach = side_m * 0.7
    zone = Zone(
        (-reach, -reach, 0.3),
        (reach, reach, 1.9),
        pitch_rad=(-0.4, 0.15),
        speed_m_s=(0.2, 1.5),
        fx_ratio=(0.5, 1.1),
        carriers=(Carrier.HAND, Carrier.HAND, Carrier.WHEELS, Carrier.FLIGHT),
    )
    return b.build(daylight(b), (-side_m, -side_m, -0.5), (side_m, side_m, 9)), zone


def _enclosure(b: SceneBuilder, side_m: float) -> None:
    r = b.rng
    for k in range(4):
        angle = k * np.pi / 2
        with b.at(side_m * np.cos(angle), side_m * np.sin(angle), 0, angle + np.pi):
            if r.random() < 0.5:
                building(b, r.uniform(1, 2) * side_m, 8, r.uniform(3.5, 14))
            elif r.random() < 0.5:
                b.box(
                    (0, 0, 1),
                    (0.3, 2 * side_m, r.uniform(1, 3.5)),
                    Material(f.pick(b, 'bricks', 'stones', 'plaster', 'leaves', 'planks'), 1.5),
                )
            else:
                with b.at(0, -side_m, 0, np.pi / 2):
                    b.box(
                        (side_m, 0, 0.9),
                        (2 * side_m, 0.05, 1.8),
                        Material(
                            'metal',
                            cutout=f.pick(b, 'bars', 'lattice', 'mesh'),
                            cutout_scale_m=r.uniform(0.5, 1.5),
                        ),
                    )


def _yard_thing(b: SceneBuilder) -> None:
    kind = int(b.rng.integers(0, 9))
    if kind == 0:
        tree(b, b.rng.uniform(2.5, 8))
    elif kind == 1:
        street_furniture(b)
    elif kind == 2:
        f.table(b, 1.4, 0.8, 0.74, 4)
    elif kind == 3:
        f.chair(b)
    elif kind == 4:
        f.plant(b, b.rng.uniform(0.5, 2))
    elif kind == 5:
        bush(b, b.rng.uniform(0.6, 2))
    elif kind == 6:
        stairs(b, int(b.rng.integers(3, 8)), b.rng.uniform(1, 3))
    elif kind == 7:
        railing(b, b.rng.uniform(1.5, 5))
    else:
        rock(b, b.rng.uniform(0.3, 1.5))


def terrain(b: SceneBuilder) -> Stage:
    """Build wild or farmed land: hills, rocks, trees, tufts, a path or a fence."""
    r = b.rng
    cover = f.pick(b, 'grass', 'grass', 'gravel', 'stones', 'leaves')
    b.box((0, 0, -0.5), (1200, 1200, 1.0), Material(cover, r.uniform(1.5, 4)))
    soil = Material(cover, r.uniform(2, 5))
    for _ in range(int(r.integers(0, 30))):
        x, y, wide = r.uniform(-14, 14), r.uniform(-14, 14), r.uniform(1.5, 9)
        size = (wide, wide * r.uniform(0.5, 1.5), wide * r.uniform(0.06, 0.25))
        b.ellipsoid((x, y, -0.02 * wide), size, soil, yaw=r.uniform(0, 3))
    for _ in range(int(r.integers(4, 14))):
        hill(b, r.uniform(6, 120), soil)
    for _ in range(int(r.integers(20, 50))):
        away, angle = 60 * r.uniform(0.15, 1) ** 2, r.uniform(-np.pi, np.pi)
        with b.at(away * np.cos(angle), away * np.sin(angle)):
            kind = r.random()
            if kind < 0.4:
                tree(b, r.uniform(3, 14))
            elif kind < 0.7:
                rock(b, r.uniform(0.3, 3))
            else:
                bush(b, r.uniform(0.5, 2.5))
    grass_tufts(b, int(r.integers(5, 25)), 8)
    if r.random() < 0.5:
        path = Material(f.pick(b, 'gravel', 'asphalt', 'stones'), 2)
        b.box((0, r.uniform(-3, 3), 0), (300, r.uniform(1.2, 4), 0.03), path, yaw=r.normal(0, 0.2))
    if r.random() < 0.4:
        with b.at(-15, r.uniform(3, 8), 0, r.normal(0, 0.3)):
            post = Material('bark', 0.5)
            for x in np.arange(0, 40, 2.5):
                b.rod((x, 0, 0), (x, 0, 1.2), 0.06, post)
            for z in (0.4, 0.75, 1.1):
                b.rod((0, 0, z), (37, 0, z), 0.015, post)
    zone = Zone(
        (-6, -6, 0.4),
        (6, 6, 2.2),
        pitch_rad=(-0.45, 0.12),
        speed_m_s=(0.3, 3),
        carriers=(Carrier.HAND, Carrier.WHEELS, Carrier.FLIGHT),
        fx_ratio=(0.55, 1.2),
    )
    return b.build(daylight(b, 600), (-25, -25, -1), (25, 25, 12)), zone


def aerial(b: SceneBuilder) -> Stage:
    """Build a village, a yard of containers or a park, seen from a drone."""
    r = b.rng
    b.box((0, 0, -0.5), (1500, 1500, 1.0), Material(f.pick(b, 'grass', 'gravel', 'asphalt'), 9))
    for _ in range(int(r.integers(5, 16))):
        b.box(
            (*r.uniform(-90, 90, 2), 0),
            (*r.uniform(8, 60, 2), 0.06),
            Material(
                f.pick(b, 'grass', 'gravel', 'leaves', 'asphalt', 'stripes', 'plaster'),
                r.uniform(3, 12),
            ).painted(r.uniform(0.7, 1, 3)),
            yaw=r.normal(0, 0.3),
        )
    for _ in range(int(r.integers(1, 4))):
        yaw = r.choice([0.0, np.pi / 2]) + r.normal(0, 0.1)
        b.box(
            (r.uniform(-20, 20), r.uniform(-20, 20), 0.05),
            (600, r.uniform(4, 8), 0.1),
            Material('asphalt', 4),
            yaw=yaw,
        )
    for _ in range(int(r.integers(20, 55))):
        x, y = r.uniform(-50, 50, 2) * r.uniform(0.4, 1)
        with b.at(float(x), float(y), 0, r.choice([0.0, np.pi / 2]) + r.normal(0, 0.1)):
            _aerial_thing(b)
    for _ in range(int(r.integers(0, 3))):
        driving_car(b, tuple(r.uniform(-20, 20, 2)), r.uniform(-3, 3), r.uniform(2, 10))
    zone = Zone(
        (-30, -30, 6),
        (30, 30, 40),
        (-0.9, 0.9),
        (-0.5, 0.3),
        speed_m_s=(1, 7),
        carriers=(Carrier.FLIGHT,),
        fx_ratio=(0.55, 1.2),
        target_m=(0, 0, 2),
    )
    return b.build(daylight(b, 2500), (-50, -50, -0.5), (50, 50, 15)), zone


def _aerial_thing(b: SceneBuilder) -> None:
    r = b.rng
    kind = r.random()
    if kind < 0.4:
        building(b, r.uniform(6, 18), r.uniform(6, 12), r.uniform(3, 12))
    elif kind < 0.65:
        tree(b, r.uniform(3, 11))
    elif kind < 0.8:
        car(b)
    elif kind < 0.9:
        b.box((0, 0, 1.25), (6, 2.4, 2.5), Material('metal', 2).painted(vivid(r)))
    else:
        b.rod(
            (0, 0, 0),
            (0, 0, r.uniform(3, 9)),
            r.uniform(1, 4),
            Material('metal', 2).painted(muted(r)),
        )
