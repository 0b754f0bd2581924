# SPDX-License-Identifier: Apache-2.0
"""Trees, bushes, rocks, hills and tufts of grass."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from videodepth_ros.synthetic.noise import hsv
from videodepth_ros.synthetic.scene import Material, SceneBuilder


def _leaves(b: SceneBuilder, size_m: float) -> Material:
    r = b.rng
    autumn = 1.3 * hsv(r.uniform(0.02, 0.12), 0.6, 1.0)
    tint = r.uniform(0.6, 1.1, 3) if r.random() < 0.8 else autumn
    return Material(
        'leaves', r.uniform(0.6, 1.5), cutout='leaf', cutout_scale_m=size_m * r.uniform(0.5, 1.2)
    ).painted(np.clip(tint, 0, 1.3))


def tree(b: SceneBuilder, height: float) -> None:
    """Add a broad-leaved tree, a conifer or a bare one."""
    r = b.rng
    bark = Material('bark', r.uniform(0.6, 1.5))
    kind = r.random()
    girth = height * r.uniform(0.015, 0.035)
    if kind < 0.25:
        _conifer(b, height, girth, bark)
        return
    crown = height * r.uniform(0.35, 0.7)
    b.rod(
        (0, 0, 0),
        (r.normal(0, 0.1), r.normal(0, 0.1), height - crown * 0.6),
        girth,
        bark,
        taper=0.6,
    )
    for _ in range(int(r.integers(2, 6))):
        reach = r.uniform(-0.4, 0.4, 2) * crown
        b.rod(
            (0, 0, height - crown),
            (reach[0], reach[1], height - crown * 0.3),
            girth * 0.45,
            bark,
            taper=0.4,
        )
    if kind <= 0.93:
        _crown(b, height, crown)


def _conifer(b: SceneBuilder, height: float, girth: float, bark: Material) -> None:
    b.rod((0, 0, 0), (0, 0, height * 0.9), girth, bark, taper=0.3)
    leaf = _leaves(b, height * 0.25)
    for k in range(3):
        low, radius = height * (0.15 + 0.26 * k), height * (0.24 - 0.055 * k)
        b.rod((0, 0, low), (0, 0, low + height * 0.38), radius, leaf, taper=0.12)


def _crown(b: SceneBuilder, height: float, crown: float) -> None:
    r, leaf = b.rng, _leaves(b, height * 0.3)
    core, fringe = replace(leaf, cutout=None), replace(leaf, cutout='sparse')
    b.ellipsoid((0, 0, height - crown * 0.55), np.array([0.55, 0.55, 0.6]) * crown, core)
    for _ in range(int(r.integers(4, 10))):
        spot = r.uniform((-0.5, -0.5, -1.0), (0.5, 0.5, -0.1)) * crown
        spot[2] += height
        b.ellipsoid(
            spot,
            r.uniform(0.35, 0.85, 3) * crown,
            leaf if r.random() < 0.5 else fringe,
            yaw=r.uniform(0, 3),
            pitch=r.normal(0, 0.3),
        )


def bush(b: SceneBuilder, size: float) -> None:
    """Add a bush or a piece of hedge."""
    leaf = _leaves(b, size)
    b.ellipsoid((0, 0, size * 0.3), np.array([0.8, 0.8, 0.7]) * size, replace(leaf, cutout=None))
    for k in range(int(b.rng.integers(3, 7))):
        spot = b.rng.uniform((-0.5, -0.5, 0.2), (0.5, 0.5, 0.5)) * size
        b.ellipsoid(
            spot,
            b.rng.uniform(0.6, 1.1, 3) * size,
            leaf if k % 2 else replace(leaf, cutout='sparse'),
            yaw=b.rng.uniform(0, 3),
        )


def rock(b: SceneBuilder, size: float) -> None:
    """Add a boulder of several lumps."""
    stone = Material('plaster' if b.rng.random() < 0.6 else 'speckles', size * 1.5, wear=0.8)
    for _ in range(int(b.rng.integers(2, 5))):
        spot = b.rng.uniform((-0.4, -0.4, 0.0), (0.4, 0.4, 0.35)) * size
        extent = b.rng.uniform(0.5, 1.1, 3) * size
        place = b.box if b.rng.random() < 0.35 else b.ellipsoid
        place(spot, extent, stone, yaw=b.rng.uniform(0, 3), pitch=b.rng.normal(0, 0.5))


def hill(b: SceneBuilder, size: float, soil: Material) -> None:
    """Add a flat mound at a distance of about its size."""
    angle = b.rng.uniform(-np.pi, np.pi)
    away = size * b.rng.uniform(0.75, 1.6) + 4
    b.ellipsoid(
        (away * np.cos(angle), away * np.sin(angle), -0.05 * size),
        (size * b.rng.uniform(0.8, 1.6), size, size * b.rng.uniform(0.12, 0.5)),
        soil,
        yaw=angle,
    )


def grass_tufts(b: SceneBuilder, count: int, reach: float) -> None:
    """Add tufts on the ground around the origin."""
    blade = Material('grass', 0.4, cutout='sparse', cutout_scale_m=0.35)
    for _ in range(count):
        x, y = b.rng.uniform(-reach, reach, 2)
        b.ellipsoid((x, y, 0.08), b.rng.uniform(0.15, 0.6, 3), blade, yaw=b.rng.uniform(0, 3))
