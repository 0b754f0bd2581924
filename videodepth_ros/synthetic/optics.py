# SPDX-License-Identifier: Apache-2.0
"""Camera simulation: exposure, white balance, blur, noise, tone curve, JPEG."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from videodepth_ros.core.arrays import Float32Array


@dataclass(frozen=True)
class Optics:
    """Image quality of a camera; amounts are relative to full scale.

    target         mean brightness after auto exposure
    balance (3,)   gain of each colour;  gamma  display exponent;  contrast  of the S curve
    blur_px        deviation of the lens blur;  vignette  loss in the corners
    noise          deviation at full scale;  jpeg  quality, or 0 for none
    drift          slow change of exposure and balance;  bloom  share of glare
    """

    target: float
    balance: tuple[float, float, float]
    gamma: float
    contrast: float
    saturation: float
    blur_px: float
    vignette: float
    noise: float
    jpeg: int
    drift: float
    bloom: float
    phase: float


def random_optics(rng: np.random.Generator) -> Optics:
    """Draw a camera: a third of them good, the others with faults."""
    good = rng.random() < 0.33
    warm = rng.normal(0, 0.05 if good else 0.1)
    return Optics(
        target=rng.uniform(0.42, 0.66),
        balance=(1 + warm, 1 + rng.normal(0, 0.02), 1 - warm),
        gamma=rng.uniform(1.9, 2.5),
        contrast=rng.uniform(0.0, 0.5),
        saturation=rng.uniform(0.6, 1.3),
        blur_px=0.0 if good else rng.uniform(0.2, 0.9),
        vignette=rng.uniform(0, 0.12 if good else 0.4),
        noise=rng.uniform(0.002, 0.01) if good else rng.uniform(0.004, 0.035),
        jpeg=0 if rng.random() < 0.3 else int(rng.integers(45, 97)),
        drift=rng.uniform(0, 0.06),
        bloom=rng.uniform(0, 0.12),
        phase=rng.uniform(0, 6.28),
    )


def auto_exposure_gain(radiance: Float32Array, optics: Optics) -> float:
    """Return the gain that brings the (H, W, 3) radiance to the camera's target brightness."""
    grey = radiance.mean(axis=-1)
    limited = np.minimum(grey, 3 * np.median(grey) + 0.5 * grey.mean())
    return float(optics.target**2.2 / max(float(limited.mean()), 1e-5))


def simulate_camera(
    radiance: Float32Array,
    gain: float,
    optics: Optics,
    time_s: float,
    motion_px: tuple[float, float],
    rng: np.random.Generator,
) -> NDArray[np.uint8]:
    """Return the (H, W, 3) uint8 image of linear radiance (H, W, 3).

    motion_px  how far the image moves during the exposure, across and down
    """
    wander = 1 + optics.drift * np.sin(0.7 * time_s + optics.phase)
    tint = 1 + 0.5 * optics.drift * np.sin(0.31 * time_s + optics.phase * np.array([1, 2, 3]))
    light = radiance * (np.array(optics.balance) * tint * gain * wander).astype(np.float32)
    light = np.minimum(light, 6.0)
    if optics.bloom > 0.02:
        small = cv2.resize(light, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
        glare = cv2.resize(cv2.GaussianBlur(small, (0, 0), 4), light.shape[1::-1])
        light = light * (1 - optics.bloom) + glare * optics.bloom
    light = _smear(light, motion_px)
    if optics.blur_px > 0:
        light = cv2.GaussianBlur(light, (0, 0), optics.blur_px * light.shape[1] / 320)
    light = light * _vignette(light.shape[0], light.shape[1], optics.vignette)
    grain = rng.standard_normal(light.shape, np.float32) * np.float32(optics.noise)
    light = np.clip(light + grain * (0.25 + np.sqrt(np.clip(light, 0, 1))), 0, None)
    tone = np.clip(light, 0, 1) ** np.float32(1 / optics.gamma)
    curve = tone * tone * (3 - 2 * tone)
    tone = tone + optics.contrast * (curve - tone)
    grey = tone.mean(axis=-1, keepdims=True)
    tone = grey + optics.saturation * (tone - grey)
    return _compress(np.clip(tone * 255 + 0.5, 0, 255).astype(np.uint8), optics.jpeg)


def _smear(light: Float32Array, motion_px: tuple[float, float]) -> Float32Array:
    length = float(np.hypot(*motion_px))
    if length < 0.8:
        return light
    reach = int(min(length, 24) // 2 + 1)
    scale = min(1.0, 24 / length) / 2
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    for step in np.linspace(-scale, scale, 4 * reach):
        kernel[round(reach + step * motion_px[1]), round(reach + step * motion_px[0])] += 1
    smeared = cv2.filter2D(light, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE)
    return np.asarray(smeared, np.float32)


def _vignette(height: int, width: int, amount: float) -> Float32Array:
    row = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    column = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    falloff = 1 - np.float32(amount) * (row * row + column * column) / 2
    return falloff[..., None].astype(np.float32)


def _compress(image: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    if quality <= 0:
        return image
    ok, data = cv2.imencode('.jpg', image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert ok
    decoded = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return np.ascontiguousarray(decoded[..., ::-1])
