# SPDX-License-Identifier: Apache-2.0
"""Warehouses of the training set: aisles between tall racks, steel shelves, fork-lifts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from videodepth_ros.synthetic import furniture as f
from videodepth_ros.synthetic.architecture import door, railing
from videodepth_ros.synthetic.camera_path import Carrier, Stage, Zone
from videodepth_ros.synthetic.interiors import Box
from videodepth_ros.synthetic.noise import muted, neutral, vivid, wood
from videodepth_ros.synthetic.people import walking_person
from videodepth_ros.synthetic.scene import Lamp, Lights, Material, Motion, SceneBuilder


def warehouse(b: SceneBuilder) -> Stage:
    """Build parallel aisles between racks or shelves, seen by a low robot or by a person."""
    r = b.rng
    tall = r.random() < 0.6
    room = Box(
        r.uniform(10, 22 if tall else 14),
        r.uniform(6, 14 if tall else 9),
        r.uniform(5, 10) if tall else r.uniform(2.8, 5),
    )
    _shed(b, room)
    deep, aisle = (
        (1.1, r.uniform(2.2, 4.2)) if tall else (r.uniform(0.35, 0.7), r.uniform(1.1, 2.4))
    )
    unit = _rack_of(b, room.height) if tall else _shelf_of(b)
    y, lanes = 0.1, list[float]()
    while y + deep < room.width and len(lanes) < 4:
        _line(b, unit, room, y, deep, r.random() < 0.5)
        y += deep
        if r.random() < 0.6 and y + deep < room.width:
            _line(b, unit, room, y + 0.1, deep, True)
            y += deep + 0.1
        if y + aisle < room.width:
            lanes.append(y + aisle / 2)
        y += aisle
    for lane in lanes:
        _aisle(b, room, lane, aisle)
    _strips(b, room, lanes)
    lane = lanes[int(r.integers(0, len(lanes)))] if lanes else room.width / 2
    ahead = r.random() < 0.75
    zone = Zone(
        (0.8, lane - aisle * 0.3, 0.2),
        (room.length - 2.0, lane + aisle * 0.3, 2.2 if r.random() < 0.8 else room.height * 0.7),
        (-0.45, 0.45) if ahead else (-np.pi, np.pi),
        (-0.35, 0.35),
        (0.2, 1.6),
        (Carrier.WHEELS, Carrier.WHEELS, Carrier.HAND, Carrier.HAND, Carrier.FLIGHT),
        (0.5, 1.1),
    )
    return b.build(
        _light(b, room, lane),
        (-0.3, -0.3, -0.3),
        (room.length + 0.3, room.width + 0.3, room.height + 0.3),
    ), zone


def _shed(b: SceneBuilder, room: Box) -> None:
    """Add concrete floor, sheet or brick walls, a roof on girders, a gate and doors."""
    r = b.rng
    cx, cy = room.length / 2, room.width / 2
    floor = Material(
        f.pick(b, 'plaster', 'speckles', 'asphalt', 'plain'),
        r.uniform(1.5, 4),
        gloss=r.choice([0.0, r.uniform(0.1, 0.7)]),
        wear=0.6,
    )
    b.box((cx, cy, -0.1), (room.length + 1, room.width + 1, 0.2), floor.painted(neutral(r)))
    roof = Material(f.pick(b, 'metal', 'panels', 'plain', 'planks'), 2.0).painted(neutral(r))
    b.box((cx, cy, room.height + 0.1), (room.length + 1, room.width + 1, 0.2), roof)
    for k in range(4):
        along, across = (room.length, room.width) if k % 2 == 0 else (room.width, room.length)
        sheet = Material(
            f.pick(b, 'panels', 'metal', 'bricks', 'plain', 'plaster'), r.uniform(1, 2.5)
        ).painted(neutral(r, 0.5, 1))
        with b.at(cx, cy, 0, k * np.pi / 2):
            b.box((0, across / 2 + 0.1, room.height / 2), (along + 0.4, 0.2, room.height), sheet)
            with b.at(r.uniform(-0.4, 0.4) * along, across / 2, 0, -np.pi / 2):
                if r.random() < 0.5:
                    door(b)
                else:
                    wide, high = r.uniform(2.5, 4), min(r.uniform(2.5, 4), room.height - 0.3)
                    b.box(
                        (0.03, 0, high / 2),
                        (0.06, wide, high),
                        Material('panels', 1.2).painted(muted(r)),
                    )
    girder = f.hard(b)
    for x in np.arange(1.5, room.length, r.uniform(3, 6)):
        b.box((x, cy, room.height - 0.2), (0.2, room.width, 0.35), girder)


def _line(
    b: SceneBuilder, unit: Callable[[float], None], room: Box, y: float, deep: float, turned: bool
) -> None:
    """Add a line of racks along the room with its back at y, or with its front there if turned."""
    bay = b.rng.uniform(1.9, 3.4)
    x = b.rng.uniform(0.5, 2.5)
    while x + bay < room.length - b.rng.uniform(0.2, 2.5):
        with b.at(x + bay / 2, y + deep if turned else y, 0, -np.pi / 2 if turned else np.pi / 2):
            unit(bay)
        x += bay + 0.06
        if b.rng.random() < 0.08:
            x += b.rng.uniform(1.5, 4)


def _rack_of(b: SceneBuilder, height: float) -> Callable[[float], None]:
    """Return a maker of pallet rack bays of a width; all of a hall look alike, their load not."""
    r = b.rng
    post, beam = f.hard(b).painted(vivid(r)), Material('plain', gloss=0.3).painted(vivid(r))
    level, count = r.uniform(1.2, 2.1), int(r.integers(2, 6))
    full, cover = r.uniform(0.4, 1.0), r.random() < 0.4
    goods = _goods(b)

    def bay(width: float) -> None:
        levels = max(1, min(count, int((height - 0.5) / level)))
        for x in (0.05, 1.0):
            for side in (-1, 1):
                b.box(
                    (x, side * width / 2, levels * level / 2), (0.09, 0.09, levels * level), post
                )
        for k in range(levels):
            for x in (0.05, 1.0) if k else ():
                b.box((x, 0, k * level), (0.06, width, 0.12), beam)
            if cover and k:
                b.box((0.5, 0, k * level + 0.06), (0.9, width, 0.02), Material('metal', 0.6))
            for y in np.arange(-width / 2 + 0.65, width / 2 - 0.5, 1.15):
                if r.random() < full:
                    with b.at(0.53 + r.normal(0, 0.04), y, k * level + 0.07, r.normal(0, 0.04)):
                        _pallet(b, goods, level * r.uniform(0.4, 0.8))

    return bay


def _shelf_of(b: SceneBuilder) -> Callable[[float], None]:
    """Return a maker of plain steel shelves with boxes of all sizes on them."""
    r = b.rng
    steel, height, deep = f.hard(b), r.uniform(1.6, 2.6), r.uniform(0.35, 0.7)
    count, goods, full = int(r.integers(3, 7)), _goods(b), r.uniform(0.3, 1.0)
    backed = r.random() < 0.3

    def shelf(width: float) -> None:
        for x in (0.02, deep - 0.02):
            for side in (-1, 1):
                b.box((x, side * (width / 2 - 0.02), height / 2), (0.04, 0.04, height), steel)
        if backed:
            b.box((0.01, 0, height / 2), (0.02, width, height), steel)
        room = height / count - 0.05
        for k in range(count + 1):
            z = 0.08 + k * (height - 0.1) / count
            b.box((deep / 2, 0, z), (deep, width, 0.03), steel)
            y = -width / 2 + 0.05
            while k < count and y < width / 2 - 0.2:
                wide, tall = r.uniform(0.15, 0.75), room * r.uniform(0.4, 0.95)
                wide = min(wide, width / 2 - 0.05 - y)
                if r.random() < full:
                    b.box(
                        (deep / 2 + r.normal(0, 0.02), y + wide / 2, z + tall / 2 + 0.015),
                        (deep * r.uniform(0.6, 1.0), wide * 0.93, tall),
                        goods[int(r.integers(0, len(goods)))],
                    )
                y += wide

    return shelf


def _goods(b: SceneBuilder) -> list[Material]:
    """Return cardboard in shades, printed cartons, plastic crates, shrink-wrapped loads."""
    r = b.rng
    card = [
        Material(f.pick(b, 'plain', 'grain', 'plaster'), 1.0).painted(wood(r)) for _ in range(3)
    ]
    printed = [
        Material(f.pick(b, 'picture', 'document', 'screen', 'panels'), None) for _ in range(2)
    ]
    return [
        *card,
        *printed,
        f.hard(b),
        f.hard(b),
        Material('plain', gloss=0.8).painted(neutral(r, 0.3, 1)),
    ]


def _pallet(b: SceneBuilder, goods: list[Material], height: float) -> None:
    """Add a pallet with one big load, a block of cartons, or drums."""
    r = b.rng
    load = goods[int(r.integers(0, len(goods)))]
    b.box((0, 0, 0.06), (0.95, 1.05, 0.1), Material('planks', 0.5))
    kind = r.random()
    if kind < 0.45:
        b.box((0, 0, 0.12 + height / 2), (r.uniform(0.7, 0.9), r.uniform(0.7, 1), height), load)
    elif kind < 0.85:
        for y in (-0.26, 0.26):
            b.box(
                (r.normal(0, 0.02), y, 0.12 + height / 2),
                (0.88, 0.5, height * r.uniform(0.5, 1)),
                load if r.random() < 0.6 else goods[int(r.integers(0, len(goods)))],
            )
    else:
        for y in (-0.27, 0.27):
            b.rod((0.2, y, 0.12), (0.2, y, 0.12 + min(0.88, height)), 0.26, load)


def _aisle(b: SceneBuilder, room: Box, lane: float, aisle: float) -> None:
    """Add painted lines along an aisle, and what stands or drives in it."""
    r = b.rng
    paint = Material('plain', wear=0.9).painted(vivid(r) if r.random() < 0.6 else (1, 1, 1))
    for side in (-1, 1):
        b.box(
            (room.length / 2, lane + side * aisle * 0.42, 0.002), (room.length, 0.09, 0.005), paint
        )
    for _ in range(int(r.integers(0, 4))):
        with b.at(
            r.uniform(1, room.length - 1),
            lane + r.uniform(-0.45, 0.45) * aisle,
            0,
            r.uniform(-np.pi, np.pi),
        ):
            _in_the_way(b)
    if r.random() < 0.4:
        x, speed = r.uniform(3, room.length), r.choice([0.0, r.uniform(0.5, 2.5)])
        with b.moving(Motion((float(x), lane, 0.0), r.choice([0.0, np.pi]), float(speed))):
            _fork_lift(b)
    if r.random() < 0.35:
        walking_person(b, (2, lane - 0.5), (room.length - 1, lane + 0.5))


def _in_the_way(b: SceneBuilder) -> None:
    r = b.rng
    kind = int(r.integers(0, 6))
    if kind == 0:
        _pallet(b, _goods(b), r.uniform(0.3, 1.4))
    elif kind == 1:
        b.rod((0, 0, 0), (0, 0, 0.88), 0.29, f.hard(b))
    elif kind == 2:
        b.rod(
            (0, 0, 0), (0, 0, r.uniform(0.4, 0.75)), 0.17, f.hard(b).painted(vivid(r)), taper=0.15
        )
    elif kind == 3:
        railing(b, r.uniform(1, 3))
    elif kind == 4:
        for k in range(int(r.integers(1, 8))):
            b.box(
                (0, 0, 0.06 + 0.13 * k),
                (0.95, 1.15, 0.1),
                Material('planks', 0.5),
                yaw=r.normal(0, 0.04),
            )
    else:
        side = r.uniform(0.25, 0.8)
        b.box((0, 0, side / 2), (side, side * 1.3, side), _goods(b)[0])


def _fork_lift(b: SceneBuilder) -> None:
    """Add a fork-lift at the origin, its forks to +x."""
    r = b.rng
    paint = Material('plain', gloss=0.5).painted(vivid(r))
    dark = Material('plain', gloss=0.2).painted((0.1, 0.1, 0.1))
    b.box((-0.5, 0, 0.65), (1.5, 1.05, 0.8), paint)
    b.box((-1.15, 0, 0.7), (0.4, 1.1, 0.9), dark)
    b.box((-0.4, 0, 1.15), (0.45, 0.5, 0.25), dark)
    for x in (-1.0, 0.2):
        for side in (-1, 1):
            b.rod((x, side * 0.48, 1.0), (x * 0.85, side * 0.45, 2.1), 0.035, dark)
            b.rod((x, side * 0.4, 0.28), (x, side * 0.58, 0.28), 0.28, dark)
    b.box((-0.35, 0, 2.12), (1.2, 1.0, 0.05), dark)
    lift = r.uniform(0.05, 1.5)
    for side in (-1, 1):
        b.box((0.4, side * 0.3, 1.2), (0.1, 0.09, 2.2), dark)
        b.box((0.95, side * 0.25, lift), (1.1, 0.12, 0.05), dark)
    if r.random() < 0.6:
        with b.at(1.0, 0, lift + 0.03):
            _pallet(b, _goods(b), r.uniform(0.4, 1.2))


def _strips(b: SceneBuilder, room: Box, lanes: list[float]) -> None:
    glow = Material('plain', glow=b.rng.uniform(2, 6), wear=0)
    drop = room.height - b.rng.uniform(0.4, 0.8)
    for lane in lanes:
        for x in np.arange(1.5, room.length, b.rng.uniform(3, 6)):
            b.box((x, lane, drop), (1.4, 0.12, 0.08), glow)


def _light(b: SceneBuilder, room: Box, lane: float) -> Lights:
    """Return rows of lamps: bright in the aisle, dim below the shelves; at times half are out."""
    r = b.rng
    tint = np.array([1.0, r.uniform(0.9, 1.0), r.uniform(0.75, 1.1)])
    power = r.uniform(0.3, 1.5) * (room.height - 1) ** 2 * tint
    lamps = tuple(
        Lamp((x * room.length, lane, room.height - 0.9), tuple(power), k == 0)
        for k, x in enumerate(r.uniform(0.1, 0.9, int(r.integers(1, 4))))
    )
    return Lights(tuple(r.uniform(0.15, 0.8) * tint), lamps=lamps, occlusion=r.uniform(0.4, 1.2))
