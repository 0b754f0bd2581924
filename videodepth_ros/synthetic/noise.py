# SPDX-License-Identifier: Apache-2.0
"""Tileable noise fields and colours, the raw material of the procedural textures."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from videodepth_ros.core.arrays import Float32Array

SIZE = 256  # side of every texture in texels


@lru_cache(maxsize=64)
def _power_law(beta: float, stretch_u: float, stretch_v: float) -> Float32Array:
    u = np.fft.rfftfreq(SIZE)[None, :] * SIZE * stretch_u
    v = np.fft.fftfreq(SIZE)[:, None] * SIZE * stretch_v
    radius = np.sqrt(u * u + v * v)
    radius[0, 0] = np.inf
    return (np.maximum(radius, 1.0) ** -beta * np.isfinite(radius)).astype(np.float32)


def spectral_noise(
    rng: np.random.Generator, beta: float = 1.5, stretch_u: float = 1.0, stretch_v: float = 1.0
) -> Float32Array:
    """Return tileable (SIZE, SIZE) float32 noise of zero mean and unit deviation.

    The amplitude falls as frequency ** -beta; natural images have about 1 (Field 1987). A stretch
    above 1 smooths along that axis: fibres and grain.
    """
    spectrum = np.fft.rfft2(rng.standard_normal((SIZE, SIZE), np.float32))
    field = np.fft.irfft2(spectrum * _power_law(beta, stretch_u, stretch_v), (SIZE, SIZE))
    return (field / max(float(field.std()), 1e-9)).astype(np.float32)


def cells(rng: np.random.Generator, count: int) -> tuple[NDArray[np.int32], Float32Array]:
    """Return tileable Voronoi cells: labels (SIZE, SIZE) below ``count``, distance to the border.

    The distance is 0 on a border and about 1 in the middle of a cell.
    """
    points = rng.integers(0, SIZE, (count, 2))
    seeds = np.full((3 * SIZE, 3 * SIZE), 255, np.uint8)
    for du in (0, SIZE, 2 * SIZE):
        for dv in (0, SIZE, 2 * SIZE):
            seeds[points[:, 0] + du, points[:, 1] + dv] = 0
    _, nearest = cv2.distanceTransformWithLabels(
        seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    border = (nearest != np.roll(nearest, 1, 0)) | (nearest != np.roll(nearest, 1, 1))
    inside = cv2.distanceTransform((~border).astype(np.uint8), cv2.DIST_L2, 5)
    centre = slice(SIZE, 2 * SIZE)
    labels = nearest[centre, centre].astype(np.int64) * 2654435761 % 9973 % count
    depth = inside[centre, centre] / max(SIZE / np.sqrt(count) / 2, 1.0)
    return labels.astype(np.int32), np.minimum(depth, 1.0).astype(np.float32)


def hsv(hue: float, saturation: float, value: float) -> Float32Array:
    """Return one (3,) colour of [0, 1] from hue, saturation and value of [0, 1]."""
    phase = (np.array([5.0, 3.0, 1.0]) + hue % 1.0 * 6.0) % 6.0
    ramp = np.clip(np.minimum(phase, 4.0 - phase), 0.0, 1.0)
    return (value * (1.0 - saturation * ramp)).astype(np.float32)


def _hue(rng: np.random.Generator) -> float:
    """Return a hue of made things: mostly reds, yellows and blues."""
    if rng.random() < 0.3:
        return float(rng.random())
    centre, spread = ((0.02, 0.03), (0.1, 0.04), (0.6, 0.05))[int(rng.integers(0, 3))]
    return float(rng.normal(centre, spread))


def neutral(rng: np.random.Generator, low: float = 0.5, high: float = 0.95) -> Float32Array:
    """Return a near-grey (3,) colour, as painted walls have."""
    return hsv(
        rng.uniform(0.02, 0.16) if rng.random() < 0.7 else rng.random(),
        abs(rng.normal(0.0, 0.1)),
        rng.uniform(low, high),
    )


def muted(rng: np.random.Generator) -> Float32Array:
    """Return a (3,) colour of fabrics, paint and cars: mostly unsaturated."""
    return hsv(_hue(rng), 0.8 * rng.beta(1.2, 2.6), rng.uniform(0.12, 0.92))


def vivid(rng: np.random.Generator) -> Float32Array:
    """Return a saturated (3,) colour, of print, toys and signs."""
    return hsv(_hue(rng), rng.uniform(0.4, 0.92), rng.uniform(0.35, 0.95))


def wood(rng: np.random.Generator) -> Float32Array:
    """Return a (3,) colour of wood, from pale birch to dark walnut."""
    return hsv(rng.uniform(0.04, 0.12), rng.uniform(0.2, 0.75), rng.uniform(0.25, 0.9))


def foliage(rng: np.random.Generator) -> Float32Array:
    """Return a (3,) green, sometimes yellowish or bluish."""
    return hsv(rng.normal(0.24, 0.05), rng.uniform(0.2, 0.62), rng.uniform(0.25, 0.6))
