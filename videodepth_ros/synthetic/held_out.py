# SPDX-License-Identifier: Apache-2.0
"""Held-out families, for validation only: laid out by other code than the training families."""

from __future__ import annotations

import numpy as np

from videodepth_ros.synthetic import furniture as f
from videodepth_ros.synthetic.architecture import Opening, picture_on_wall, railing, wall
from videodepth_ros.synthetic.camera_path import Carrier, Stage, Zone
from videodepth_ros.synthetic.nature import bush, tree
from videodepth_ros.synthetic.noise import neutral
from videodepth_ros.synthetic.open_air import daylight
from videodepth_ros.synthetic.people import car, walking_person
from videodepth_ros.synthetic.scene import Lamp, Lights, Material, SceneBuilder


def studio(b: SceneBuilder) -> Stage:
    """Build an L-shaped flat: a bed corner, a kitchenette behind a half-wall, a round table."""
    r = b.rng
    a, c, h = r.uniform(4, 6), r.uniform(2.2, 3.2), r.uniform(2.4, 2.8)
    outline = [(0.0, 0.0), (a, 0.0), (a, c), (c, c), (c, a), (0.0, a)]
    paint = Material('plain', 2.5).painted(neutral(r, 0.7, 1))
    b.box((a / 2, a / 2, -0.1), (a + 1, a + 1, 0.2), Material('planks', 1.2, gloss=0.3))
    b.box((a / 2, a / 2, h + 0.1), (a + 1, a + 1, 0.2), Material('plain', 3).painted((1, 1, 1)))
    for k, corner in enumerate(outline):
        holes = (Opening(a / 2, 1.4, 0.9, 2.1),) if k in (0, 5) else ()
        wall(b, corner, outline[(k + 1) % 6], h, paint, holes)
    b.box((c, c / 2, 0.5), (0.12, c * 0.6, 1.0), paint)
    with b.at(0.05, a - 1.2):
        f.bed(b)
    with b.at(a - 0.02, c / 2, 0, np.pi):
        f.cupboard(b, c * 0.8, 0.55, 0.88)
        with b.at(0.28, 0, 0.89):
            f.clutter(b, 0.4, c * 0.7, 7)
    with b.at(c * 0.5, c * 0.5):
        f.table(b, 0.9, 0.9, 0.74, 5)
        for k in range(3):
            with b.at(0.75 * np.cos(2 * k), 0.75 * np.sin(2 * k), 0, 2 * k + np.pi):
                f.chair(b)
    for _ in range(4):
        with b.at(0.03, r.uniform(0.5, a - 0.5), r.uniform(1.3, 1.9)):
            picture_on_wall(b)
    with b.at(c - 0.3, c + 0.5, 0, np.pi):
        f.shelf(b, 0.9, 2.0)
    lights = Lights(
        (0.5, 0.5, 0.48),
        (0.3, -0.7, 0.5),
        (5.0, 4.6, 4.0),
        (Lamp((c / 2, c / 2, h - 0.4), (1.0, 0.9, 0.75), True),),
        (1.5, 2.2, 3.5),
        (3.2, 3.4, 3.5),
        0.5,
    )
    zone = Zone(
        (0.4, 0.4, 0.5),
        (c - 0.3, a - 0.4, 1.7),
        pitch_rad=(-0.6, 0.1),
        carriers=(Carrier.HAND, Carrier.WHEELS),
        fx_ratio=(0.6, 1.0),
    )
    return b.build(lights, (-0.3, -0.3, -0.3), (a + 0.3, a + 0.3, h + 0.3)), zone


def car_park(b: SceneBuilder) -> Stage:
    """Build rows of parked cars with planted islands, lamp posts, a kiosk and a building."""
    r = b.rng
    b.box((0, 0, -0.2), (500, 500, 0.4), Material('asphalt', 3.5))
    paint = Material('plain', wear=0.8).painted((0.9, 0.9, 0.9))
    for row in range(-2, 3):
        for k in range(-6, 7):
            x, y = k * 2.7, row * 11.0
            b.box((x - 1.35, y, 0), (0.1, 4.8, 0.008), paint)
            if r.random() < 0.55:
                with b.at(x, y + r.normal(0, 0.2), 0, r.choice([1, -1]) * np.pi / 2):
                    car(b)
        with b.at(19.0, row * 11.0):
            b.box((0, 0, 0.08), (2, 5, 0.16), Material('grass', 1.5))
            tree(b, r.uniform(3, 7))
            with b.at(0, 1.5):
                bush(b, 1.0)
        b.rod((-19, row * 11.0, 0), (-19, row * 11.0, 7), 0.1, f.hard(b))
    b.box((r.normal(0, 5), 42, 3), (60, 12, 6), Material('facade', 8))
    with b.at(-14, -6):
        b.box((0, 0, 1.2), (2, 2, 2.4), Material('panels', 1.2))
        railing(b, 4)
    for _ in range(3):
        walking_person(b, (-12, -8), (12, 16))
    zone = Zone(
        (-16, -17, 1.0),
        (16, 17, 2.2),
        pitch_rad=(-0.25, 0.05),
        speed_m_s=(0.5, 4),
        carriers=(Carrier.WHEELS, Carrier.HAND),
        fx_ratio=(0.55, 1.1),
    )
    return b.build(daylight(b), (-24, -28, -0.5), (24, 34, 10)), zone


def alley(b: SceneBuilder) -> Stage:
    """Build a narrow old lane with bends, arches, steps, pots and washing lines."""
    r = b.rng
    b.box((20, 0, -0.2), (200, 200, 0.4), Material('stones', 1.8))
    x = 0.0
    for k in range(8):
        long = r.uniform(4, 7)
        bend = 1.2 * np.sin(0.8 * k + r.normal(0, 0.3))
        for side in (-1, 1):
            y = bend + side * r.uniform(1.4, 2.2)
            tall = r.uniform(5, 10)
            b.box(
                (x + long / 2, y + side * 3, tall / 2),
                (long, 6, tall),
                Material(f.pick(b, 'plaster', 'stones', 'bricks', 'facade'), 2.6),
            )
            b.box((x + long / 2, y - side * 0.02, 1.0), (1.0, 0.12, 2.0), Material('panels', None))
            with b.at(x + r.uniform(0.5, long), y - side * 0.3):
                f.plant(b, r.uniform(0.5, 1.3))
        if k % 3 == 2:
            b.box((x, bend, 3.4), (0.8, 5, 1.0), Material('stones', 1.5))
        b.rod((x + 2, bend - 2.5, 4), (x + 2, bend + 2.5, 4.1), 0.012, Material('plain'))
        for y in np.arange(-1.0, 1.1, 0.7):
            if r.random() < 0.6:
                b.box((x + 2, bend + y, 3.6), (0.02, 0.5, 0.8), f.cloth(b))
        x += long
    walking_person(b, (6, -0.5), (20, 0.5))
    zone = Zone(
        (0.5, -0.6, 0.6),
        (x - 12, 0.6, 1.8),
        (-0.5, 0.5),
        (-0.25, 0.2),
        (0.3, 1.4),
        (Carrier.HAND, Carrier.WHEELS),
        (0.55, 1.0),
    )
    return b.build(daylight(b, 4000), (-2, -6, -0.5), (x, 6, 11)), zone
