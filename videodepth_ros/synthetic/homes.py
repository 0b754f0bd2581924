# SPDX-License-Identifier: Apache-2.0
"""More indoor families of the training set: desks seen from near, homes of several rooms."""

from __future__ import annotations

import numpy as np

from videodepth_ros.synthetic import furniture as f
from videodepth_ros.synthetic.architecture import (
    Opening,
    ceiling_light,
    door,
    picture_on_wall,
    radiator,
    stairs,
    wall,
    wall_paint,
)
from videodepth_ros.synthetic.camera_path import Carrier, Stage, Zone
from videodepth_ros.synthetic.interiors import Box, indoor_lights, shell
from videodepth_ros.synthetic.noise import neutral
from videodepth_ros.synthetic.people import walking_person
from videodepth_ros.synthetic.scene import Material, SceneBuilder


def _computer(b: SceneBuilder) -> None:
    """Add a monitor on a stand or a laptop, with keyboard and mouse; the user sits at +x."""
    r, dark = b.rng, f.hard(b)
    face = Material('screen', None, gloss=0.4, glow=float(r.choice([0.0, 0.6, 1.2])), wear=0)
    if r.random() < 0.3:
        b.box((0.1, 0, 0.01), (0.24, 0.34, 0.018), dark)
        b.box((-0.06, 0, 0.12), (0.012, 0.34, 0.22), dark, pitch=-0.25)
        b.box((-0.052, 0, 0.12), (0.004, 0.32, 0.2), face, pitch=-0.25)
        return
    wide = r.uniform(0.4, 0.7)
    b.box((-0.12, 0, 0.32), (0.05, wide, wide * 0.6), dark, pitch=-0.08)
    b.box((-0.09, 0, 0.32), (0.006, wide * 0.95, wide * 0.54), face, pitch=-0.08)
    b.rod((-0.15, 0, 0.01), (-0.15, 0, 0.25), 0.03, dark)
    b.box((-0.14, 0, 0.01), (0.2, 0.26, 0.02), dark)
    b.box(
        (0.16, r.normal(0, 0.06), 0.012),
        (0.15, 0.43, 0.02),
        Material('checker', 0.08).painted(neutral(r, 0.1, 0.9)),
        yaw=r.normal(0, 0.1),
    )
    b.ellipsoid((0.17, -0.32, 0.015), (0.1, 0.06, 0.035), dark)


def _desk(b: SceneBuilder, wide: float, deep: float, height: float) -> None:
    r = b.rng
    f.table(b, wide, deep, height, 0)
    with b.at(0, 0, height):
        for _ in range(int(r.integers(0, 3))):
            with b.at(-deep * 0.15, r.uniform(-0.35, 0.35) * wide, 0, r.normal(0, 0.3)):
                _computer(b)
        f.clutter(b, deep * 0.9, wide * 0.95, int(r.integers(6, 20)))
        if r.random() < 0.4:
            with b.at(-deep * 0.35, wide * 0.4):
                f.lamp(b, 0.4)
    for _ in range(int(r.integers(0, 3))):
        with b.at(deep / 2 + 0.25, r.uniform(-0.4, 0.4) * wide, 0, np.pi + r.normal(0, 0.5)):
            f.chair(b)


def _around_desk(b: SceneBuilder, room: Box) -> None:
    r = b.rng
    for _ in range(int(r.integers(1, 4))):
        side = r.integers(0, 2)
        with b.at(
            r.uniform(0.6, room.length - 0.6),
            0.02 if side else room.width - 0.02,
            0,
            np.pi / 2 if side else -np.pi / 2,
        ):
            if r.random() < 0.6:
                f.shelf(b, r.uniform(0.6, 1.8), r.uniform(1.0, 2.2))
            else:
                f.cupboard(b, r.uniform(0.6, 1.6), 0.45, r.uniform(0.6, 2.0))
    for _ in range(int(r.integers(0, 5))):
        with b.at(0.01, r.uniform(0.4, room.width - 0.4), r.uniform(1.2, 2.0)):
            picture_on_wall(b)
    with b.at(r.uniform(0.5, room.length - 0.5), r.uniform(0.5, room.width - 0.5)):
        f.plant(b, r.uniform(0.6, 1.6))


def desks(b: SceneBuilder) -> Stage:
    """Build a desk, bench or dining table with many things on it, filmed from near."""
    r = b.rng
    room = Box(r.uniform(2.6, 6), r.uniform(2.6, 5), r.uniform(2.3, 3.0))
    shell(b, room, True)
    height, wide, deep = r.uniform(0.68, 0.95), r.uniform(1.1, 2.4), r.uniform(0.6, 1.1)
    x, y = (r.uniform(0.35, 0.65) * room.length, r.uniform(0.35, 0.65) * room.width)
    if r.random() < 0.6:
        x = deep / 2 + 0.05
    with b.at(float(x), float(y)):
        _desk(b, wide, deep, height)
    _around_desk(b, room)
    zone = Zone(
        (0.4, 0.4, height + 0.1),
        (room.length - 0.3, room.width - 0.3, 1.8),
        (-0.45, 0.45),
        (-0.25, 0.25),
        (0.05, 0.5),
        (Carrier.HAND, Carrier.HAND, Carrier.HAND, Carrier.STATIC, Carrier.FLIGHT),
        (0.55, 1.2),
        (float(x), float(y), height + 0.1),
    )
    return b.build(
        indoor_lights(b, room, True),
        (-0.3, -0.3, -0.3),
        (room.length + 0.3, room.width + 0.3, room.height + 0.3),
    ), zone


def homes(b: SceneBuilder) -> Stage:
    """Build an open home of two or three rooms with doorways, beams and furniture."""
    r = b.rng
    room = Box(r.uniform(8, 15), r.uniform(5, 11), r.uniform(2.4, 3.6))
    shell(b, room, True)
    _partitions(b, room)
    if r.random() < 0.4:
        beam = f.wooden(b)
        for x in np.arange(0.5, room.length, r.uniform(0.8, 2)):
            b.box((x, room.width / 2, room.height - 0.1), (0.14, room.width, 0.2), beam)
    for _ in range(int(r.integers(8, 22))):
        with b.at(
            r.uniform(0.6, room.length - 0.6),
            r.uniform(0.6, room.width - 0.6),
            0,
            r.choice([0, 1, 2, 3]) * np.pi / 2 + r.normal(0, 0.15),
        ):
            _household(b)
    for y, yaw in ((0.01, np.pi / 2), (room.width - 0.01, -np.pi / 2)):
        for _ in range(int(r.integers(1, 5))):
            with b.at(r.uniform(0.5, room.length - 0.5), y, 0, yaw):
                _by_the_wall(b)
    for _ in range(int(r.integers(0, 4))):
        b.box(
            (r.uniform(1, room.length - 1), r.uniform(1, room.width - 1), 0.006),
            (r.uniform(1, 3), r.uniform(1, 3), 0.012),
            f.cloth(b),
        )
        with b.at(r.uniform(1, room.length - 1), r.uniform(1, room.width - 1)):
            ceiling_light(b, room.height)
    if r.random() < 0.35:
        walking_person(b, (1, 1), (room.length - 1, room.width - 1))
    zone = Zone(
        (0.5, 0.5, 0.3),
        (room.length - 0.5, room.width - 0.5, 1.7),
        pitch_rad=(-0.35, 0.12),
        fx_ratio=(0.5, 1.1),
        carriers=(Carrier.WHEELS, Carrier.HAND, Carrier.FLIGHT),
    )
    return b.build(
        indoor_lights(b, room, True),
        (-0.3, -0.3, -0.3),
        (room.length + 0.3, room.width + 0.3, room.height + 0.3),
    ), zone


def _partitions(b: SceneBuilder, room: Box) -> None:
    r = b.rng
    cuts = np.sort(r.uniform(0.25, 0.75, int(r.integers(1, 3)))) * room.length
    for cut in cuts:
        gap = r.uniform(0.9, 3.0)
        hole = Opening(r.uniform(0.3, 0.7) * room.width, gap, 0.0, r.uniform(2.0, 2.3), False)
        paint = wall_paint(b)
        wall(b, (float(cut), 0.0), (float(cut), room.width), room.height, paint, (hole,))


def _household(b: SceneBuilder) -> None:
    r = b.rng
    kind = int(r.integers(0, 7))
    if kind == 0:
        f.sofa(b, r.uniform(0.8, 2.4))
    elif kind == 1:
        f.table(b, r.uniform(0.8, 2), r.uniform(0.6, 1), r.uniform(0.4, 0.78), 5)
    elif kind == 2:
        f.chair(b)
    elif kind == 3:
        f.plant(b, r.uniform(0.5, 2))
    elif kind == 4:
        f.lamp(b, r.uniform(1.2, 1.8))
    elif kind == 5:
        f.table(b, 1.6, 0.9, 0.75, 5)
        for side in (-1, 1):
            for along in (-0.4, 0.4):
                with b.at(side * 0.6, along, 0, np.pi if side > 0 else 0.0):
                    f.chair(b)
    elif r.random() < 0.5:
        stairs(b, int(r.integers(3, 10)), 1.0)
    else:
        f.bed(b)


def _by_the_wall(b: SceneBuilder) -> None:
    r = b.rng
    kind = int(r.integers(0, 6))
    if kind == 0:
        f.shelf(b, r.uniform(0.6, 2), r.uniform(0.8, 2.2))
    elif kind == 1:
        f.cupboard(b, r.uniform(0.6, 3), r.uniform(0.35, 0.6), r.uniform(0.6, 2.1))
    elif kind == 2:
        door(b)
    elif kind == 3:
        radiator(b, r.uniform(0.5, 1.4))
    else:
        with b.at(0, 0, r.uniform(1.2, 1.8)):
            if kind == 4:
                picture_on_wall(b)
            else:
                f.television(b, r.uniform(0.7, 1.5))
