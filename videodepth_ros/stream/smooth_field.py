# SPDX-License-Identifier: Apache-2.0
"""A smooth field over the image through what is known at some places of it.

It is bilinear between the knots of a coarse grid, and no larger than what is known asks for.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

KNOTS = 4, 3
"""Across and down the image."""

KNOT_SIGMA = 0.15
"""How large the values at the knots are."""

OUTLIER = 1.5
"""Beyond so many standard deviations (Huber) a place counts less."""

ROUNDS = 3


def fit_field(places: Array, values: Array, variance: Array) -> Array:
    """Return the likeliest values at the knots, (down, across).

    Ridge regression, with Huber weights by reweighting.

    places    (N, 2) across and down the image, each 0 to 1
    values    (N,) what is known there; variance (N,) of it
    """
    across, down = (_hat_weights(places[:, axis], count) for axis, count in enumerate(KNOTS))
    design = (down[:, :, None] * across[:, None, :]).reshape(len(values), -1)
    knots: Array = np.zeros(design.shape[1])
    for _ in range(ROUNDS):
        distance = np.abs(values - design @ knots) / np.sqrt(variance)
        weighted = design.T / (np.maximum(1, distance / OUTLIER) * variance)
        knots = np.asarray(
            np.linalg.solve(
                weighted @ design + np.eye(len(knots)) / KNOT_SIGMA**2, weighted @ values
            ),
            float,
        )
    return knots.reshape(KNOTS[::-1])


def evaluate_field(knots: Array, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return the field at the pixel centres of an image of ``shape`` (h, w), float32."""
    down, across = (
        _hat_weights((np.arange(size) + 0.5) / size, count)
        for size, count in zip(shape, KNOTS[::-1], strict=True)
    )
    return (down @ knots @ across.T).astype(np.float32)


def _hat_weights(places: Array, count: int) -> Array:
    """Return what each of ``count`` evenly spaced knots weighs at places (N,); (N, count)."""
    return np.maximum(0, 1 - np.abs(places[:, None] * (count - 1) - np.arange(count)))
