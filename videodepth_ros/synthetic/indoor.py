# SPDX-License-Identifier: Apache-2.0
"""Indoor families of the training set: rooms, kitchens, corridors, offices, halls."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from videodepth_ros.synthetic import furniture as f
from videodepth_ros.synthetic.architecture import door, picture_on_wall, radiator, railing, stairs
from videodepth_ros.synthetic.camera_path import Carrier, Stage, Zone
from videodepth_ros.synthetic.interiors import (
    Box,
    against_walls,
    finish_room,
    hang_pictures,
    room_zone,
    shell,
)
from videodepth_ros.synthetic.people import walking_person
from videodepth_ros.synthetic.scene import Material, SceneBuilder


def living(b: SceneBuilder) -> Stage:
    """Build a living room or bedroom."""
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
    hang_pictures(b, room, int(r.integers(0, 6)))
    _scatter(b, room, int(r.integers(1, 4)), 0.7, lambda: f.sofa(b, r.uniform(0.8, 2.2)))
    _scatter(b, room, int(r.integers(1, 3)), 0.8, lambda: _small_table(b))
    _scatter(b, room, int(r.integers(0, 4)), 0.6, lambda: f.chair(b))
    return finish_room(b, room, True, room_zone(room, 0.25, 1.9))


def _scatter(
    b: SceneBuilder, room: Box, count: int, margin_m: float, make: Callable[[], None]
) -> None:
    r = b.rng
    for _ in range(count):
        x = r.uniform(margin_m, room.length - margin_m)
        y = r.uniform(margin_m, room.width - margin_m)
        with b.at(x, y, 0, r.uniform(-np.pi, np.pi)):
            make()


def _small_table(b: SceneBuilder) -> None:
    r = b.rng
    f.table(b, r.uniform(0.6, 1.6), r.uniform(0.5, 0.9), r.uniform(0.35, 0.76), 4)


def kitchen(b: SceneBuilder) -> Stage:
    """Build a kitchen: worktops with clutter, wall cupboards or shelves, tables with chairs."""
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
    hang_pictures(b, room, int(r.integers(0, 5)))
    return finish_room(b, room, True, room_zone(room, 0.9, 1.8, (-0.75, 0.1)))


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
    """Build a corridor with doors, notices, pipes and lamps, sometimes with stairs at its end."""
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
    return finish_room(b, room, False, zone)


def office(b: SceneBuilder) -> Stage:
    """Build an open-plan office or classroom: rows of desks, screens, shelves, partitions."""
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
    hang_pictures(b, room, int(r.integers(1, 6)))
    return finish_room(b, room, True, room_zone(room, 0.4, 1.8))


def hall(b: SceneBuilder) -> Stage:
    """Build a workshop, store or sports hall: racks, crates, machines, pillars, pipes."""
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
    return finish_room(b, room, True, room_zone(room, 0.3, 2.5, (-0.4, 0.2)))
