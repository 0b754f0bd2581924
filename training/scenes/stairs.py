# SPDX-License-Identifier: Apache-2.0
"""Stairs of the training set: stairwells, galleries round a court, split levels, lift lobbies."""

from __future__ import annotations

import numpy as np

from videodepth_ros.synthetic import furniture as f
from videodepth_ros.synthetic.architecture import (
    Opening,
    ceiling_light,
    door,
    floor_cover,
    picture_on_wall,
    radiator,
    railing,
    wall,
    wall_paint,
)
from videodepth_ros.synthetic.camera_path import Carrier, Stage, Zone
from videodepth_ros.synthetic.interiors import Box, indoor_lights
from videodepth_ros.synthetic.noise import neutral
from videodepth_ros.synthetic.people import walking_person
from videodepth_ros.synthetic.scene import Material, SceneBuilder

_STEEP = (-0.85, 0.7)
_CARRIERS = (Carrier.HAND, Carrier.HAND, Carrier.FLIGHT, Carrier.STATIC)


def stairs(b: SceneBuilder) -> Stage:
    """Build one of the four, each with plain walls, railings, and views far up and down."""
    kind = b.rng.random()
    if kind < 0.35:
        return _well(b)
    if kind < 0.6:
        return _gallery(b)
    return _split(b) if kind < 0.85 else _lobby(b)


def flight(
    b: SceneBuilder,
    steps: int,
    width: float,
    rise: float,
    run: float,
    tread: Material,
    below: Material | None,
) -> None:
    """Add steps rising along +x from the origin, on a slab of ``below`` or between two beams."""
    thick = rise if below else 0.05
    tile = b.atlas.pick(tread.texture, b.rng)
    for k in range(steps):
        b.box(
            ((k + 0.5) * run, 0, (k + 1) * rise - thick / 2),
            (run * 1.1, width, thick),
            tread,
            tile=tile,
        )
    slope, length = np.arctan2(rise, run), steps * np.hypot(rise, run)
    middle = (steps * run / 2, 0.0, steps * rise / 2)
    if below:
        b.box(np.subtract(middle, (0, 0, 0.09)), (length, width, 0.16), below, pitch=-slope)
        return
    for side in (-1, 1):
        b.box(
            np.add(middle, (0, side * width / 2, 0.0)),
            (length, 0.06, 0.26),
            f.hard(b),
            pitch=-slope,
        )


def balustrade(b: SceneBuilder, length: float, climb: float = 0.0) -> None:
    """Add along +x: rails and posts, a low wall, or a pane or mesh on a frame."""
    r = b.rng
    kind = r.random()
    if kind < 0.6:
        railing(b, length, climb)
        return
    middle, slope = (length / 2, 0.0, climb / 2 + 0.5), float(np.arctan2(climb, length))
    size = np.array([np.hypot(length, climb), 0.1 if kind < 0.8 else 0.02, 0.95])
    holes = None if kind < 0.8 else f.pick(b, 'bars', 'lattice', 'mesh')
    b.box(
        middle,
        size,
        Material(
            'plain' if kind < 0.8 else 'metal',
            1.5,
            cutout=holes,
            cutout_scale_m=r.uniform(0.4, 1.2),
        ).painted(neutral(r)),
        pitch=-slope,
    )
    b.rod((0, 0, 1.0), (length, 0, climb + 1.0), 0.03, f.wooden(b))


def _walls(b: SceneBuilder, room: Box, windows: float) -> None:
    """Add floor, ceiling and walls of a tall room, with openings above each other."""
    r = b.rng
    paint, cover = wall_paint(b), floor_cover(b)
    cx, cy = room.length / 2, room.width / 2
    b.box((cx, cy, -0.1), (room.length + 0.4, room.width + 0.4, 0.2), cover)
    b.box(
        (cx, cy, room.height + 0.1),
        (room.length + 0.4, room.width + 0.4, 0.2),
        Material('plain', 3).painted(neutral(r, 0.7, 1)),
    )
    b.box((cx, cy, -3), (120, 120, 0.5), Material(f.pick(b, 'grass', 'asphalt', 'bricks'), 2.0))
    corners = [(0.0, 0.0), (room.length, 0.0), (room.length, room.width), (0.0, room.width)]
    for k in range(4):
        along = room.length if k % 2 == 0 else room.width
        holes = (
            Opening(
                along * r.uniform(0.4, 0.6),
                r.uniform(0.3, 0.7) * along,
                r.uniform(0.8, max(0.9, room.height * 0.4)),
                room.height - 0.4,
            ),
        )
        wall(
            b,
            corners[k],
            corners[(k + 1) % 4],
            room.height,
            paint if r.random() < 0.75 else wall_paint(b),
            holes if r.random() < windows else (),
        )


def _finish(b: SceneBuilder, room: Box, zone: Zone) -> Stage:
    r = b.rng
    for _ in range(int(r.integers(0, 4))):
        with b.at(r.uniform(0.2, 0.8) * room.length, r.uniform(0.2, 0.8) * room.width):
            ceiling_light(b, room.height)
    return b.build(
        indoor_lights(b, room, True),
        (-0.3, -0.3, -0.3),
        (room.length + 0.3, room.width + 0.3, room.height + 0.3),
    ), zone


def _well(b: SceneBuilder) -> Stage:
    """Build a stairwell: flights to and fro between landings, with a well in the middle."""
    r = b.rng
    steps, rise, run = int(r.integers(7, 12)), r.uniform(0.15, 0.19), r.uniform(0.25, 0.31)
    wide, gap, landing = r.uniform(0.9, 1.6), r.uniform(0.1, 1.2), r.uniform(1.1, 2.2)
    storeys, long = int(r.integers(2, 4)), steps * run
    half = steps * rise
    room = Box(long + 2 * landing, 2 * wide + gap, storeys * 2 * half + r.uniform(2.3, 2.8))
    _walls(b, room, 0.25)
    tread = floor_cover(b)
    below = Material('plain', 2).painted(neutral(r, 0.6, 1)) if r.random() < 0.75 else None
    fence = r.random()
    for k in range(2 * storeys):
        back = k % 2
        x, y = (landing + long, room.width - wide / 2) if back else (landing, wide / 2)
        with b.at(x, y, k * half, np.pi if back else 0.0):
            flight(b, steps, wide, rise, run, tread, below)
            with b.at(0, wide / 2 + 0.03):
                (railing if fence < 0.7 else balustrade)(b, long, half)
        end = landing / 2 if back else room.length - landing / 2
        b.box((end, room.width / 2, (k + 1) * half - 0.1), (landing, room.width, 0.2), tread)
        with b.at(
            0.0 if back else room.length,
            room.width * r.uniform(0.25, 0.75),
            (k + 1) * half,
            0.0 if back else np.pi,
        ):
            _at_landing(b)
    zone = Zone(
        (0.4, 0.3, 0.8),
        (room.length - 0.4, room.width - 0.3, room.height - 0.6),
        pitch_rad=_STEEP,
        speed_m_s=(0.1, 0.9),
        carriers=_CARRIERS,
        fx_ratio=(0.5, 1.0),
    )
    return _finish(b, room, zone)


def _at_landing(b: SceneBuilder) -> None:
    kind = int(b.rng.integers(0, 5))
    if kind < 2:
        door(b)
    elif kind == 2:
        with b.at(0, 0, 1.5):
            picture_on_wall(b)
    elif kind == 3:
        radiator(b, 0.9)
    else:
        with b.at(0.4, 0):
            f.plant(b, b.rng.uniform(0.5, 1.4))


def _gallery(b: SceneBuilder) -> Stage:
    """Build a court of two to four storeys with galleries round it and stairs up to the first."""
    r = b.rng
    storey, storeys = r.uniform(2.7, 4.0), int(r.integers(2, 5))
    room = Box(r.uniform(8, 18), r.uniform(7, 14), storey * storeys)
    _walls(b, room, 0.3)
    deep = r.uniform(1.2, 2.4)
    slab, fence = floor_cover(b), balustrade if r.random() < 0.5 else railing
    sides = [k for k in range(4) if r.random() < 0.8] or [0]
    for k in range(1, storeys):
        for side in sides:
            along, across = (
                (room.length, room.width) if side % 2 == 0 else (room.width, room.length)
            )
            with b.at(room.length / 2, room.width / 2, k * storey, side * np.pi / 2):
                b.box((0, deep / 2 - across / 2, -0.12), (along, deep, 0.24), slab)
                with b.at(deep - along / 2, deep - across / 2):
                    fence(b, along - 2 * deep)
    _court(b, room, storey, deep)
    for k in range(storeys):
        for side in (0, 1):
            for x in np.arange(1.5, room.length - 1, r.uniform(2.5, 5)):
                with b.at(x, side * room.width, k * storey, -np.pi / 2 if side else np.pi / 2):
                    _at_landing(b)
    zone = Zone(
        (0.5, 0.5, 0.5),
        (room.length - 0.5, room.width - 0.5, room.height - 0.8),
        pitch_rad=_STEEP,
        speed_m_s=(0.1, 1.0),
        fx_ratio=(0.5, 1.1),
        carriers=(*_CARRIERS, Carrier.WHEELS),
    )
    return _finish(b, room, zone)


def _court(b: SceneBuilder, room: Box, storey: float, deep: float) -> None:
    """Add the stairs, the pillars, and what stands on the ground floor."""
    r = b.rng
    steps = round(storey / r.uniform(0.16, 0.2))
    run = min(0.29, (room.length - deep - 1.5) / steps)
    with b.at(room.length - deep - steps * run, room.width * r.uniform(0.3, 0.7)):
        wide = r.uniform(1.0, 2.2)
        flight(
            b,
            steps,
            wide,
            storey / steps,
            run,
            floor_cover(b),
            Material('plain').painted(neutral(r)) if r.random() < 0.6 else None,
        )
        for side in (-1, 1):
            with b.at(0, side * wide / 2):
                balustrade(b, steps * run, storey)
    if r.random() < 0.6:
        pillar = f.hard(b)
        for x in np.arange(deep, room.length, r.uniform(2.5, 5)):
            for y in (deep, room.width - deep):
                b.rod((x, y, 0), (x, y, room.height), 0.14, pillar)
    for _ in range(int(r.integers(2, 8))):
        with b.at(
            r.uniform(1, room.length - 1),
            r.uniform(1, room.width - 1),
            0,
            r.uniform(-np.pi, np.pi),
        ):
            _on_floor(b)
    for _ in range(int(r.integers(0, 3))):
        walking_person(b, (1, 1), (room.length - 1, room.width - 1))


def _on_floor(b: SceneBuilder) -> None:
    r = b.rng
    kind = int(r.integers(0, 4))
    if kind == 0:
        f.plant(b, r.uniform(0.6, 2.2))
    elif kind == 1:
        f.sofa(b, r.uniform(0.8, 2.2))
    elif kind == 2:
        f.table(b, r.uniform(0.6, 1.4), 0.7, r.uniform(0.4, 0.8), 3)
    else:
        b.box((0, 0, 0.22), (0.5, r.uniform(1, 2), 0.44), f.wooden(b))


def _split(b: SceneBuilder) -> Stage:
    """Build levels a few steps apart, with short flights between them and plain walls around."""
    r = b.rng
    room = Box(r.uniform(7, 14), r.uniform(5, 9), r.uniform(4.0, 6.5))
    _walls(b, room, 0.5)
    paint, z, x = Material('plain', 3).painted(neutral(r, 0.5, 1)), 0.0, r.uniform(1.8, 3)
    while x < room.length - 1.5:
        steps, rise = int(r.integers(2, 8)), r.uniform(0.15, 0.19)
        cover, wide = floor_cover(b), r.uniform(0.9, 2.0)
        climb = steps * rise
        if z + climb > room.height - 2.2:
            break
        b.box(
            ((x + room.length) / 2, room.width / 2, z + climb / 2 - 0.02),
            (room.length - x, room.width, climb - 0.04),
            paint,
        )
        b.box(
            ((x + room.length) / 2, room.width / 2, z + climb - 0.015),
            (room.length - x, room.width, 0.03),
            cover,
        )
        y = r.uniform(wide / 2, room.width - wide / 2)
        with b.at(x - steps * 0.28, y, z):
            flight(b, steps, wide, rise, 0.28, floor_cover(b), paint)
        for low, high in ((0.0, y - wide / 2), (y + wide / 2, room.width)):
            with b.at(x + 0.05, low, z + climb, np.pi / 2):
                if high - low > 0.4:
                    balustrade(b, high - low)
        z += climb
        level = r.uniform(2.0, 4.5)
        for _ in range(int(r.integers(1, 5))):
            with b.at(
                x + r.uniform(0.4, level),
                r.uniform(0.5, room.width - 0.5),
                z,
                r.uniform(-np.pi, np.pi),
            ):
                _on_floor(b)
        x += level
    for _ in range(int(r.integers(1, 7))):
        with b.at(r.uniform(0.5, room.length - 0.5), 0.01, z + r.uniform(0.3, 1.6), np.pi / 2):
            picture_on_wall(b)
    zone = Zone(
        (0.5, 0.5, 0.6),
        (room.length - 0.5, room.width - 0.5, room.height - 0.6),
        pitch_rad=(-0.7, 0.35),
        carriers=(*_CARRIERS, Carrier.WHEELS),
        fx_ratio=(0.5, 1.1),
    )
    return _finish(b, room, zone)


def _lobby(b: SceneBuilder) -> Stage:
    """Build a landing before lifts, with doors, a bench, and stairs at its end."""
    r = b.rng
    room = Box(r.uniform(5, 11), r.uniform(2.2, 4.5), r.uniform(2.4, 3.4))
    _walls(b, room, 0.15)
    steel = Material('metal', 0.8, gloss=r.uniform(0.4, 0.95)).painted(neutral(r))
    frame = f.hard(b)
    for x in np.arange(r.uniform(0.9, 1.6), room.length - 2.2, r.uniform(1.5, 2.2)):
        with b.at(x, 0, 0, np.pi / 2):
            _lift(b, steel, frame)
    x = room.length - 1.9
    with b.at(x, room.width / 2):
        flight(b, 7, room.width * 0.55, 0.17, 0.27, floor_cover(b), None)
        balustrade(b, 1.9, 1.2)
    for x in np.arange(0.8, room.length - 2.5, r.uniform(1.2, 2.5)):
        with b.at(x, room.width, 0, -np.pi / 2):
            _at_landing(b)
    for _ in range(int(r.integers(1, 4))):
        with b.at(
            r.uniform(0.6, room.length - 2.4), room.width - r.uniform(0.3, 0.8), 0, -np.pi / 2
        ):
            _on_floor(b)
    if r.random() < 0.5:
        walking_person(b, (1, 0.7), (room.length - 2, room.width - 0.6))
    zone = Zone(
        (0.5, 0.4, 0.3),
        (room.length - 2, room.width - 0.4, 1.9),
        pitch_rad=(-0.5, 0.2),
        carriers=(*_CARRIERS, Carrier.WHEELS),
        fx_ratio=(0.5, 1.0),
    )
    return _finish(b, room, zone)


def _lift(b: SceneBuilder, steel: Material, frame: Material) -> None:
    """Add a lift's double door with its frame, lamp and buttons; its back is at x = 0."""
    for side in (-1, 1):
        b.box((0.02, side * 0.26, 1.05), (0.04, 0.51, 2.1), steel)
        b.box((0.05, side * 0.58, 1.1), (0.1, 0.12, 2.2), frame)
    b.box((0.05, 0, 2.2), (0.1, 1.28, 0.14), frame)
    b.box((0.04, 0, 2.36), (0.06, 0.3, 0.12), Material('screen', None, glow=1.5, wear=0))
    b.box((0.03, 0.85, 1.1), (0.03, 0.1, 0.22), Material('metal', 0.3, gloss=0.8))
