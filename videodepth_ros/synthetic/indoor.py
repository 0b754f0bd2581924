# SPDX-License-Identifier: Apache-2.0
"""Indoor families of the training set: rooms, kitchens, corridors, offices, halls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

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
    stairs,
    wall,
    wall_paint,
)
from videodepth_ros.synthetic.camera_path import Carrier, Zone
from videodepth_ros.synthetic.noise import neutral
from videodepth_ros.synthetic.people import walking_person
from videodepth_ros.synthetic.scene import Lamp, Lights, Material, Scene, SceneBuilder

Stage = tuple[Scene, Zone]


@dataclass(frozen=True)
class Box:
    """The inside of a room: 0..length along x, 0..width along y, 0..height."""

    length: float
    width: float
    height: float


def indoor_lights(b: SceneBuilder, room: Box, windows: bool) -> Lights:
    """Daylight through windows, lamps, or both, at random colours."""
    day = windows and b.rng.random() < 0.75
    warm = b.rng.uniform(0.6, 1.0)
    ambient = b.rng.uniform(0.25, 0.9)
    tint = np.array([1.0, b.rng.uniform(0.88, 1.0), warm if not day else b.rng.uniform(0.85, 1.1)])
    sunny = day and b.rng.random() < 0.6
    elevation, azimuth = b.rng.uniform(0.3, 0.9), b.rng.uniform(-np.pi, np.pi)
    direction = (
        np.cos(azimuth) * np.cos(elevation),
        np.sin(azimuth) * np.cos(elevation),
        np.sin(elevation),
    )
    lamps = []
    for k in range(int(b.rng.integers(1, 4))):
        power = b.rng.uniform(0.3, 2.5) * (0.5 if day else 1.0)
        lamps.append(
            Lamp(
                (
                    b.rng.uniform(0.2, 0.8) * room.length,
                    b.rng.uniform(0.2, 0.8) * room.width,
                    room.height - b.rng.uniform(0.15, 0.7),
                ),
                (power, power * b.rng.uniform(0.8, 0.95), power * warm),
                k == 0,
            )
        )
    sky = b.rng.uniform(1.5, 5.0)
    return Lights(
        tuple(ambient * tint),
        direction,
        tuple(b.rng.uniform(3, 9) * np.array([1, 0.93, 0.82])) if sunny else (0, 0, 0),
        tuple(lamps),
        (0.4 * sky, 0.6 * sky, sky),
        (0.9 * sky, 0.95 * sky, sky),
        b.rng.uniform(0.2, 1.0),
        occlusion=b.rng.uniform(0.5, 1.2) if b.rng.random() < 0.8 else 0.0,
    )


def shell(b: SceneBuilder, room: Box, windows: bool, paint: Material | None = None) -> None:
    """Floor, ceiling and four walls, some with windows, and what is seen through them."""
    cover = floor_cover(b)
    cx, cy = room.length / 2, room.width / 2
    b.box((cx, cy, -0.1), (room.length + 0.4, room.width + 0.4, 0.2), cover)
    roof = Material(f.pick(b, 'plain', 'plain', 'plaster', 'panels', 'planks'), 1.5)
    if b.rng.random() < 0.7:
        roof = roof.painted(neutral(b.rng, 0.75, 1))
    b.box((cx, cy, room.height + 0.1), (room.length + 0.4, room.width + 0.4, 0.2), roof)
    corners = [(0.0, 0.0), (room.length, 0.0), (room.length, room.width), (0.0, room.width)]
    paint = paint or wall_paint(b)
    skirting = Material('plain').painted(neutral(b.rng, 0.3, 1)) if b.rng.random() < 0.6 else None
    glazed = b.rng.random(4) < (0.5 if windows else 0.0)
    for k in range(4):
        side = paint if b.rng.random() < 0.8 else wall_paint(b)
        length = room.length if k % 2 == 0 else room.width
        wall(
            b,
            corners[k],
            corners[(k + 1) % 4],
            room.height,
            side,
            _openings(b, length, room.height) if glazed[k] else (),
            skirting,
        )
    if glazed.any():
        _outside(b, room)


def _openings(b: SceneBuilder, length: float, height: float) -> tuple[Opening, ...]:
    count = max(1, int(length / b.rng.uniform(1.8, 3.5)))
    width = b.rng.uniform(0.45, 0.8) * length / count
    bottom = 0.05 if b.rng.random() < 0.3 else b.rng.uniform(0.6, 1.1)
    top = min(height - 0.2, bottom + b.rng.uniform(1.0, 2.0))
    return tuple(Opening((k + 0.5) * length / count, width, bottom, top) for k in range(count))


def _outside(b: SceneBuilder, room: Box) -> None:
    """Ground, and walls or hedges at some distance, so that windows have a view."""
    ground = Material(f.pick(b, 'grass', 'bricks', 'gravel', 'asphalt'), 2.0)
    b.box((room.length / 2, room.width / 2, -0.6), (90, 90, 0.5), ground)
    for _ in range(int(b.rng.integers(1, 5))):
        angle, away = b.rng.uniform(-np.pi, np.pi), b.rng.uniform(6, 25)
        with b.at(
            room.length / 2 + away * np.cos(angle),
            room.width / 2 + away * np.sin(angle),
            -0.4,
            angle,
        ):
            tall = b.rng.uniform(1.5, 9)
            b.box(
                (0, 0, tall / 2),
                (1.0, b.rng.uniform(4, 20), tall),
                Material(f.pick(b, 'bricks', 'facade', 'leaves', 'stones'), 3.0),
            )


def against_walls(b: SceneBuilder, room: Box, makers: list[Callable[[], None]]) -> None:
    """Put each maker's thing somewhere along a wall, its back (x = 0) to the wall."""
    for make in makers:
        side = int(b.rng.integers(0, 4))
        length = room.length if side % 2 == 0 else room.width
        along = b.rng.uniform(0.5, max(length - 0.5, 0.6))
        x, y, yaw = (
            (along, 0.0, np.pi / 2),
            (room.length, along, np.pi),
            (along, room.width, -np.pi / 2),
            (0.0, along, 0.0),
        )[side]
        with b.at(x, y, 0.0, yaw), b.at(0.02, 0.0):
            make()


def _hang(b: SceneBuilder, room: Box, count: int) -> None:
    def make() -> None:
        with b.at(0, 0, b.rng.uniform(1.1, min(2.2, room.height - 0.4))):
            if b.rng.random() < 0.15:
                f.television(b, b.rng.uniform(0.6, 1.4))
            else:
                picture_on_wall(b)

    against_walls(b, room, [make] * count)


def _finish(b: SceneBuilder, room: Box, windows: bool, zone: Zone) -> Stage:
    for _ in range(int(b.rng.integers(0, 3))):
        with b.at(b.rng.uniform(0.2, 0.8) * room.length, b.rng.uniform(0.2, 0.8) * room.width):
            ceiling_light(b, room.height)
    if b.rng.random() < 0.2:
        walking_person(b, (0.5, 0.5), (room.length - 0.5, room.width - 0.5))
    lights = indoor_lights(b, room, windows)
    margin = 0.3
    return b.build(
        lights,
        (-margin, -margin, -margin),
        (room.length + margin, room.width + margin, room.height + margin),
    ), zone


def _zone(room: Box, low: float, high: float, pitch: tuple[float, float] = (-0.6, 0.15)) -> Zone:
    top = min(high, room.height - 0.2)
    return Zone(
        (0.4, 0.4, low),
        (room.length - 0.4, room.width - 0.4, top),
        pitch_rad=pitch,
        fx_ratio=(0.5, 1.1),
        carriers=(Carrier.HAND, Carrier.HAND, Carrier.WHEELS, Carrier.FLIGHT, Carrier.STATIC),
    )


def living(b: SceneBuilder) -> Stage:
    """A living room or bedroom."""
    r = b.rng
    room = Box(r.uniform(3.2, 8), r.uniform(3, 6), r.uniform(2.3, 3.1))
    shell(b, room, True)
    if r.random() < 0.6:
        b.box(
            (room.length / 2, room.width / 2, 0.006),
            (r.uniform(1.2, 3), r.uniform(1.2, 2.5), 0.012),
            f.cloth(b),
            yaw=r.normal(0, 0.2),
        )
    big: list[Callable[[], None]] = [
        lambda: f.shelf(b, r.uniform(0.6, 2), r.uniform(0.8, 2.2)),
        lambda: f.cupboard(b, r.uniform(0.6, 2), r.uniform(0.35, 0.6), r.uniform(0.5, 2.1)),
        lambda: radiator(b, r.uniform(0.5, 1.3)),
        lambda: door(b),
        lambda: f.lamp(b, r.uniform(1.2, 1.8)),
        lambda: f.plant(b, r.uniform(0.5, 1.8)),
    ]
    if r.random() < 0.4:
        big.append(lambda: f.bed(b))
    chosen = [big[int(r.integers(0, len(big)))] for _ in range(int(r.integers(3, 8)))]
    against_walls(b, room, chosen)
    _hang(b, room, int(r.integers(0, 6)))
    for _ in range(int(r.integers(1, 4))):
        with b.at(
            r.uniform(0.7, room.length - 0.7),
            r.uniform(0.7, room.width - 0.7),
            0,
            r.uniform(-np.pi, np.pi),
        ):
            f.sofa(b, r.uniform(0.8, 2.2))
    for _ in range(int(r.integers(1, 3))):
        with b.at(
            r.uniform(0.8, room.length - 0.8),
            r.uniform(0.8, room.width - 0.8),
            0,
            r.uniform(-np.pi, np.pi),
        ):
            f.table(b, r.uniform(0.6, 1.6), r.uniform(0.5, 0.9), r.uniform(0.35, 0.76), 4)
    for _ in range(int(r.integers(0, 4))):
        with b.at(
            r.uniform(0.6, room.length - 0.6),
            r.uniform(0.6, room.width - 0.6),
            0,
            r.uniform(-np.pi, np.pi),
        ):
            f.chair(b)
    return _finish(b, room, True, _zone(room, 0.25, 1.9))


def kitchen(b: SceneBuilder) -> Stage:
    """A kitchen: worktops with clutter, hanging cupboards and shelves, a table with chairs."""
    r = b.rng
    room = Box(r.uniform(3, 6), r.uniform(2.6, 4.5), r.uniform(2.3, 2.9))
    shell(b, room, True)
    top = Material(
        f.pick(b, 'marble', 'grain', 'speckles', 'plain'), 0.9, gloss=r.uniform(0.1, 0.8)
    )
    splash = Material(f.pick(b, 'tiles', 'tiles', 'plain', 'bricks'), 0.5, gloss=0.4)
    for side in range(int(r.integers(1, 4))):
        length = room.length if side % 2 == 0 else room.width
        x, y, yaw = (
            (length / 2, 0, np.pi / 2),
            (room.length, length / 2, np.pi),
            (length / 2, room.width, -np.pi / 2),
        )[side]
        run = length * r.uniform(0.55, 1.0)
        with b.at(x, y, 0, yaw):
            f.cupboard(b, run, 0.58, 0.86)
            b.box((0.31, 0, 0.88), (0.64, run, 0.04), top)
            b.box((0.01, 0, 1.15), (0.02, run, 0.5), splash)
            with b.at(0.3, 0, 0.9):
                f.clutter(b, 0.45, run * 0.9, int(r.integers(4, 12)))
            with b.at(0, 0, 1.45):
                if r.random() < 0.5:
                    f.cupboard(b, run * r.uniform(0.4, 0.9), 0.34, 0.7)
                else:
                    b.box((0.14, 0, 0), (0.28, run * 0.8, 0.03), top)
                    with b.at(0.14, 0, 0.02):
                        f.clutter(b, 0.2, run * 0.75, int(r.integers(3, 10)), 0.3)
    for _ in range(int(r.integers(1, 3))):
        with b.at(
            r.uniform(1, room.length - 1), r.uniform(1, room.width - 1), 0, r.uniform(-3, 3)
        ):
            _dining(b)
    _hang(b, room, int(r.integers(0, 5)))
    return _finish(b, room, True, _zone(room, 0.9, 1.8, (-0.75, 0.1)))


def _dining(b: SceneBuilder) -> None:
    r = b.rng
    f.table(b, r.uniform(0.8, 1.8), r.uniform(0.7, 1.0), 0.75, int(r.integers(3, 9)))
    for _ in range(int(r.integers(1, 5))):
        side, along = r.choice([-1, 1]), r.uniform(-0.5, 0.5)
        with b.at(
            side * r.uniform(0.5, 0.9), along, 0, (np.pi if side > 0 else 0) + r.normal(0, 0.3)
        ):
            f.chair(b)


def _along_corridor(b: SceneBuilder) -> None:
    r = b.rng
    kind = int(r.integers(0, 5))
    if kind < 2:
        door(b, r.uniform(0.8, 1.1))
    elif kind == 2:
        with b.at(0, 0, 1.5):
            picture_on_wall(b)
    elif kind == 3:
        f.cupboard(b, r.uniform(0.4, 1.2), r.uniform(0.2, 0.45), r.uniform(0.6, 1.9))
    else:
        radiator(b, r.uniform(0.5, 1.2))


def corridor(b: SceneBuilder) -> Stage:
    """A corridor with doors, notices, pipes and lamps, sometimes with stairs at its end."""
    r = b.rng
    room = Box(r.uniform(8, 30), r.uniform(1.3, 3.2), r.uniform(2.3, 3.3))
    shell(b, room, r.random() < 0.3)
    for side, y, yaw in ((0, 0.0, np.pi / 2), (1, room.width, -np.pi / 2)):
        x = r.uniform(0.8, 3)
        while x < room.length - 0.6:
            with b.at(x, y, 0, yaw):
                _along_corridor(b)
            x += r.uniform(1.0, 3.5) + 0.3 * side
    for x in np.arange(1.5, room.length, r.uniform(2, 4)):
        b.box(
            (x, room.width / 2, room.height - 0.02),
            (0.9, 0.25, 0.04),
            Material('plain', glow=r.uniform(1, 4), wear=0),
        )
    if r.random() < 0.4:
        b.rod(
            (0, 0.15, room.height - 0.2), (room.length, 0.15, room.height - 0.2), 0.06, f.hard(b)
        )
    if r.random() < 0.3:
        with b.at(room.length - 3, room.width / 2):
            stairs(b, int(r.integers(4, 10)), room.width * 0.8)
    for _ in range(int(r.integers(0, 5))):
        with b.at(r.uniform(1, room.length - 1), r.choice([0.3, room.width - 0.3])):
            (f.plant if r.random() < 0.5 else f.lamp)(b, r.uniform(0.6, 1.6))
    if r.random() < 0.4:
        walking_person(b, (2, 0.4), (room.length - 1, room.width - 0.4))
    heading = (-0.5, 0.5) if r.random() < 0.5 else (np.pi - 0.5, np.pi + 0.5)
    zone = Zone(
        (0.5, 0.4, 0.25),
        (room.length - 0.5, room.width - 0.4, 1.8),
        heading,
        (-0.4, 0.1),
        (0.3, 1.2),
        (Carrier.HAND, Carrier.WHEELS, Carrier.WHEELS, Carrier.FLIGHT),
        (0.5, 1.0),
    )
    return _finish(b, room, False, zone)


def office(b: SceneBuilder) -> Stage:
    """An open-plan office or classroom: rows of desks, screens, shelves, partitions."""
    r = b.rng
    room = Box(r.uniform(5, 13), r.uniform(4, 9), r.uniform(2.5, 3.4))
    shell(b, room, True)
    step = r.uniform(1.8, 2.6)
    divider = f.cloth(b)
    for x in np.arange(1.2, room.length - 0.8, step):
        for y in np.arange(1.0, room.width - 0.6, r.uniform(1.6, 2.2)):
            if r.random() < 0.25:
                continue
            with b.at(x + r.normal(0, 0.1), y, 0, r.choice([0.0, np.pi]) + r.normal(0, 0.05)):
                f.table(b, 1.4, 0.75, 0.73, int(r.integers(1, 4)))
                with b.at(0.6, r.normal(0, 0.2), 0, np.pi + r.normal(0, 0.6)):
                    f.chair(b)
                if r.random() < 0.3:
                    b.box((-0.42, 0, 0.65), (0.04, 1.5, 1.3), divider)
    makers: list[Callable[[], None]] = [
        lambda: f.shelf(b, r.uniform(0.8, 2), r.uniform(1, 2.2)),
        lambda: door(b),
        lambda: f.plant(b, r.uniform(0.8, 2)),
        lambda: f.cupboard(b, 1.0, 0.45, r.uniform(0.8, 2)),
    ]
    against_walls(b, room, [makers[int(r.integers(0, 4))] for _ in range(int(r.integers(2, 6)))])
    _hang(b, room, int(r.integers(1, 6)))
    return _finish(b, room, True, _zone(room, 0.4, 1.8))


def hall(b: SceneBuilder) -> Stage:
    """A workshop, store or sports hall: racks, crates, machines, pillars, pipes."""
    r = b.rng
    room = Box(r.uniform(10, 28), r.uniform(8, 18), r.uniform(3.5, 8))
    shell(b, room, True)
    for _ in range(int(r.integers(12, 36))):
        with b.at(
            r.uniform(1, room.length - 1),
            r.uniform(1, room.width - 1),
            0,
            r.choice([0.0, np.pi / 2]) + r.normal(0, 0.1),
        ):
            kind = int(r.integers(0, 6))
            if kind == 0:
                f.shelf(b, r.uniform(1.5, 3), r.uniform(1.8, 3))
            elif kind == 1:
                z = 0.0
                for _ in range(int(r.integers(1, 4))):
                    side = r.uniform(0.4, 1.1)
                    b.box(
                        (0, 0, z + side / 2),
                        (side, side * 1.2, side),
                        Material(f.pick(b, 'grain', 'planks', 'plain', 'metal'), 0.8),
                        yaw=r.normal(0, 0.2),
                    )
                    z += side
            elif kind == 2:
                b.rod((0, 0, 0), (0, 0, 0.9), 0.29, f.hard(b))
            elif kind == 3:
                f.table(b, 2.0, 0.9, 0.85, 6)
            elif kind == 4:
                b.rod((0, 0, 0), (0, 0, room.height), r.uniform(0.1, 0.3), f.hard(b))
            else:
                railing(b, r.uniform(1.5, 4))
    for y in np.arange(1, room.width, r.uniform(2, 4)):
        b.rod((0, y, room.height - 0.4), (room.length, y, room.height - 0.4), 0.1, f.hard(b))
    walking_person(b, (1, 1), (room.length - 1, room.width - 1))
    return _finish(b, room, True, _zone(room, 0.3, 2.5, (-0.4, 0.2)))
