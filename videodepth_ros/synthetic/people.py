# SPDX-License-Identifier: Apache-2.0
"""Walking people and vehicles made of simple solids."""

from __future__ import annotations

import numpy as np

from videodepth_ros.synthetic.furniture import cloth, hard
from videodepth_ros.synthetic.noise import hsv, muted, neutral
from videodepth_ros.synthetic.scene import Material, Motion, SceneBuilder


def walking_person(b: SceneBuilder, low: tuple[float, float], high: tuple[float, float]) -> None:
    """Add a person who walks or stands, starting inside the rectangle low..high (x, y)."""
    r = b.rng
    x, y = r.uniform(low, high)
    heading = r.uniform(-np.pi, np.pi)
    speed = 0.0 if r.random() < 0.25 else r.uniform(0.4, 1.4)
    person(b, (float(x), float(y)), heading, speed, r.normal(0, 0.3))


def person(
    b: SceneBuilder, position: tuple[float, float], heading: float, speed: float, turn: float = 0.0
) -> None:
    """Add a person at a position (x, y) who walks along the heading with swinging limbs."""
    r = b.rng
    tall = r.uniform(1.5, 1.95) / 1.75
    skin = Material('plain', wear=0.2).painted(
        hsv(r.uniform(0.03, 0.08), r.uniform(0.25, 0.6), r.uniform(0.3, 0.9))
    )
    shirt, trousers = cloth(b), Material('plain', 0.5).painted(muted(r) * 0.7)
    hair = Material('carpet', 0.3).painted(hsv(0.08, r.uniform(0, 0.6), r.uniform(0.05, 0.6)))
    start = (position[0], position[1], 0.0)
    hz = 0.9 * speed if speed else 0.0
    phase = r.uniform(0, 6.28)

    def part(pivot: float, swing: float, shift: float) -> Motion:
        return Motion(
            start,
            heading,
            speed,
            turn,
            (0, 0, pivot * tall),
            swing * bool(speed),
            hz,
            phase + shift,
        )

    with b.moving(part(0, 0, 0)):
        b.ellipsoid((0, 0, 1.2 * tall), (0.26, 0.44, 0.68 * tall), shirt)
        b.rod((0, 0, 0.85 * tall), (0, 0, 1.35 * tall), 0.16, shirt, taper=1.15, flat=0.7)
        b.rod((0, 0, 1.4 * tall), (0, 0, 1.55 * tall), 0.055, skin)
        b.ellipsoid((0.01, 0, 1.63 * tall), (0.19, 0.16, 0.25), skin)
        b.ellipsoid((-0.02, 0, 1.67 * tall), (0.2, 0.18, 0.2), hair)
    for side in (-1, 1):
        with b.moving(part(0.88, 0.5, side * np.pi / 2)):
            y = side * 0.09
            b.rod((0, y, 0.07), (0, y, 0.9 * tall), 0.055, trousers, taper=1.6)
            b.ellipsoid((0.06, y, 0.045), (0.27, 0.1, 0.1), hard(b))
        with b.moving(part(1.38, 0.4, -side * np.pi / 2)):
            y = side * 0.23
            b.rod((0.02, y, 0.82 * tall), (0, y, 1.4 * tall), 0.036, shirt, taper=1.4)
            b.ellipsoid((0.03, y, 0.78 * tall), (0.08, 0.06, 0.13), skin)


def car(b: SceneBuilder) -> None:
    """Add a car, van or lorry at the origin of the current frame, front to +x."""
    r = b.rng
    paint = Material('plain', 2.0, gloss=r.uniform(0.4, 0.9), wear=0.15).painted(
        neutral(r, 0.05, 0.98) if r.random() < 0.6 else hsv(r.random(), 0.8, 0.6)
    )
    glass = Material('plain', gloss=0.95, wear=0).painted((0.06, 0.08, 0.1))
    rim = Material('metal', 0.4, gloss=0.6)
    rubber = Material('plain', gloss=0.1).painted((0.05, 0.05, 0.05))
    van = r.random() < 0.3
    long, wide = (r.uniform(4.6, 6.5), 2.0) if van else (r.uniform(3.6, 4.9), r.uniform(1.65, 1.9))
    waist, top = (1.1, r.uniform(2.0, 2.7)) if van else (0.85, r.uniform(1.38, 1.7))
    b.box((0, 0, (waist + 0.25) / 2), (long, wide, waist - 0.25), paint)
    for end in (-1, 1):
        b.ellipsoid((end * long * 0.42, 0, 0.62), (long * 0.2, wide * 1.01, 0.6), paint)
    cabin, back = (long * 0.93, 0.0) if van else (long * 0.48, -0.07 * long)
    b.box((back, 0, (waist + top) / 2), (cabin, wide * 0.88, top - waist), paint)
    band = min(0.5, top - waist) * 0.72
    z = top - 0.08 - band / 2
    b.box((back, 0, z), (cabin * 0.86, wide * 0.9, band), glass)
    b.box((back, 0, z), (cabin + 0.02, wide * 0.78, band), glass)
    if not van:
        for end in (-1, 1):
            b.box(
                (back + end * cabin * 0.5, 0, (waist + top) / 2 - 0.06),
                (0.55, wide * 0.8, 0.05),
                glass,
                pitch=end * 0.75,
            )
    for x in (-long * 0.31, long * 0.31):
        for side in (-1, 1):
            y = side * (wide / 2 - 0.08)
            b.rod((x, y - 0.11, 0.33), (x, y + 0.11, 0.33), 0.33, rubber)
            b.rod((x, y - 0.115, 0.33), (x, y + 0.115, 0.33), 0.19, rim)
    _lights(b, long, wide)


def _lights(b: SceneBuilder, long: float, wide: float) -> None:
    for end, colour in ((1, (0.95, 0.95, 0.85)), (-1, (0.7, 0.05, 0.05))):
        light = Material('plain', gloss=0.6, glow=0.3, wear=0).painted(colour)
        for side in (-1, 1):
            b.box((end * long / 2, side * wide * 0.38, 0.68), (0.06, 0.3, 0.14), light)
    plate = Material('document', None)
    b.box((-long / 2 - 0.01, 0, 0.6), (0.03, 0.5, 0.11), plate)


def driving_car(
    b: SceneBuilder, position: tuple[float, float], heading: float, speed: float
) -> None:
    """Add a car that drives from position (x, y) along the heading."""
    with b.moving(Motion((position[0], position[1], 0.0), heading, speed)):
        car(b)
