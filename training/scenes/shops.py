# SPDX-License-Identifier: Apache-2.0
"""Shops of the training set: supermarket aisles, small shops with counters, open-air markets."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from videodepth_ros.synthetic import furniture as f
from videodepth_ros.synthetic.architecture import door, picture_on_wall
from videodepth_ros.synthetic.camera_path import Carrier, Stage, Zone
from videodepth_ros.synthetic.interiors import Box, against_walls, indoor_lights, shell
from videodepth_ros.synthetic.nature import tree
from videodepth_ros.synthetic.noise import hsv, muted, neutral, vivid
from videodepth_ros.synthetic.open_air import building, daylight
from videodepth_ros.synthetic.people import walking_person
from videodepth_ros.synthetic.scene import Material, SceneBuilder

_PRINTS = ('picture', 'document', 'books', 'screen', 'landscape', 'panels')


def shop(b: SceneBuilder) -> Stage:
    """Build a supermarket, a small shop, or a market of stalls."""
    kind = b.rng.random()
    if kind < 0.45:
        return _supermarket(b)
    return _small_shop(b) if kind < 0.75 else _market(b)


def goods(b: SceneBuilder, depth: float, width: float, room: float) -> None:
    """Add a row of goods at the origin, on depth (x) by width (y), several of each kind."""
    r = b.rng
    y = -width / 2
    while y < width / 2 - 0.12:
        wide = min(r.uniform(0.12, 0.7), width / 2 - y)
        tall, kind = room * r.uniform(0.4, 0.93), r.random()
        printed = Material(f.pick(b, *_PRINTS), r.uniform(0.08, 0.3), gloss=r.choice([0, 0.5]))
        paint = f.hard(b) if r.random() < 0.4 else printed.painted(r.uniform(0.6, 1, 3))
        with b.at(0, y + wide / 2):
            if kind < 0.7:
                b.box(
                    (r.uniform(-0.2, 0) * depth, 0, tall / 2),
                    (depth * r.uniform(0.5, 0.9), wide * 0.95, tall),
                    paint,
                )
            elif kind < 0.93:
                _bottles(b, depth, wide, min(tall, 0.32), paint)
        y += wide


def _bottles(b: SceneBuilder, depth: float, width: float, height: float, paint: Material) -> None:
    """Add a front row of equal bottles, jars or tins before a block of the same."""
    radius, taper = b.rng.uniform(0.03, 0.05), float(b.rng.choice([1.0, 0.45]))
    b.box((-depth * 0.2, 0, height * 0.45), (depth * 0.5, width * 0.9, height * 0.9), paint)
    for y in np.arange(radius - width / 2, width / 2 - radius, 2.4 * radius):
        b.rod((depth * 0.25, y, 0), (depth * 0.25, y, height), radius, paint, taper=taper)


def gondola(b: SceneBuilder, width: float, height: float, board: Material) -> None:
    """Add shop shelves with goods and price strips, front to +x; the back is at x = 0."""
    r = b.rng
    depth, count = r.uniform(0.35, 0.6), int(r.integers(3, 6))
    b.box((0.02, 0, height / 2), (0.04, width, height), board)
    strip = Material(f.pick(b, 'document', 'plain', 'stripes'), 0.25).painted(
        vivid(r) if r.random() < 0.5 else (1, 1, 0.95)
    )
    for k in range(count):
        deep = depth * (1.0 - 0.25 * k / count)
        z = 0.12 + k * (height - 0.1) / count
        b.box((deep / 2, 0, z), (deep, width, 0.03), board)
        b.box((deep + 0.005, 0, z), (0.012, width, 0.045), strip)
        if r.random() < 0.93:
            with b.at(deep / 2, 0, z + 0.015):
                goods(b, deep, width * 0.97, (height - 0.1) / count - 0.07)
    if r.random() < 0.3:
        b.box((depth * 0.4, 0, height + 0.2), (0.05, width, 0.35), Material('picture', None))


def _supermarket(b: SceneBuilder) -> Stage:
    """Build rows of shelves with aisles, freezers, displays, hanging signs and shoppers."""
    r = b.rng
    room = Box(r.uniform(8, 16), r.uniform(5, 10), r.uniform(2.8, 4.5))
    shell(b, room, r.random() < 0.3)
    height, board = r.uniform(1.4, 2.3), f.hard(b)
    aisle, unit = r.uniform(1.4, 2.4), r.uniform(1.8, 3.0)
    lanes, y, back = list[float](), 0.02, True
    while y < room.width - 0.6 and len(lanes) < 3:
        start = r.uniform(0.5, 2.0)
        for x in np.arange(start + unit / 2, room.length - r.uniform(1.2, 2.5), unit):
            if not back:
                with b.at(x, y, 0, -np.pi / 2):
                    gondola(b, unit, height, board)
            with b.at(x, y, 0, np.pi / 2):
                (_freezer if r.random() < 0.1 else gondola)(b, unit, height, board)
        if y + 0.7 + aisle / 2 < room.width or not lanes:
            lanes.append(y + 0.5 + aisle / 2)
        y, back = y + 1.0 + aisle, False
    for lane in lanes:
        _in_aisle(b, room, lane, aisle)
    lane = lanes[int(r.integers(0, len(lanes)))]
    zone = Zone(
        (0.6, max(0.7, lane - aisle * 0.3), 0.4),
        (room.length - 1.5, min(room.width - 0.4, lane + aisle * 0.3), 1.8),
        (-0.6, 0.6) if r.random() < 0.65 else (-np.pi, np.pi),
        (-0.4, 0.2),
        (0.2, 1.2),
        (Carrier.HAND, Carrier.HAND, Carrier.WHEELS, Carrier.STATIC),
        (0.5, 1.05),
    )
    return _finish(b, room, zone)


def _in_aisle(b: SceneBuilder, room: Box, lane: float, aisle: float) -> None:
    r = b.rng
    for x in np.arange(r.uniform(1, 3), room.length, r.uniform(3, 6)):
        if r.random() < 0.7:
            high = room.height - r.uniform(0.4, 0.8)
            b.box(
                (x, lane, high),
                (0.04, r.uniform(0.7, 1.4), 0.4),
                Material(f.pick(b, 'document', 'picture', 'plain'), None).painted(vivid(r)),
            )
            for side in (-0.3, 0.3):
                b.rod((x, lane + side, high), (x, lane + side, room.height), 0.006, f.hard(b))
    for _ in range(int(r.integers(0, 4))):
        with b.at(
            r.uniform(1, room.length - 1),
            lane + r.uniform(-0.35, 0.35) * aisle,
            0,
            r.uniform(-np.pi, np.pi),
        ):
            (_trolley, _display, _pile)[int(r.integers(0, 3))](b)
    if r.random() < 0.6:
        walking_person(b, (1.5, lane - 0.4), (room.length - 1, lane + 0.4))


def _freezer(b: SceneBuilder, width: float, height: float, board: Material) -> None:
    """Add upright cabinets with glass doors, closed."""
    b.box((0.35, 0, height / 2), (0.7, width, height), board)
    for k in range(3):
        y = (k - 1) * width / 3
        b.box(
            (0.71, y, height * 0.52),
            (0.02, width / 3 - 0.05, height * 0.85),
            Material(f.pick(b, 'picture', 'books', 'plain'), 0.4, gloss=0.8, glow=0.3),
        )
        b.rod((0.75, y + 0.1, 0.8), (0.75, y + 0.1, 1.4), 0.015, Material('metal', gloss=0.8))


def _trolley(b: SceneBuilder) -> None:
    """Add a shopping trolley of wire."""
    wire = Material('metal', 0.3, gloss=0.5, cutout='mesh', cutout_scale_m=0.3)
    steel = Material('metal', 0.3, gloss=0.6)
    for side in (-1, 1):
        b.box((0, side * 0.25, 0.72), (0.8, 0.01, 0.42), wire)
        b.rod((-0.4, side * 0.25, 0.12), (-0.5, side * 0.25, 1.0), 0.013, steel)
        for x in (-0.38, 0.38):
            b.rod((x, side * 0.22, 0.07), (x, side * 0.25, 0.07), 0.06, f.hard(b))
        b.rod((-0.4, side * 0.23, 0.13), (0.4, side * 0.23, 0.16), 0.013, steel)
    b.box((0.4, 0, 0.72), (0.01, 0.5, 0.42), wire)
    b.box((0, 0, 0.52), (0.8, 0.5, 0.01), wire)
    b.rod((-0.5, -0.26, 1.0), (-0.5, 0.26, 1.0), 0.02, f.hard(b))
    with b.at(0, 0, 0.53):
        f.clutter(b, 0.6, 0.35, int(b.rng.integers(0, 6)))


def _display(b: SceneBuilder) -> None:
    """Add a bin or a stand with a heap of things and a card above."""
    r = b.rng
    side, high = r.uniform(0.5, 1.0), r.uniform(0.4, 0.9)
    b.box(
        (0, 0, high / 2),
        (side, side, high),
        Material(f.pick(b, 'picture', 'plain', 'planks'), None).painted(vivid(r)),
    )
    colour = f.hard(b)
    for _ in range(int(r.integers(4, 14))):
        size = r.uniform(0.08, 0.2)
        b.ellipsoid(
            (*r.uniform(-0.4, 0.4, 2) * side, high + r.uniform(0, 0.12)),
            (size, size, size),
            colour if r.random() < 0.7 else f.hard(b),
        )
    b.rod((-side / 2, 0, high), (-side / 2, 0, high + 0.7), 0.012, f.hard(b))
    card = Material('document', None).painted(vivid(r))
    b.box((-side / 2, 0, high + 0.8), (0.01, 0.4, 0.3), card)


def _pile(b: SceneBuilder) -> None:
    """Add a stepped pile of equal cartons."""
    r = b.rng
    size, count = r.uniform((0.2, 0.25, 0.15), (0.4, 0.5, 0.35)), int(r.integers(2, 5))
    carton = Material(f.pick(b, *_PRINTS), None)
    for k in range(count):
        for n in range(count - k):
            b.box(
                (0, (n - (count - k - 1) / 2) * size[1] * 1.03, (k + 0.5) * size[2]),
                size,
                carton,
                yaw=r.normal(0, 0.03),
            )


def _small_shop(b: SceneBuilder) -> Stage:
    """Build a counter with a till, shelves along the walls, racks of clothes, tables of goods."""
    r = b.rng
    room = Box(r.uniform(4, 10), r.uniform(3.2, 7), r.uniform(2.5, 3.6))
    shell(b, room, True)
    board = f.wooden(b)
    makers: list[Callable[[], None]] = [
        lambda: gondola(b, r.uniform(1, 2.4), r.uniform(1.4, 2.2), board),
        lambda: gondola(b, r.uniform(1, 2.4), r.uniform(1.4, 2.2), board),
        lambda: _freezer(b, 1.5, 2.0, board),
        lambda: f.shelf(b, 1.6, 2.1),
        lambda: door(b),
        lambda: _poster(b),
    ]
    against_walls(b, room, [makers[int(r.integers(0, 6))] for _ in range(int(r.integers(4, 9)))])
    middle: list[Callable[[], None]] = [
        lambda: _counter(b),
        lambda: _clothes(b),
        lambda: _display(b),
        lambda: _pile(b),
        lambda: f.table(b, r.uniform(0.8, 1.6), r.uniform(0.6, 0.9), 0.8, 12),
    ]
    for _ in range(int(r.integers(3, 8))):
        with b.at(
            r.uniform(0.8, room.length - 0.8),
            r.uniform(0.8, room.width - 0.8),
            0,
            r.choice([0, 1, 2, 3]) * np.pi / 2 + r.normal(0, 0.1),
        ):
            middle[int(r.integers(0, 5))]()
    if r.random() < 0.6:
        walking_person(b, (0.8, 0.8), (room.length - 0.8, room.width - 0.8))
    zone = Zone(
        (0.5, 0.5, 0.5),
        (room.length - 0.5, room.width - 0.5, 1.8),
        pitch_rad=(-0.5, 0.15),
        fx_ratio=(0.5, 1.1),
        carriers=(Carrier.HAND, Carrier.HAND, Carrier.WHEELS, Carrier.STATIC),
    )
    return _finish(b, room, zone)


def _poster(b: SceneBuilder) -> None:
    with b.at(0, 0, 1.6):
        picture_on_wall(b)


def _counter(b: SceneBuilder) -> None:
    """Add a counter with a glass front, a till and small things."""
    r = b.rng
    long, front = r.uniform(1.2, 3), f.wooden(b)
    b.box((0, 0, 0.48), (0.55, long, 0.96), front)
    b.box((0, 0, 0.98), (0.68, long + 0.1, 0.05), f.wooden(b))
    b.box((0.285, 0, 0.6), (0.01, long * 0.9, 0.5), Material('books', 0.5, gloss=0.8))
    with b.at(0, 0, 1.0):
        f.clutter(b, 0.5, long * 0.9, int(r.integers(4, 10)))
        b.box((0, long * 0.3, 0.12), (0.35, 0.4, 0.22), f.hard(b))
        b.box(
            (-0.1, long * 0.3, 0.34),
            (0.03, 0.32, 0.22),
            Material('screen', None, glow=0.6),
            pitch=0.2,
        )


def _clothes(b: SceneBuilder) -> None:
    """Add a rail of clothes on hangers."""
    r = b.rng
    long, steel = r.uniform(0.9, 1.8), Material('metal', 0.3, gloss=0.7)
    b.rod((0, -long / 2, 1.5), (0, long / 2, 1.5), 0.016, steel)
    for side in (-1, 1):
        b.rod((0, side * long / 2, 0), (0, side * long / 2, 1.5), 0.018, steel)
        b.box((0, side * long / 2, 0.03), (0.5, 0.05, 0.04), steel)
    for y in np.arange(-long / 2 + 0.06, long / 2 - 0.05, r.uniform(0.05, 0.12)):
        drop = r.uniform(0.5, 1.1)
        b.box(
            (0, y, 1.42 - drop / 2),
            (r.uniform(0.35, 0.5), 0.03, drop),
            f.cloth(b),
            yaw=r.normal(0, 0.12),
        )


def _market(b: SceneBuilder) -> Stage:
    """Build two rows of stalls under awnings in a square, with crates of fruit and many people."""
    r = b.rng
    half, long = r.uniform(1.3, 2.6), r.uniform(10, 18)
    b.box(
        (0, 0, -0.2),
        (300, 300, 0.4),
        Material(f.pick(b, 'stones', 'bricks', 'asphalt', 'tiles', 'gravel'), r.uniform(1.5, 3)),
    )
    for side in (-1, 1):
        for x in np.arange(0, long, r.uniform(2.6, 3.6)):
            if r.random() < 0.9:
                with b.at(x + r.normal(0, 0.2), side * half, 0, -side * np.pi / 2):
                    _stall(b)
        with b.at(long / 2, side * (half + r.uniform(6, 14)), 0, -side * np.pi / 2):
            building(b, r.uniform(15, 40), 8, r.uniform(5, 14))
    for _ in range(int(r.integers(0, 4))):
        with b.at(long + r.uniform(2, 12), r.uniform(-8, 8)):
            tree(b, r.uniform(4, 9))
    for _ in range(int(r.integers(1, 5))):
        walking_person(b, (1, -half + 0.4), (long, half - 0.4))
    zone = Zone(
        (-1, -half * 0.5, 0.7),
        (long * 0.6, half * 0.5, 1.9),
        (-0.7, 0.7) if r.random() < 0.7 else (-np.pi, np.pi),
        (-0.3, 0.15),
        (0.2, 1.3),
        (Carrier.HAND, Carrier.HAND, Carrier.WHEELS, Carrier.STATIC),
        (0.5, 1.1),
    )
    return b.build(daylight(b), (-3, -half - 4, -0.5), (long + 3, half + 4, 6)), zone


def _stall(b: SceneBuilder) -> None:
    """Add a table of crates under an awning; shoppers come from +x."""
    r = b.rng
    wide, high, post = r.uniform(1.8, 2.6), r.uniform(2.1, 2.6), f.hard(b)
    awning = Material(f.pick(b, 'stripes', 'plain', 'plaid'), 0.8).painted(vivid(r))
    for x in (-1.5, 0.1):
        for side in (-1, 1):
            b.rod((x, side * wide / 2, 0), (x, side * wide / 2, high), 0.025, post)
    b.box((-0.65, 0, high + 0.05), (2.1, wide + 0.3, 0.03), awning, pitch=r.uniform(0.05, 0.3))
    b.box((-0.45, 0, 0.4), (0.8, wide, 0.8), f.cloth(b))
    for y in np.arange(-wide / 2 + 0.3, wide / 2 - 0.1, 0.55):
        with b.at(-0.4, y, 0.8):
            _crate(b)
    if r.random() < 0.5:
        b.box((-1.5, 0, 1.3), (0.03, wide, 1.6), f.cloth(b))
    if r.random() < 0.5:
        sign = Material('document', None).painted(muted(r))
        b.box((0.15, 0, high - 0.1), (0.03, 1.0, 0.3), sign)


def _crate(b: SceneBuilder) -> None:
    """Add a tilted crate of fruit, or of packets."""
    r = b.rng
    wood = Material('planks', 0.4).painted(neutral(r, 0.6, 1))
    b.box((0, 0, 0.1), (0.6, 0.5, 0.14), wood, pitch=0.25)
    if r.random() < 0.25:
        b.box((0, 0, 0.2), (0.5, 0.44, 0.2), Material(f.pick(b, *_PRINTS), 0.2), pitch=0.25)
        return
    fruit = Material('plain', 0.3, gloss=r.uniform(0, 0.6)).painted(
        hsv(
            r.choice([0.0, 0.05, 0.1, 0.15, 0.28]) + r.normal(0, 0.02),
            r.uniform(0.5, 0.9),
            r.uniform(0.3, 0.95),
        )
    )
    size = r.uniform(0.12, 0.2)
    for x in np.arange(-0.22, 0.23, size):
        for y in np.arange(-0.18, 0.19, size):
            b.ellipsoid((x, y, 0.18 - 0.25 * x + r.uniform(0, 0.03)), (size, size, size), fruit)


def _finish(b: SceneBuilder, room: Box, zone: Zone) -> Stage:
    glow = Material('plain', glow=b.rng.uniform(1.5, 5), wear=0)
    for x in np.arange(1.2, room.length, b.rng.uniform(1.8, 4)):
        b.box((x, room.width / 2, room.height - 0.03), (0.3, room.width * 0.6, 0.05), glow)
    return b.build(
        indoor_lights(b, room, True),
        (-0.3, -0.3, -0.3),
        (room.length + 0.3, room.width + 0.3, room.height + 0.3),
    ), zone
