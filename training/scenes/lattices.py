# SPDX-License-Identifier: Apache-2.0
"""Lattices of the training set: members thin and thick before much sky, most seen from below."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from training.scenes.gardens import fence
from training.scenes.trusses import (
    bridge,
    climbing_frames,
    laced,
    mast,
    scaffold,
    scaffolds,
    stand,
    steel_paint,
)
from videodepth_ros.synthetic import furniture as f
from videodepth_ros.synthetic.camera_path import Carrier, Stage, Zone
from videodepth_ros.synthetic.nature import bush, hill, tree
from videodepth_ros.synthetic.noise import neutral
from videodepth_ros.synthetic.open_air import building
from videodepth_ros.synthetic.people import walking_person
from videodepth_ros.synthetic.scene import Material, SceneBuilder
from videodepth_ros.synthetic.skies import open_sky

_GROUNDS = ('grass', 'grass', 'grass', 'asphalt', 'gravel', 'leaves', 'stones', 'plaster')


def lattice(b: SceneBuilder) -> Stage:
    """Build a coaster, towers, cranes, pylons, a bridge, scaffolds, a stand or climbing frames."""
    r = b.rng
    b.box((0, 0, -0.25), (900, 900, 0.5), Material(f.pick(b, *_GROUNDS), r.uniform(1.5, 6)))
    make = (
        _coaster,
        _coaster,
        _towers,
        _cranes,
        _pylons,
        bridge,
        scaffolds,
        stand,
        climbing_frames,
    )[int(r.integers(0, 9))]
    high, reach = make(b)
    _around(b, reach)
    steep = r.random() < 0.4
    eye = 0.35 if r.random() < 0.3 else r.uniform(0.9, 2.2)
    top = eye + (r.uniform(0, 0.8) * high if r.random() < 0.25 else 0.8)
    target = (0.0, 0.0, float(high * (r.uniform(0.4, 0.85) if steep else r.uniform(0.03, 0.4))))
    zone = Zone(
        (-reach, -reach, eye),
        (reach, reach, top),
        (-0.55, 0.55),
        (-0.25, 0.25),
        (0.2, 2.5),
        (Carrier.HAND, Carrier.HAND, Carrier.WHEELS, Carrier.FLIGHT, Carrier.STATIC),
        (0.5, 1.25),
        target,
    )
    size = max(reach, 0.7 * high)
    return b.build(open_sky(b, 800 + 40 * size), (-size, -size, -1), (size, size, high + 1)), zone


def _around(b: SceneBuilder, reach: float) -> None:
    """Add what stands on the ground: trees, bushes, a fence, houses, hills, people."""
    r = b.rng
    for _ in range(int(r.integers(0, 9))):
        angle, away = r.uniform(-np.pi, np.pi), reach * r.uniform(0.7, 3) + 3
        with b.at(away * np.cos(angle), away * np.sin(angle), 0, angle + np.pi):
            kind = r.random()
            if kind < 0.6:
                tree(b, r.uniform(3, 14))
            elif kind < 0.8:
                bush(b, r.uniform(0.5, 2.5))
            else:
                building(b, r.uniform(8, 20), 8, r.uniform(4, 12))
    if r.random() < 0.35:
        with b.at(r.uniform(0.5, 1.2) * reach, 0, 0, np.pi / 2 + r.normal(0, 0.3)):
            for k in range(-3, 3):
                with b.at(2.6 * k, 0):
                    fence(b, 2.6)
    if r.random() < 0.4:
        hill(b, r.uniform(80, 250), Material(f.pick(b, 'grass', 'leaves'), 8.0))
    for _ in range(int(r.integers(0, 3))):
        walking_person(b, (-reach, -reach), (reach, reach))


def _coaster(b: SceneBuilder) -> tuple[float, float]:
    """Return rails over hills and round bends on posts or trestles."""
    r = b.rng
    steel, rail = steel_paint(b), steel_paint(b)
    high = r.uniform(5, 28)
    timber = r.random() < 0.4
    for lane in range(int(r.integers(1, 3))):
        along = np.linspace(0, 1, int(r.integers(14, 24)))
        span = high * r.uniform(1.5, 3.5)
        bend, waves, phase = r.normal(0, 1.2), r.uniform(0.6, 2.2), r.uniform(0, 6.3)
        heading = r.uniform(0, 6.3) + bend * along
        step = span * np.diff(along, prepend=0)
        path = np.stack(
            [
                np.cumsum(step * np.cos(heading)),
                np.cumsum(step * np.sin(heading)),
                high * (0.55 + 0.42 * np.sin(2 * np.pi * waves * along + phase)),
            ],
            axis=1,
        )
        path[:, :2] -= path[:, :2].mean(axis=0) + (r.normal(0, 0.3, 2) + 0.4 * lane) * high
        gauge, bank = r.uniform(0.9, 1.8), r.normal(0, 0.5)
        left = (
            np.stack(
                [
                    -np.sin(heading) * np.cos(bank),
                    np.cos(heading) * np.cos(bank),
                    np.full(len(path), np.sin(bank)),
                ],
                axis=1,
            )
            * gauge
            / 2
        )
        under = path - np.array([0, 0, 0.7 * gauge])
        laced(b, np.stack([path + left, under, path - left], axis=1), r.uniform(0.08, 0.25), rail)
        for k in range(0, len(path), int(r.integers(1, 4))):
            with b.at(under[k, 0], under[k, 1], 0, float(heading[k])):
                (_trestle if timber else _support)(b, float(under[k, 2]), steel)
    return high, high * r.uniform(0.6, 1.1)


def _support(b: SceneBuilder, high: float, steel: Material) -> None:
    """Add under a rail: a post, a post with a stay, or a laced mast."""
    r, top = b.rng, np.array([0, 0, high])
    thick, kind = r.uniform(0.15, 0.5), r.random()
    if high < 1:
        return
    if kind < 0.25:
        mast(b, high, r.uniform(0.6, 2), 0.5, 0.4 * thick, steel)
        return
    b.rod((0, 0, 0), top, thick / 2, steel)
    if kind < 0.7:
        b.rod((0, r.choice([-1, 1]) * 0.35 * high, 0), 0.85 * top, thick / 3, steel)


def _trestle(b: SceneBuilder, high: float, steel: Material) -> None:
    """Add a bent across the rails: legs that lean, ledgers and a brace."""
    if high < 1:
        return
    wide, thick = 1.2 + 0.25 * high, b.rng.uniform(0.12, 0.3)
    rings = np.array(
        [
            [[0, -w, z * high], [0, w, z * high]]
            for z, w in zip(
                np.linspace(0, 1, 2 + int(high / 4)),
                np.linspace(wide, 0.8, 2 + int(high / 4)),
                strict=True,
            )
        ]
    )
    laced(b, rings, thick, steel)


def _towers(b: SceneBuilder) -> tuple[float, float]:
    """Return radio masts and look-outs, one near, perhaps more behind; or windmills."""
    r = b.rng
    high = r.uniform(6, 45)
    for k in range(int(r.integers(1, 4))):
        steel, foot = steel_paint(b), high * r.uniform(0.06, 0.3)
        x, y = k * r.uniform(-1.6, 1.6, 2) * high
        with b.at(x, y, 0, r.uniform(0, 1.6)):
            if r.random() < 0.2:
                _windmill(b, high, steel)
                continue
            mast(
                b,
                high,
                foot,
                foot * r.uniform(0.1, 0.9),
                r.uniform(0.01, 0.025) * high**0.7,
                steel,
            )
            with b.at(0, 0, high):
                if r.random() < 0.5:
                    wide = foot * r.uniform(0.8, 2)
                    b.box((0, 0, 0.1), (wide, wide, 0.2), f.wooden(b))
                    b.box(
                        (0, 0, 0.6),
                        (wide, wide, 1.1),
                        Material('metal', cutout='bars', cutout_scale_m=2.0),
                    )
                b.rod((0, 0, 0), (0, 0, 0.2 * high), 0.05, steel)
                for _ in range(int(r.integers(0, 5))):
                    angle = r.uniform(0, 6.3)
                    aloft = np.array([0, 0, -r.uniform(0, 0.4) * high])
                    out = np.array([np.cos(angle), np.sin(angle), 0]) * foot * 0.6
                    b.rod(out + aloft, 1.4 * out + aloft, 0.04 * high**0.7, f.hard(b))
            if r.random() < 0.4:
                for angle in np.arange(3) * 2.1 + 0.3:
                    foot_m = 0.7 * high * np.array([np.cos(angle), np.sin(angle), 0])
                    b.rod(foot_m, (0, 0, 0.9 * high), 0.012, steel)
    return high, high * r.uniform(0.3, 0.9)


def _windmill(b: SceneBuilder, high: float, steel: Material) -> None:
    b.rod((0, 0, 0), (0, 0, high), 0.035 * high, steel, taper=0.5)
    b.ellipsoid((0.02 * high, 0, high), np.array([0.14, 0.05, 0.05]) * high, steel)
    hub = np.array([0.07 * high, 0, high])
    for angle in b.rng.uniform(0, 2) + np.arange(3) * 2 * np.pi / 3:
        tip = np.array([0, np.cos(angle), np.sin(angle)]) * 0.5 * high
        b.rod(hub, hub + tip, 0.02 * high, steel, 0.2, 0.4)


def _cranes(b: SceneBuilder) -> tuple[float, float]:
    """Return tower cranes over a building site."""
    r = b.rng
    high = r.uniform(9, 34)
    for k in range(int(r.integers(1, 3))):
        steel, wide = steel_paint(b), r.uniform(0.9, 1.8)
        x, y = k * r.uniform(-1.2, 1.2, 2) * high
        with b.at(x, y, 0, r.uniform(0, 6.3)):
            mast(b, high, wide, wide, 0.12 * wide, steel)
            jib, back = high * r.uniform(0.6, 1.1), high * r.uniform(0.2, 0.35)
            rings = np.stack(
                [
                    np.array(
                        [[x, -wide / 2, high], [x, wide / 2, high], [x, 0, high + 0.9 * wide]]
                    )
                    for x in np.linspace(-back, jib, int(r.integers(7, 15)))
                ]
            )
            laced(b, rings, 0.1 * wide, steel)
            peak = np.array([0, 0, high + 3 * wide])
            b.rod((0, 0, high), peak, 0.08 * wide, steel)
            b.rod(peak, (0.7 * jib, 0, high + wide), 0.03, steel)
            b.rod(peak, (-back, 0, high + wide), 0.03, steel)
            b.box((-back * 0.85, 0, high - 0.6), (0.2 * back, wide, 1.6), Material('plaster', 2))
            b.box((wide, 0.8 * wide, high - 0.8), (1.4, 1.2, 1.8), f.hard(b))
            x, drop = r.uniform(0.3, 0.95) * jib, r.uniform(0.1, 0.85) * high
            b.rod((x, 0, high - drop), (x, 0, high), 0.03, steel)
            b.box((x, 0, high - drop), r.uniform(0.3, 1.6, 3), f.hard(b))
    if r.random() < 0.5:
        with b.at(-0.5 * high, 0.4 * high):
            scaffold(b, r.uniform(4, 10), r.uniform(4, 10))
    return high, high * r.uniform(0.4, 1.0)


def _pylons(b: SceneBuilder) -> tuple[float, float]:
    """Return a power line: laced pylons or wooden poles with sagging wires."""
    r = b.rng
    wooden = r.random() < 0.4
    high, apart = (
        (r.uniform(6, 10), r.uniform(18, 40))
        if wooden
        else (r.uniform(15, 38), r.uniform(50, 120))
    )
    steel, arms = steel_paint(b), int(r.integers(1, 4))
    widths = high * r.uniform(0.1, 0.3, arms) * (0.7 if wooden else 1)
    levels = high * np.linspace(0.97, 0.97 - 0.14 * (arms - 1), arms)
    with b.at(0, 0, 0, r.uniform(0, 6.3)):
        for x in np.array([-1, 0, 1]) * apart:
            with b.at(float(x), 0):
                if wooden:
                    b.rod((0, 0, 0), (0, 0, high), 0.14, Material('bark', 1.0), taper=0.7)
                else:
                    mast(b, high, 0.2 * high, 0.04 * high, 0.007 * high, steel)
                for z, wide in zip(levels, widths, strict=True):
                    b.box((0, 0, z), (0.15, 2 * wide, 0.15), steel)
                    for side in (-wide, wide):
                        b.rod((0, side, z - 0.03 * high), (0, side, z), 0.05, f.hard(b))
                        _wires(b, apart, side, z - 0.03 * high)
    return high, high * r.uniform(0.6, 1.4)


def _wires(b: SceneBuilder, apart: float, y: float, z: float) -> None:
    """Add a sagging wire to the next pylon along +x, as a chain of straight pieces."""
    wire = Material('plain', wear=0).painted(neutral(b.rng, 0.03, 0.4))
    u = np.linspace(0, 1, 6)
    points = np.stack([u * apart, 0 * u + y, z - 0.16 * apart * u * (1 - u)], axis=1)
    radius = 0.0008 * apart
    for start, end in pairwise(points):
        b.rod(start, end, radius, wire)
