# SPDX-License-Identifier: Apache-2.0
"""Skies of any day: deep blue, hazy white, overcast or dusk, with clouds from puffs to cover."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from videodepth_ros.core.arrays import Float32Array, Float64Array
from videodepth_ros.synthetic.noise import SIZE, spectral_noise
from videodepth_ros.synthetic.scene import Clouds, Lights, SceneBuilder

_HORIZON = 0.12  # added to the sine of the elevation, so that clouds do not shrink without end


@lru_cache(maxsize=1)
def _field() -> Float32Array:
    """Return tileable (SIZE, SIZE) float32 noise, uniform in [0, 1]."""
    noise = spectral_noise(np.random.default_rng(41), 1.9)
    rank = np.empty(noise.size, np.float32)
    rank[np.argsort(noise, axis=None)] = np.linspace(0, 1, noise.size, dtype=np.float32)
    return rank.reshape(SIZE, SIZE)


def _sampled(u: Float32Array, v: Float32Array) -> Float32Array:
    """Return the field at (N,) coordinates in tiles, (N,) float32."""
    count, width = len(u), 512
    maps = np.zeros((2, -(-count // width) * width), np.float32)
    maps[0, :count], maps[1, :count] = (u - np.floor(u)) * SIZE, (v - np.floor(v)) * SIZE
    column, row = maps.reshape(2, -1, width)
    out = cv2.remap(_field(), column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    return np.asarray(out, np.float32).ravel()[:count]


def add_clouds(clouds: Clouds, direction: Float32Array, clear: Float32Array) -> Float32Array:
    """Return radiance (N, 3) of a clear sky (N, 3) in unit directions (N, 3) behind clouds."""
    up = np.clip(direction[:, 2], 0, 1) + np.float32(_HORIZON)
    shift = np.array(clouds.offset, np.float32)
    u, v = (direction[:, i] / up / np.float32(clouds.scale) + shift[i] for i in (0, 1))
    rough = np.float32(clouds.roughness)
    thick = (_sampled(u, v) + rough * _sampled(4.3 * u, 4.3 * v + 0.3)) / (1 + rough)
    edge = np.float32(clouds.edge)
    above = thick - (1 + edge / 2 - np.float32(clouds.cover) * (1 + edge))
    opacity = np.clip(above / edge + np.float32(0.5), 0, 1)
    opacity = (opacity * opacity * (3 - 2 * opacity))[:, None]
    dim = np.exp(-np.float32(clouds.depth) * np.maximum(above, 0))[:, None]
    white = opacity * dim * np.array(clouds.colour, np.float32)
    return np.asarray(clear * (1 - opacity) + white, np.float32)


def open_sky(b: SceneBuilder, haze_m: float = 3000.0) -> Lights:
    """Return sun, sky and clouds of a random day or evening."""
    r = b.rng
    kind = int(r.choice(6, p=[0.3, 0.16, 0.12, 0.16, 0.16, 0.1]))
    low = kind == 5
    elevation = r.uniform(0.03, 0.2) if low else r.uniform(0.25, 1.25)
    azimuth = r.uniform(-np.pi, np.pi)
    direction = (
        float(np.cos(azimuth) * np.cos(elevation)),
        float(np.sin(azimuth) * np.cos(elevation)),
        float(np.sin(elevation)),
    )
    zenith, horizon, cover = _colours(b, kind)
    level = float(zenith.mean() + horizon.mean()) / 2
    warm = np.array([1.0, 0.6, 0.35]) if low else np.array([1.0, 0.95, 0.87])
    sun = r.uniform(0.2, 0.9) * warm if low else r.uniform(1.2, 3.5) * warm
    dull = kind == 3 or (kind == 2 and r.random() < 0.5) or r.random() < 0.1
    ambient = level * r.uniform(0.3, 1.2) * np.array([0.92, 0.98, 1.08])
    white = (
        (horizon + 0.3 * sun) * r.uniform(0.5, 1)
        if low or dull
        else np.array([1.0, 1.0, 1.0]) * r.uniform(0.75, 1.3)
    )
    clouds = Clouds(
        cover,
        r.uniform(0.05, 0.3) if kind != 3 else r.uniform(0.3, 1.2),
        float(np.exp(r.uniform(np.log(0.8), np.log(6)))),
        r.uniform(0.1, 0.7),
        r.uniform(0, 0.5) if kind in (0, 1) else r.uniform(0, 1.8),
        (float(white[0]), float(white[1]), float(white[2])),
        (float(r.random()), float(r.random())),
    )
    return Lights(
        tuple(ambient),
        direction,
        (0.0, 0.0, 0.0) if dull else tuple(sun),
        (),
        tuple(zenith),
        tuple(horizon),
        0.0,
        haze_m * r.uniform(0.15, 2.0),
        r.uniform(0.5, 1.2) if r.random() < 0.85 else 0.0,
        clouds,
    )


def _colours(b: SceneBuilder, kind: int) -> tuple[Float64Array, Float64Array, float]:
    """Return the linear colours of zenith and horizon (3,) and how much clouds cover.

    kind  0 deep blue, 1 pale blue, 2 hazy white, 3 overcast, 4 broken clouds, 5 dusk
    """
    r = b.rng
    pale = np.array([0.8, 0.9, 1.0])
    deep = r.uniform((0.015, 0.06, 0.25), (0.1, 0.22, 0.65))
    if kind in (0, 4):
        horizon = deep + r.uniform(0.05, 0.7) * (pale - deep)
        return deep, horizon, r.uniform(0.3, 0.8) if kind == 4 else max(0.0, r.uniform(-0.1, 0.35))
    if kind == 1:
        zenith = deep + r.uniform(0.2, 0.6) * (pale - deep)
        return zenith, zenith + r.uniform(0.2, 0.9) * (pale - zenith), r.uniform(0, 0.4)
    if kind == 5:
        zenith = r.uniform((0.03, 0.04, 0.1), (0.2, 0.2, 0.4))
        return zenith, r.uniform((0.3, 0.15, 0.08), (1.0, 0.6, 0.5)), r.uniform(0, 0.7)
    grey = r.uniform(0.3, 1.1) * r.uniform((0.92, 0.96, 1.0), (1.0, 1.0, 1.0))
    return (
        grey,
        grey * r.uniform(0.85, 1.2),
        r.uniform(0, 0.4) if kind == 2 else r.uniform(0.8, 1.0),
    )
