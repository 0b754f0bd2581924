# SPDX-License-Identifier: Apache-2.0
"""Procedural textures of surfaces, one function each.

A painter returns a tileable (SIZE, SIZE, 3) float32 image of [0, 1]. Colours are display-referred
(sRGB), as they would be in a photograph of the surface.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from videodepth_ros.core.arrays import Float32Array
from videodepth_ros.synthetic.noise import (
    SIZE,
    cells,
    foliage,
    hsv,
    muted,
    neutral,
    spectral_noise,
    vivid,
    wood,
)

Rng = np.random.Generator
Painter = Callable[[Rng], Float32Array]


def _tone(colour: Float32Array, modulation: Float32Array) -> Float32Array:
    return np.clip(colour * (1.0 + modulation[..., None]), 0.0, 1.0)


def _grid(
    rng: Rng, columns: int, rows: int, shift: float
) -> tuple[Float32Array, Float32Array, Float32Array]:
    """Return offsets to the cell's border u, v of [0, 1] and an integer number of the cell."""
    v, u = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32) / SIZE
    row = np.floor(v * rows)
    u = u * columns + shift * (row % 2)
    column = np.floor(u) % columns
    return u - np.floor(u), v * rows - row, row * columns + column


def _joints(
    u: Float32Array, v: Float32Array, columns: int, rows: int, width: float
) -> Float32Array:
    """Return 1 in the joints between cells and 0 inside; width is a fraction of the tile."""
    du = np.minimum(u, 1 - u) / columns
    dv = np.minimum(v, 1 - v) / rows
    return np.clip(1.5 - np.minimum(du, dv) / width, 0.0, 1.0).astype(np.float32)


def _masonry(
    rng: Rng,
    columns: int,
    rows: int,
    shift: float,
    colour: Float32Array,
    spread: float,
    joint: Float32Array,
    width: float,
) -> Float32Array:
    u, v, cell = _grid(rng, columns, rows, shift)
    tones = rng.normal(0.0, spread, columns * rows + 1).astype(np.float32)
    hues = rng.normal(0.0, spread * 0.3, (columns * rows + 1, 3)).astype(np.float32)
    number = cell.astype(int)
    face = _tone(colour, tones[number] + 0.06 * spectral_noise(rng, 0.8)) + hues[number] * 0.5
    mask = _joints(u, v, columns, rows, width)[..., None]
    mortar = _tone(joint, 0.05 * spectral_noise(rng, 0.5))
    return np.clip(face * (1 - mask) + mortar * mask, 0, 1)


def plain(rng: Rng) -> Float32Array:
    """Paint nearly uniform paint with faint unevenness."""
    return _tone(neutral(rng, 0.75, 0.95), rng.uniform(0.005, 0.02) * spectral_noise(rng, 1.8))


def plaster(rng: Rng) -> Float32Array:
    """Paint rough plaster or concrete."""
    coarse = spectral_noise(rng, rng.uniform(1.0, 2.0)) * rng.uniform(0.01, 0.07)
    return _tone(neutral(rng, 0.4, 0.9), coarse + rng.uniform(0, 0.05) * spectral_noise(rng, 0.3))


def grain(rng: Rng) -> Float32Array:
    """Paint wood of furniture: fibres along u."""
    rings = (
        spectral_noise(rng, 1.6, 1.0, rng.uniform(0.06, 0.15))
        if rng.random() < 0.5
        else np.sin(3.0 * spectral_noise(rng, 2.2, 4.0, 0.6))
    )
    fibre = spectral_noise(rng, 0.7, 12.0, 1.0)
    return _tone(wood(rng), rng.uniform(0.03, 0.13) * rings + rng.uniform(0.02, 0.07) * fibre)


def planks(rng: Rng) -> Float32Array:
    """Paint floor boards, laid along u with staggered ends."""
    rows, columns = int(rng.integers(5, 15)), 1 + int(rng.random() < 0.25)
    image = _masonry(
        rng,
        columns,
        rows,
        rng.uniform(0.3, 0.7),
        wood(rng),
        rng.uniform(0.03, 0.16),
        np.full(3, rng.uniform(0.05, 0.3), np.float32),
        rng.uniform(0.001, 0.004),
    )
    return _tone(image, rng.uniform(0.02, 0.09) * spectral_noise(rng, 0.9, 8.0, 1.0))


def tiles(rng: Rng) -> Float32Array:
    """Paint square ceramic tiles with grout."""
    count = int(rng.integers(2, 9))
    return _masonry(
        rng,
        count,
        count,
        0.0,
        neutral(rng, 0.3, 0.95),
        rng.uniform(0.0, 0.08),
        neutral(rng, 0.2, 0.85),
        rng.uniform(0.003, 0.009),
    )


def bricks(rng: Rng) -> Float32Array:
    """Paint brickwork or paving."""
    rows = 2 * int(rng.integers(3, 8))
    colour = hsv(rng.uniform(0.0, 0.09), rng.uniform(0.15, 0.7), rng.uniform(0.35, 0.8))
    return _masonry(
        rng,
        rows // 2,
        rows,
        0.5,
        colour,
        rng.uniform(0.05, 0.2),
        neutral(rng, 0.4, 0.8),
        rng.uniform(0.004, 0.012),
    )


def carpet(rng: Rng) -> Float32Array:
    """Paint short-pile carpet: fine grain, often streaked along one axis."""
    streak = spectral_noise(rng, 0.5, rng.choice([1.0, 10.0, 30.0]), 1.0)
    return _tone(
        muted(rng),
        rng.uniform(0.05, 0.3) * streak + rng.uniform(0.03, 0.15) * spectral_noise(rng, 0.2),
    )


def stripes(rng: Rng) -> Float32Array:
    """Paint stripes of several colours and widths across u."""
    bands = int(rng.integers(4, 24))
    colours = np.stack(
        [muted(rng) if rng.random() < 0.7 else vivid(rng) for _ in range(int(rng.integers(2, 5)))]
    )
    order = rng.integers(0, len(colours), bands)
    row = colours[order[(np.arange(SIZE) * bands) // SIZE]]
    return _tone(np.repeat(row[None], SIZE, 0), 0.04 * spectral_noise(rng, 0.6))


def checker(rng: Rng) -> Float32Array:
    """Paint a checked cloth or floor."""
    count = 2 * int(rng.integers(1, 7))
    step = (np.arange(SIZE) * count) // SIZE
    mask = ((step[:, None] + step[None, :]) % 2)[..., None]
    image = np.where(mask, muted(rng), neutral(rng, 0.2, 0.95)).astype(np.float32)
    return _tone(image, 0.04 * spectral_noise(rng, 0.9))


def plaid(rng: Rng) -> Float32Array:
    """Paint woven cloth with crossing bands."""
    bands = int(rng.integers(6, 20))
    warp, weft = (
        rng.random((bands, 3)).astype(np.float32)[(np.arange(SIZE) * bands) // SIZE]
        for _ in range(2)
    )
    mixed = 0.5 * (warp[None] + weft[:, None])
    return np.clip(
        0.6 * mixed * muted(rng) * 1.6 + 0.2 + 0.04 * spectral_noise(rng, 0)[..., None], 0, 1
    )


def dots(rng: Rng) -> Float32Array:
    """Paint printed wallpaper or cloth: one motif repeated."""
    image = np.empty((SIZE, SIZE, 3), np.float32)
    image[:] = neutral(rng, 0.3, 0.95)
    colour = tuple(float(c) for c in muted(rng))
    count = int(rng.integers(2, 8))
    step = SIZE // count
    radius = int(step * rng.uniform(0.15, 0.4))
    for row in range(count + 1):
        for column in range(count + 1):
            centre = (column * step + step // 2 * (row % 2), row * step)
            if rng.random() < 0.97:
                cv2.circle(image, centre, max(radius, 1), colour, -1 if count % 2 else 2)
    return _tone(image, 0.03 * spectral_noise(rng, 1.0))


def marble(rng: Rng) -> Float32Array:
    """Paint veined stone, or worktops with clouds."""
    veins = np.exp(-np.abs(spectral_noise(rng, 1.7)) * rng.uniform(4, 14))
    return _tone(
        neutral(rng, 0.1, 0.95), rng.uniform(-0.5, 0.6) * veins + 0.08 * spectral_noise(rng, 1.3)
    )


def speckles(rng: Rng) -> Float32Array:
    """Paint terrazzo, granite, linoleum."""
    labels, _ = cells(rng, int(rng.integers(500, 5000)))
    tones = rng.normal(0, rng.uniform(0.05, 0.3), labels.max() + 1).astype(np.float32)
    return _tone(neutral(rng, 0.2, 0.85), tones[labels])


def stones(rng: Rng) -> Float32Array:
    """Paint a wall or a path of irregular stones."""
    labels, depth = cells(rng, int(rng.integers(20, 80)))
    tones = rng.normal(0, 0.13, labels.max() + 1).astype(np.float32)[labels]
    shade = np.clip(depth * 4, 0, 1) * 0.7 - 0.5
    return _tone(neutral(rng, 0.4, 0.75), tones + shade + 0.13 * spectral_noise(rng, 0.9))


def asphalt(rng: Rng) -> Float32Array:
    """Paint road surface: fine grit, patches and cracks."""
    crack = np.exp(-np.abs(spectral_noise(rng, 1.8)) * 40) * rng.uniform(0, 0.5)
    return _tone(
        neutral(rng, 0.25, 0.6),
        0.13 * spectral_noise(rng, 0.1)
        + rng.uniform(0.02, 0.1) * spectral_noise(rng, 1.7)
        - crack,
    )


def gravel(rng: Rng) -> Float32Array:
    """Paint pebbles, bark mulch, or soil."""
    labels, depth = cells(rng, int(rng.integers(600, 4000)))
    tones = rng.normal(0, 0.22, labels.max() + 1).astype(np.float32)[labels]
    colour = hsv(rng.uniform(0.03, 0.13), rng.uniform(0.05, 0.5), rng.uniform(0.35, 0.75))
    return _tone(colour, tones + 0.5 * np.minimum(depth, 0.6) - 0.3)


def grass(rng: Rng) -> Float32Array:
    """Paint meadow or lawn."""
    green = _tone(foliage(rng), 0.25 * spectral_noise(rng, 0.35) + 0.1 * spectral_noise(rng, 1.6))
    dry = np.clip(spectral_noise(rng, 0.6) - rng.uniform(0.6, 2.5), 0, 1)[..., None] * 0.6
    return np.clip(green * (1 - dry) + dry * hsv(0.12, 0.4, 0.6), 0, 1)


def leaves(rng: Rng) -> Float32Array:
    """Paint foliage seen from outside: light leaves over dark gaps."""
    labels, depth = cells(rng, int(rng.integers(500, 2500)))
    tones = rng.normal(0, 0.25, labels.max() + 1).astype(np.float32)[labels]
    fine = 0.15 * spectral_noise(rng, 0.4)
    return _tone(foliage(rng) * 1.15, tones + fine + 0.6 * np.minimum(depth, 0.8) - 0.25)


def bark(rng: Rng) -> Float32Array:
    """Paint bark: furrows along v."""
    furrow = np.abs(spectral_noise(rng, 1.0, 1.0, 5.0))
    return _tone(
        hsv(rng.uniform(0.04, 0.12), rng.uniform(0.1, 0.4), rng.uniform(0.3, 0.65)),
        0.25 * furrow - 0.2 + 0.1 * spectral_noise(rng, 0.4),
    )


def metal(rng: Rng) -> Float32Array:
    """Paint brushed, corrugated or rusty sheet."""
    brushed = 0.05 * spectral_noise(rng, 0.4, 20.0, 1.0)
    if rng.random() < 0.4:
        brushed = (
            brushed
            + rng.uniform(0.1, 0.35)
            * np.sin(
                np.arange(SIZE, dtype=np.float32) * 2 * np.pi * int(rng.integers(6, 24)) / SIZE
            )[None]
        )
    rust = np.clip(spectral_noise(rng, 1.6) - rng.uniform(0.5, 3.5), 0, 1)[..., None]
    return np.clip(
        _tone(neutral(rng, 0.3, 0.9), brushed) * (1 - rust) + rust * hsv(0.05, 0.7, 0.4), 0, 1
    )


def panels(rng: Rng) -> Float32Array:
    """Paint panelling: doors, cupboard fronts, suspended ceilings."""
    columns, rows = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    image = _masonry(
        rng,
        columns,
        rows,
        0.0,
        neutral(rng, 0.4, 0.95),
        0.02,
        np.full(3, rng.uniform(0.1, 0.5), np.float32),
        0.006,
    )
    u, v, _ = _grid(rng, columns, rows, 0.0)
    inner = np.minimum(np.minimum(u, 1 - u), np.minimum(v, 1 - v)) > rng.uniform(0.1, 0.2)
    return _tone(
        image,
        rng.uniform(-0.15, 0.1) * inner.astype(np.float32) + 0.015 * spectral_noise(rng, 1.5),
    )


SURFACES: dict[str, Painter] = {
    f.__name__: f
    for f in (
        plain,
        plaster,
        grain,
        planks,
        tiles,
        bricks,
        carpet,
        stripes,
        checker,
        plaid,
        dots,
        marble,
        speckles,
        stones,
        asphalt,
        gravel,
        grass,
        leaves,
        bark,
        metal,
        panels,
    )
}
