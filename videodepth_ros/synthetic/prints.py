# SPDX-License-Identifier: Apache-2.0
"""Textures that carry drawings: pictures, documents, book spines, screens, facades, clouds.

As in textures.py, each function paints one (SIZE, SIZE, 3) float32 image of [0, 1].
"""

from __future__ import annotations

import cv2
import numpy as np

from videodepth_ros.core.arrays import Float32Array
from videodepth_ros.synthetic.noise import (
    SIZE,
    foliage,
    hsv,
    muted,
    neutral,
    spectral_noise,
    vivid,
)
from videodepth_ros.synthetic.textures import Painter, Rng


def _rgb(colour: Float32Array) -> tuple[float, float, float]:
    return float(colour[0]), float(colour[1]), float(colour[2])


def _canvas(colour: Float32Array) -> Float32Array:
    return np.ones((SIZE, SIZE, 3), np.float32) * colour.astype(np.float32)


def _gradient(rng: Rng) -> Float32Array:
    """Return a smooth field between two colours, like an out-of-focus photograph."""
    field = 1 / (1 + np.exp(-2 * spectral_noise(rng, rng.uniform(1.6, 2.6))))
    share = field[..., None].astype(np.float32)
    return _canvas(muted(rng)) * share + _canvas(vivid(rng)) * (1 - share)


def _text(rng: Rng, image: Float32Array, left: int, top: int, right: int, bottom: int) -> None:
    """Draw text-like lines of word-like bars into the rectangle, in place."""
    height = int(rng.integers(3, 12))
    ink = _rgb(neutral(rng, 0.0, 0.35) if rng.random() < 0.8 else vivid(rng))
    for row in range(top + height, bottom, int(height * 1.9) + 1):
        column = left
        end = right if rng.random() < 0.8 else left + int((right - left) * rng.uniform(0.2, 0.8))
        while column < end:
            word = int(height * rng.uniform(0.8, 4.0))
            if height < 7:
                cv2.line(
                    image, (column, row), (min(column + word, end), row), ink, max(height // 2, 1)
                )
            else:
                cv2.putText(
                    image,
                    'aeioncdrstlmuhg'[rng.integers(0, 12) :][:3],
                    (column, row),
                    cv2.FONT_HERSHEY_SIMPLEX,
                    height / 24,
                    ink,
                    1,
                    cv2.LINE_AA,
                )
            column += word + height


def _shapes(rng: Rng, image: Float32Array, count: int) -> None:
    for _ in range(count):
        colour = _rgb(vivid(rng) if rng.random() < 0.6 else neutral(rng, 0.05, 0.95))
        centre = (int(rng.integers(0, SIZE)), int(rng.integers(0, SIZE)))
        reach = int(SIZE * rng.uniform(0.05, 0.35))
        kind = rng.integers(0, 4)
        if kind == 0:
            cv2.circle(image, centre, reach, colour, -1, cv2.LINE_AA)
        elif kind == 1:
            end = (centre[0] + reach, centre[1] + int(reach * rng.uniform(0.2, 2)))
            cv2.rectangle(image, centre, end, colour, -1)
        elif kind == 2:
            corners = np.array(centre) + rng.integers(-reach, reach, (3, 2))
            cv2.fillPoly(image, [corners.astype(np.int32)], colour, cv2.LINE_AA)
        else:
            cv2.ellipse(
                image,
                centre,
                (reach, reach // 2),
                float(rng.uniform(0, 180)),
                0,
                360,
                colour,
                int(rng.integers(1, 9)),
                cv2.LINE_AA,
            )


def picture(rng: Rng) -> Float32Array:
    """Paint a framed picture or poster."""
    image = _gradient(rng)
    _shapes(rng, image, int(rng.integers(0, 14)))
    if rng.random() < 0.4:
        _text(rng, image, 20, int(rng.integers(20, 180)), 236, 240)
    if rng.random() < 0.6:
        cv2.rectangle(
            image,
            (0, 0),
            (SIZE - 1, SIZE - 1),
            _rgb(neutral(rng, 0.02, 0.98)),
            int(rng.integers(6, 40)),
        )
    return np.clip(image + 0.02 * spectral_noise(rng, 0.5)[..., None], 0, 1)


def landscape(rng: Rng) -> Float32Array:
    """Paint a photograph-like picture: sky, ridges, ground."""
    image = _canvas(hsv(rng.uniform(0.5, 0.62), rng.uniform(0.1, 0.6), 0.9))
    columns = np.arange(SIZE)
    for layer in range(int(rng.integers(2, 6))):
        ridge = 60 + 36 * layer + 14 * spectral_noise(rng, 1.5)[0] * rng.uniform(0.3, 1.2)
        colour = foliage(rng) if rng.random() < 0.6 else muted(rng)
        mask = columns[:, None] > ridge[None, :]
        image[mask] = (colour * (1 + 0.15 * spectral_noise(rng, 1.0)[..., None]))[mask]
    return np.clip(image, 0, 1)


def document(rng: Rng) -> Float32Array:
    """Paint a sheet, a magazine page, a label."""
    image = _canvas(neutral(rng, 0.8, 1.0) if rng.random() < 0.75 else vivid(rng))
    if rng.random() < 0.6:
        _text(rng, image, 20, 10, 236, 60)
    if rng.random() < 0.5:
        patch = _gradient(rng)
        image[70:150, 20:120] = patch[70:150, 20:120]
        _text(rng, image, 130, 66, 240, 150)
    _text(rng, image, 20, 155, 236, 245)
    return np.clip(image, 0, 1)


def books(rng: Rng) -> Float32Array:
    """Paint a row of book spines, upright, v down."""
    image = _canvas(neutral(rng, 0.03, 0.2))
    left = 0
    while left < SIZE:
        width = int(rng.integers(6, 30))
        top = int(rng.integers(0, 90))
        colour = vivid(rng) if rng.random() < 0.5 else muted(rng)
        cv2.rectangle(image, (left, top), (left + width - 2, SIZE), _rgb(colour), -1)
        for _ in range(int(rng.integers(0, 4))):
            row = int(rng.integers(top, SIZE))
            bottom = row + int(rng.integers(2, 40))
            cv2.rectangle(
                image,
                (left + 2, row),
                (left + width - 4, bottom),
                _rgb(neutral(rng, 0.1, 1.0)),
                -1 if rng.random() < 0.5 else 1,
            )
        left += width
    return image


def screen(rng: Rng) -> Float32Array:
    """Paint a monitor: windows with text, or a film."""
    if rng.random() < 0.4:
        return landscape(rng)
    image = _canvas(vivid(rng) * 0.7)
    for _ in range(int(rng.integers(1, 5))):
        left, top = (int(c) for c in rng.integers(0, 150, 2))
        right, bottom = left + int(rng.integers(60, 180)), top + int(rng.integers(50, 150))
        cv2.rectangle(image, (left, top), (right, bottom), _rgb(neutral(rng, 0.05, 1)), -1)
        _text(rng, image, left + 6, top + 6, min(right - 6, SIZE), min(bottom, SIZE))
    return np.clip(image, 0, 1)


def facade(rng: Rng) -> Float32Array:
    """Paint a bay of storeys with windows: sills, frames, reflections."""
    wall = neutral(rng, 0.3, 0.9) if rng.random() < 0.7 else muted(rng)
    image = _canvas(wall) * (1 + 0.06 * spectral_noise(rng, 0.9)[..., None])
    columns, rows = int(rng.integers(2, 5)), int(rng.integers(2, 4))
    width, height = SIZE // columns, SIZE // rows
    inset_u, inset_v = (int(width * rng.uniform(0.12, 0.32)), int(height * rng.uniform(0.12, 0.3)))
    frame = _rgb(neutral(rng, 0.05, 0.98))
    glass = _gradient(rng) * rng.uniform(0.2, 0.7)
    for row in range(rows):
        for column in range(columns):
            left, top = column * width + inset_u, row * height + inset_v
            right, bottom = (column + 1) * width - inset_u, (row + 1) * height - inset_v
            tone = rng.uniform(0.3, 1.4)
            image[top:bottom, left:right] = glass[top:bottom, left:right] * tone
            if rng.random() < 0.3:
                image[top : (top + bottom) // 2, left:right] = neutral(rng, 0.5, 0.95)
            cv2.rectangle(image, (left, top), (right, bottom), frame, int(rng.integers(2, 6)))
            cv2.line(image, ((left + right) // 2, top), ((left + right) // 2, bottom), frame, 2)
            cv2.line(image, (left - 4, bottom + 3), (right + 4, bottom + 3), _rgb(wall * 0.6), 3)
    return np.clip(image, 0, 1)


def shopfront(rng: Rng) -> Float32Array:
    """Paint a ground floor: signs, panes and doors."""
    image = _canvas(muted(rng)) * (1 + 0.05 * spectral_noise(rng, 1.0)[..., None])
    image[80:230] = (_gradient(rng) * 0.5)[80:230]
    _shapes(rng, image[90:225], int(rng.integers(2, 8)))
    cv2.rectangle(image, (0, 10), (SIZE, 66), _rgb(vivid(rng)), -1)
    cv2.putText(
        image,
        'ABKREMSOTU'[int(rng.integers(0, 6)) :][:4],
        (24, 56),
        cv2.FONT_HERSHEY_DUPLEX,
        1.6,
        _rgb(neutral(rng, 0.7, 1)),
        3,
        cv2.LINE_AA,
    )
    frame = _rgb(neutral(rng, 0.05, 0.9))
    for column in range(0, SIZE, SIZE // int(rng.integers(2, 5))):
        cv2.rectangle(image, (column, 74), (column + 7, 232), frame, -1)
    return np.clip(image, 0, 1)


def clouds(rng: Rng) -> Float32Array:
    """Paint coverage of clouds: white on black, grey level used as opacity."""
    cover = np.clip(0.5 + 0.5 * (spectral_noise(rng, 1.7) - rng.uniform(-0.5, 1.3)), 0, 1)
    return np.repeat(cover[..., None], 3, -1).astype(np.float32)


def stains(rng: Rng) -> Float32Array:
    """Paint uneven dirt and wear, multiplied over other textures; mean about 0.8."""
    field = 0.8 + 0.12 * spectral_noise(rng, rng.uniform(1.0, 1.9))
    return np.clip(np.repeat(field[..., None], 3, -1), 0, 1).astype(np.float32)


PRINTS: dict[str, Painter] = {
    f.__name__: f
    for f in (picture, landscape, document, books, screen, facade, shopfront, clouds, stains)
}
