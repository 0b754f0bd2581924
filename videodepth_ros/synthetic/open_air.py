# SPDX-License-Identifier: Apache-2.0
"""What outdoor families share: daylight, buildings, street furniture."""

from __future__ import annotations

import numpy as np

from videodepth_ros.synthetic import furniture as f
from videodepth_ros.synthetic.noise import neutral
from videodepth_ros.synthetic.scene import Lights, Material, SceneBuilder


def daylight(b: SceneBuilder, haze_m: float = 1500.0) -> Lights:
    """Return sun and sky of a random day: clear, hazy, overcast, or late."""
    r = b.rng
    overcast = r.random() < 0.35
    elevation, azimuth = r.uniform(0.2, 1.2), r.uniform(-np.pi, np.pi)
    direction = (
        float(np.cos(azimuth) * np.cos(elevation)),
        float(np.sin(azimuth) * np.cos(elevation)),
        float(np.sin(elevation)),
    )
    warm = np.array([1.0, 0.9, 0.7]) if elevation < 0.45 else np.array([1.0, 0.96, 0.9])
    sun = (0.0, 0.0, 0.0) if overcast else tuple(r.uniform(1.2, 3.2) * warm)
    ambient = (1.5 if overcast else r.uniform(0.4, 0.9)) * np.array([0.9, 0.97, 1.1])
    blue = 0.25 if overcast else r.uniform(0.6, 1.0)
    zenith = np.array([1 - 0.8 * blue, 1 - 0.55 * blue, 1.0]) * r.uniform(0.35, 0.8)
    horizon = zenith + r.uniform(0.3, 0.8) * (np.array([0.92, 0.96, 1.0]) - zenith)
    return Lights(
        tuple(ambient),
        direction,
        sun,
        (),
        tuple(zenith),
        tuple(horizon),
        r.uniform(0, 1),
        haze_m * r.uniform(0.2, 1.5),
        r.uniform(0.5, 1.2) if r.random() < 0.85 else 0.0,
    )


def building(b: SceneBuilder, width: float, depth: float, height: float) -> None:
    """Add a house with ground floor, ledges, balconies and roof; its front is x = 0, facing +x."""
    r = b.rng
    storey = r.uniform(2.8, 3.6)
    wall = (
        Material('facade', storey * 2.5)
        if r.random() < 0.75
        else Material(f.pick(b, 'bricks', 'plaster', 'stones', 'tiles'), 2.5)
    )
    b.box((-depth / 2, 0, height / 2), (depth, width, height), wall)
    ground = f.pick(b, 'shopfront', 'shopfront', 'bricks', 'plaster', 'stones')
    b.box(
        (-depth / 2, 0, 1.6),
        (depth + 0.12, width + 0.05, 3.2),
        Material(ground, None if ground != 'shopfront' else 3.8),
    )
    ledge = Material('plaster', 2).painted(neutral(r, 0.5, 0.95))
    for z in np.arange(3.25, height, storey):
        if r.random() < 0.5:
            b.box((-depth / 2, 0, z), (depth + 0.3, width + 0.2, 0.15), ledge)
    b.box((-depth / 2, 0, height), (depth + 0.5, width + 0.3, 0.35), ledge)
    if r.random() < 0.5:
        roof = Material(f.pick(b, 'tiles', 'bricks', 'metal'), 2.0)
        for side in (-1, 1):
            b.box(
                (-depth / 2 + side * depth * 0.25, 0, height + depth * 0.14),
                (depth * 0.62, width + 0.4, 0.25),
                roof,
                pitch=side * 0.5,
            )
    for _ in range(int(r.integers(0, 4))):
        floors = max(1, int(height / storey))
        y, z = r.uniform(-0.4, 0.4) * width, 3.2 + storey * r.integers(0, floors)
        b.box((0.5, y, z), (1.0, r.uniform(1.5, 3), 0.15), ledge)
        b.box(
            (1.0, y, z + 0.5),
            (0.04, 2.2, 0.9),
            Material('metal', 0.5, cutout='bars', cutout_scale_m=1.0),
        )


def street_furniture(b: SceneBuilder) -> None:
    """Add a lamp post, a sign, a bollard, a bin, a bench or a hydrant."""
    r, metal = b.rng, f.hard(b)
    kind = int(r.integers(0, 6))
    if kind == 0:
        tall = r.uniform(4, 9)
        b.rod((0, 0, 0), (0, 0, tall), 0.09, metal, taper=0.6)
        b.rod((0, 0, tall), (1.4, 0, tall + 0.2), 0.05, metal)
        b.ellipsoid((1.4, 0, tall + 0.15), (0.6, 0.3, 0.16), f.hard(b))
    elif kind == 1:
        b.rod((0, 0, 0), (0, 0, 2.7), 0.035, metal)
        b.rod((0.04, 0, 2.4), (0.06, 0, 2.4), 0.35, Material('picture', None))
    elif kind == 2:
        for y in np.arange(0, 5, 1.4):
            b.rod((0, y, 0), (0, y, 0.9), 0.06, metal)
    elif kind == 3:
        b.rod((0, 0, 0), (0, 0, 1.0), 0.28, metal, taper=1.1)
    elif kind == 4:
        for z, x in ((0.45, 0.0), (0.75, -0.25)):
            b.box(
                (x, 0, z),
                (0.4 if z < 0.5 else 0.05, 1.7, 0.06 if z < 0.5 else 0.4),
                Material('planks', 0.8),
            )
        f.legs(b, 1.6, 0.4, 0.45, metal)
    else:
        b.box((0, 0, 1.2), (0.15, 1.4, 2.2), metal)
        b.box((0.08, 0, 1.25), (0.02, 1.2, 1.9), Material('picture', None, gloss=0.4))
