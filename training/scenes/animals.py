# SPDX-License-Identifier: Apache-2.0
"""Four-legged animals of any build: bears, dogs, goats, horses, cattle and what lies between."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from videodepth_ros.core.arrays import Float64Array
from videodepth_ros.synthetic.furniture import pick
from videodepth_ros.synthetic.noise import hsv
from videodepth_ros.synthetic.scene import Material, Motion, SceneBuilder


@dataclass(frozen=True)
class Beast:
    """An animal's build: height of the shoulders in metres, the rest as shares of it.

    leg  length of the legs; long  of the trunk; stout  its diameter; neck  length; lift_rad  angle
    of the neck over level; head  length; limb  radius of a leg
    """

    tall_m: float
    leg: float
    long: float
    stout: float
    neck: float
    lift_rad: float
    head: float
    limb: float
    fur: Material
    dark: Material


# lowest and highest of: tall_m, leg, long, stout, neck, lift_rad, head, limb
_BUILDS = {
    'bear': (
        (0.6, 0.42, 1.0, 0.52, 0.25, -0.5, 0.42, 0.1),
        (1.3, 0.5, 1.3, 0.7, 0.4, 0.5, 0.5, 0.14),
    ),
    'dog': (
        (0.2, 0.5, 0.85, 0.32, 0.25, 0.1, 0.35, 0.045),
        (0.75, 0.6, 1.1, 0.42, 0.4, 1.0, 0.45, 0.06),
    ),
    'goat': (
        (0.5, 0.48, 0.85, 0.38, 0.3, -0.7, 0.28, 0.035),
        (1.0, 0.58, 1.1, 0.6, 0.5, 1.1, 0.36, 0.055),
    ),
    'horse': (
        (0.9, 0.5, 0.85, 0.36, 0.45, -0.8, 0.32, 0.04),
        (1.7, 0.6, 1.05, 0.44, 0.65, 1.0, 0.42, 0.055),
    ),
    'any': (
        (0.15, 0.3, 0.8, 0.3, 0.15, -0.8, 0.25, 0.035),
        (2.2, 0.65, 1.6, 0.75, 0.9, 1.2, 0.5, 0.14),
    ),
}


def random_beast(b: SceneBuilder) -> Beast:
    """Draw an animal, a bear more often than others."""
    r = b.rng
    low, high = _BUILDS[pick(b, 'bear', 'bear', 'bear', 'dog', 'goat', 'horse', 'any')]
    tall, leg, long, stout, neck, lift, head, limb = (float(n) for n in r.uniform(low, high))
    brown = hsv(r.uniform(0.02, 0.12), r.uniform(0, 0.65), r.uniform(0.06, 1.0) ** 1.4)
    fur = Material(
        pick(b, 'carpet', 'carpet', 'plain', 'bark', 'marble', 'grain'),
        r.uniform(0.2, 0.8),
        wear=r.uniform(0.2, 1),
    ).painted(brown)
    return Beast(
        tall,
        leg,
        long,
        stout,
        neck,
        lift,
        head,
        limb,
        fur,
        fur.painted(brown * r.uniform(0.3, 1.1)),
    )


def animal(
    b: SceneBuilder,
    beast: Beast,
    position_m: tuple[float, float, float],
    heading: float,
    speed: float,
) -> None:
    """Add an animal whose feet are at a position (3,), which walks along the heading or stands."""
    r, tall = b.rng, beast.tall_m
    phase, hz = r.uniform(0, 6.3), 0.6 * speed / tall**0.5 / 0.7
    half, z = 0.36 * beast.long * tall, beast.leg * tall

    @contextmanager
    def part(x: float, swing: float, shift: float) -> Iterator[None]:
        motion = Motion(position_m, heading, speed, 0.0, (x, 0.0, z), swing, hz, phase + shift)
        with b.moving(motion) if speed else b.at(*position_m, heading):
            yield

    with b.matched():
        with part(0, 0, 0):
            _trunk(b, beast, half)
            with b.at(half * 1.15, 0, z + 0.28 * beast.stout * tall, r.normal(0, 0.35)):
                _neck_and_head(b, beast)
        wide = 0.27 * beast.stout * tall
        for k, (x, y) in enumerate(((half, wide), (half, -wide), (-half, wide), (-half, -wide))):
            with part(x, 0.4, np.pi * (k in (1, 2))):
                step = 0.0 if speed else r.normal(0, 0.1) * tall
                _limb(b, beast, np.array([x, y, z + 0.1 * tall]), step, x > 0)


def _trunk(b: SceneBuilder, beast: Beast, half: float) -> None:
    """Add chest, belly, rump and tail, along x about the origin."""
    r, tall = b.rng, beast.tall_m
    stout = beast.stout * tall
    back = beast.leg * tall + 0.42 * stout
    sag = r.uniform(-0.1, 0.06) * stout
    b.ellipsoid((0, 0, back + sag), (beast.long * tall, 0.86 * stout, stout), beast.fur)
    b.ellipsoid((half, 0, back + 0.02 * tall), np.array([0.75, 0.8, 1.08]) * stout, beast.fur)
    b.ellipsoid((-half, 0, back), (0.8 * stout, 0.84 * stout, 1.02 * stout), beast.fur)
    long, droop = r.uniform(0.05, 0.6) * tall, r.uniform(-0.5, 1.2)
    start = np.array([-half - 0.36 * stout, 0, back + 0.2 * stout])
    b.rod(
        start,
        start - long * np.array([np.cos(droop), 0, np.sin(droop)]),
        0.035 * tall,
        beast.dark,
        taper=0.6,
    )


def _neck_and_head(b: SceneBuilder, beast: Beast) -> None:
    """Add neck, skull, muzzle, ears and perhaps horns, from the origin along +x."""
    r, tall, size = b.rng, beast.tall_m, beast.head * beast.tall_m
    up = np.array([np.cos(beast.lift_rad), 0, np.sin(beast.lift_rad)])
    nape = beast.neck * tall * up
    thick = max(0.3 * size, 0.24 * beast.stout * tall)
    b.rod(-0.12 * tall * up, nape, thick * 1.15, beast.fur, taper=0.72)
    nod = beast.lift_rad * 0.3 - r.uniform(0.1, 0.7)
    ahead = np.array([np.cos(nod), 0, np.sin(nod)])
    b.ellipsoid(
        nape + 0.12 * size * ahead, np.array([0.75, 0.56, 0.62]) * size, beast.fur, pitch=-nod
    )
    mouth = nape + r.uniform(0.55, 0.75) * size * ahead - np.array([0, 0, 0.06 * size])
    b.rod(nape + 0.25 * size * ahead, mouth, 0.23 * size, beast.fur, taper=0.65)
    b.ellipsoid(mouth, np.array([0.24, 0.3, 0.28]) * size, beast.dark)
    horns, ear = r.random() < 0.2, r.uniform(0.12, 0.32) * size
    for side in (-1, 1):
        root = nape + np.array([-0.08, side * 0.22, 0.24]) * size
        b.ellipsoid(root, np.array([0.5, 0.9, 1.1]) * ear, beast.dark)
        b.ellipsoid(
            nape + 0.36 * size * ahead + np.array([0, side * 0.2, 0.14]) * size,
            np.full(3, 0.07 * size),
            Material('plain', gloss=0.8).painted((0.03,) * 3),
        )
        if horns:
            way = r.uniform((-0.5, 0.1, 0.3), (0.1, 0.5, 1.0)) * (1, side, 1)
            b.rod(root, root + size * way, 0.06 * size, Material('bark', 0.3), taper=0.3)


def _limb(b: SceneBuilder, beast: Beast, hip: Float64Array, step: float, fore: bool) -> None:
    """Add a fore or hind leg from the hip (3,) to the ground."""
    thick = beast.limb * beast.tall_m
    foot = np.array([hip[0] + step, hip[1], thick * 0.7])
    knee = (hip + foot) / 2 + np.array([(0.05 if fore else -0.1) * beast.tall_m, 0, 0])
    b.ellipsoid(hip, np.array([4.0, 2.4, 4.6]) * thick, beast.fur)
    b.rod(hip, knee, 1.5 * thick, beast.fur, taper=0.66)
    b.rod(knee, foot, thick, beast.dark, taper=0.8)
    b.ellipsoid(
        foot + np.array([0.7 * thick, 0, -0.1 * thick]),
        np.array([3.2, 2.1, 1.4]) * thick,
        beast.dark,
    )
