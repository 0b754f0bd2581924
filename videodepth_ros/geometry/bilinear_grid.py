# SPDX-License-Identifier: Apache-2.0
"""Bending a depth prior onto points that are known better.

The logarithm of what a prior is wrong by changes slowly over the image, for networks and depth
cameras know shapes better than sizes. It is sought on a coarse grid between whose nodes it is
bilinear: near the points, and as smooth as the prior has been found trustworthy (a Gaussian Markov
random field: Rue and Held, 2005, section 3.2).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Array64 = NDArray[np.float64]

COLUMNS, ROWS = 9, 7
ROUGHNESS = 1.0
"""Change of the field from node to node, and DISTANCE from the frame's scale, against the prior's
standard deviation."""
DISTANCE = 5.0
CAUCHY = 2.0
PASSES = 5


def log_field(
    place: Array64, log_ratio: Array64, sigma: Array64, spread: float, level: float
) -> Array64:
    """Return the field at its nodes, (ROWS, COLUMNS) float64.

    place      (P, 2) float64, column and row of points as shares of the image, 0 to 1
    log_ratio  (P,), by which the log depth of the prior is too small there; sigma (P,)
    spread     standard deviation of the prior's log depths; level: the frame's own log scale
    """
    B = _bilinear(place)
    stiff = _stiffness() / (ROUGHNESS * spread) ** 2
    stiff[np.diag_indices_from(stiff)] += (DISTANCE * spread) ** -2
    error, field = log_ratio - level, np.zeros(ROWS * COLUMNS)
    for _ in range(PASSES):
        weight = 1 / (sigma**2 * (1 + np.square((error - B @ field) / (CAUCHY * sigma))))
        field = np.linalg.solve((B.T * weight) @ B + stiff, B.T @ (weight * error))
    return field.reshape(ROWS, COLUMNS) + level


def spread_out(field: Array64, height: int, width: int) -> Array:
    """Return the field at every pixel, (height, width) float32."""
    rows = _hats((np.arange(height) + 0.5) / height, ROWS)
    columns = _hats((np.arange(width) + 0.5) / width, COLUMNS)
    return (rows @ field @ columns.T).astype(np.float32)


def _hats(place: Array64, nodes: int) -> Array64:
    """Return how much each node counts at places (P,) between 0 and 1, (P, nodes)."""
    distance = np.abs(place[:, None] * (nodes - 1) - np.arange(nodes))
    return np.maximum(1 - distance, 0)


def _bilinear(place: Array64) -> Array64:
    across, down = _hats(place[:, 0], COLUMNS), _hats(place[:, 1], ROWS)
    return (down[:, :, None] * across[:, None, :]).reshape(-1, ROWS * COLUMNS)


def _stiffness() -> Array64:
    """Return the matrix of the sum of squared differences between neighbouring nodes."""

    def chain(nodes: int) -> Array64:
        steps = np.diff(np.eye(nodes), axis=0)
        return steps.T @ steps

    return np.kron(chain(ROWS), np.eye(COLUMNS)) + np.kron(np.eye(ROWS), chain(COLUMNS))
