# SPDX-License-Identifier: Apache-2.0
"""Parts of buildings: walls with openings, windows, doors, curtains, stairs, railings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from videodepth_ros.synthetic.furniture import cloth, hard, pick, wooden
from videodepth_ros.synthetic.noise import muted, neutral
from videodepth_ros.synthetic.scene import Material, SceneBuilder

WALL_M = 0.16


@dataclass(frozen=True)
class Opening:
    """A hole in a wall: centre along it, width, and the heights where it begins and ends."""

    along_m: float
    width_m: float
    bottom_m: float
    top_m: float
    glazed: bool = True


def wall_paint(b: SceneBuilder) -> Material:
    """Return plain paint most often; else paper, plaster, brick, tiles, panels or wood."""
    kind = pick(
        b,
        'plain',
        'plain',
        'plain',
        'plaster',
        'plaster',
        'dots',
        'stripes',
        'bricks',
        'tiles',
        'panels',
        'planks',
        'marble',
    )
    scale = {
        'tiles': 0.9,
        'bricks': 1.0,
        'panels': 1.6,
        'planks': 1.4,
        'plain': 3.0,
        'plaster': 2.5,
    }.get(kind, 0.8) * b.rng.uniform(0.7, 1.4)
    material = Material(kind, scale, gloss=b.rng.choice([0.0, 0.05, 0.2]), wear=0.35)
    if kind == 'stripes':
        return material.painted(neutral(b.rng, 0.7, 1))
    return material.painted(neutral(b.rng, 0.6, 1.0)) if b.rng.random() < 0.6 else material


def floor_cover(b: SceneBuilder) -> Material:
    """Return boards, tiles, carpet, stone or plain lino."""
    kind = pick(
        b,
        'planks',
        'planks',
        'planks',
        'carpet',
        'carpet',
        'tiles',
        'speckles',
        'marble',
        'checker',
        'plaster',
    )
    scale = {'planks': 1.3, 'carpet': 0.7, 'tiles': 1.6}.get(kind, 1.2) * b.rng.uniform(0.7, 1.5)
    gloss = 0.0 if kind == 'carpet' else b.rng.uniform(0.0, 0.7)
    return Material(kind, scale, gloss=gloss, wear=0.4)


def wall(
    b: SceneBuilder,
    start: tuple[float, float],
    end: tuple[float, float],
    height: float,
    paint: Material,
    openings: tuple[Opening, ...] = (),
    skirting: Material | None = None,
) -> None:
    """Add a wall from start to end (x, y) with openings; its room side is to the left."""
    along = np.subtract(end, start)
    length, yaw = float(np.hypot(*along)), float(np.arctan2(along[1], along[0]))
    tile = b.atlas.pick(paint.texture, b.rng)

    def slab(left: float, right: float, bottom: float, top: float) -> None:
        if right - left > 1e-3 and top - bottom > 1e-3:
            b.box(
                ((left + right) / 2, -WALL_M / 2, (bottom + top) / 2),
                (right - left, WALL_M, top - bottom),
                paint,
                tile=tile,
            )

    with b.at(start[0], start[1], 0.0, yaw):
        cursor = -WALL_M
        for hole in sorted(openings, key=lambda o: o.along_m):
            left, right = hole.along_m - hole.width_m / 2, hole.along_m + hole.width_m / 2
            slab(cursor, left, 0, height)
            slab(left, right, 0, hole.bottom_m)
            slab(left, right, hole.top_m, height)
            if hole.glazed:
                _window(b, hole)
            cursor = right
        slab(cursor, length + WALL_M, 0, height)
        if skirting is not None and not openings:
            b.box((length / 2, 0.008, 0.05), (length, 0.016, 0.1), skirting)


def _window(b: SceneBuilder, hole: Opening) -> None:
    frame = Material('plain', gloss=0.3).painted(neutral(b.rng, 0.1, 0.98))
    middle = (hole.bottom_m + hole.top_m) / 2
    tall = hole.top_m - hole.bottom_m
    for side in (-1, 1):
        b.box(
            (hole.along_m + side * (hole.width_m / 2 - 0.03), -0.06, middle),
            (0.06, 0.06, tall),
            frame,
        )
        b.box(
            (hole.along_m, -0.06, middle + side * (tall / 2 - 0.03)),
            (hole.width_m, 0.06, 0.06),
            frame,
        )
    bars = int(b.rng.integers(0, 3))
    for k in range(bars):
        x = hole.along_m + ((k + 1) / (bars + 1) - 0.5) * hole.width_m
        b.box((x, -0.06, middle), (0.05, 0.04, tall), frame)
    if b.rng.random() < 0.5:
        b.box((hole.along_m, 0.05, hole.bottom_m - 0.02), (hole.width_m + 0.1, 0.2, 0.04), frame)
    if b.rng.random() < 0.55:
        curtain(b, hole)


def curtain(b: SceneBuilder, hole: Opening) -> None:
    """Add curtains beside an opening, in folds, from a rail to the floor; or a blind."""
    material = cloth(b)
    top = hole.top_m + 0.15
    if b.rng.random() < 0.3:
        drop = b.rng.uniform(0.2, 0.7) * (hole.top_m - hole.bottom_m)
        b.box((hole.along_m, 0.04, top - drop / 2), (hole.width_m + 0.1, 0.02, drop), material)
        return
    bottom = 0.02 if b.rng.random() < 0.6 else hole.bottom_m - 0.15
    b.rod(
        (hole.along_m - hole.width_m * 0.75, 0.1, top),
        (hole.along_m + hole.width_m * 0.75, 0.1, top),
        0.015,
        hard(b),
    )
    for side in (-1, 1):
        folds = int(b.rng.integers(3, 7))
        width = hole.width_m * b.rng.uniform(0.15, 0.35)
        for k in range(folds):
            x = hole.along_m + side * (hole.width_m * 0.62 - (k + 0.5) * width / folds)
            radius = width / folds * b.rng.uniform(0.5, 0.65)
            b.rod(
                (x, 0.1, bottom),
                (x + b.rng.normal(0, 0.01), 0.1, top),
                radius,
                material,
                taper=0.8,
                flat=b.rng.uniform(0.8, 1.6),
            )


def door(b: SceneBuilder, width: float = 0.9, height: float = 2.05) -> None:
    """Add a closed door with frame and handle on a wall: back at x = 0, foot at z = 0."""
    leaf = Material(pick(b, 'panels', 'grain', 'plain'), None, gloss=0.2).painted(
        neutral(b.rng, 0.4, 1) if b.rng.random() < 0.7 else muted(b.rng)
    )
    frame = Material('plain').painted(neutral(b.rng, 0.2, 0.98))
    b.box((0.02, 0, height / 2), (0.04, width, height), leaf)
    for side in (-1, 1):
        b.box((0.03, side * (width / 2 + 0.04), height / 2), (0.07, 0.08, height + 0.08), frame)
    b.box((0.03, 0, height + 0.04), (0.07, width + 0.16, 0.08), frame)
    b.rod(
        (0.09, width * 0.38, 1.02),
        (0.09, width * 0.26, 1.02),
        0.012,
        Material('metal', 0.3, gloss=0.8),
    )


def radiator(b: SceneBuilder, width: float) -> None:
    """Add a radiator on a wall; its back is at x = 0."""
    white = Material('plain', gloss=0.3).painted(neutral(b.rng, 0.75, 1))
    ribs = max(3, int(width / 0.1))
    for k in range(ribs):
        b.box(
            (0.07, (k + 0.5) * width / ribs - width / 2, 0.42),
            (0.08, width / ribs * 0.7, 0.55),
            white,
        )


def ceiling_light(b: SceneBuilder, height: float) -> None:
    """Add a hanging or flush lamp under a ceiling at ``height``."""
    glow = Material('plain', glow=b.rng.uniform(1.5, 5), wear=0.0)
    if b.rng.random() < 0.5:
        drop = b.rng.uniform(0.3, 0.9)
        b.rod((0, 0, height - drop), (0, 0, height), 0.008, hard(b))
        b.rod((0, 0, height - drop - 0.2), (0, 0, height - drop), 0.2, hard(b), taper=0.35)
        b.ellipsoid((0, 0, height - drop - 0.2), (0.15, 0.15, 0.15), glow)
    else:
        size = (b.rng.uniform(0.2, 1.2), b.rng.uniform(0.2, 0.6), 0.04)
        b.box((0, 0, height - 0.02), size, glow)


def stairs(b: SceneBuilder, steps: int, width: float) -> None:
    """Add a flight rising along +x from the origin, with a railing on both sides."""
    tread = floor_cover(b)
    rise, run = b.rng.uniform(0.15, 0.19), b.rng.uniform(0.25, 0.32)
    for k in range(steps):
        b.box(((k + 0.5) * run, 0, (k + 1) * rise / 2), (run, width, (k + 1) * rise), tread)
    for side in (-1, 1):
        with b.at(0, side * width / 2):
            railing(b, steps * run, steps * rise)


def railing(b: SceneBuilder, length: float, climb: float = 0.0) -> None:
    """Add a railing along +x with posts, as thin as they come."""
    metal = hard(b)
    posts = max(2, round(length / b.rng.uniform(0.15, 0.9)))
    for k in range(posts + 1):
        x, z = k * length / posts, k * climb / posts
        b.rod((x, 0, z), (x, 0, z + 0.95), 0.014, metal)
    for lift in (0.95, 0.5):
        b.rod((0, 0, lift), (length, 0, climb + lift), 0.022, metal)


def picture_on_wall(b: SceneBuilder) -> None:
    """Add a framed picture, a notice or a clock: back at x = 0, centre at the origin."""
    width, height = b.rng.uniform(0.2, 1.2), b.rng.uniform(0.2, 0.9)
    if b.rng.random() < 0.1:
        b.rod((0, 0, 0), (0.04, 0, 0), 0.16, Material('document', None))
        return
    frame = wooden(b)
    depth = b.rng.uniform(0.01, 0.05)
    b.box((depth / 2, 0, 0), (depth, width, height), frame)
    b.box(
        (depth, 0, 0),
        (0.006, width * 0.9, height * 0.9),
        Material(
            pick(b, 'picture', 'landscape', 'document', 'picture'),
            None,
            gloss=b.rng.choice([0.0, 0.4]),
        ),
    )
