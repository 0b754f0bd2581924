# SPDX-License-Identifier: Apache-2.0
"""Co-alignment as RollingDepth releases it, step by step: the plain reference and parity mode.

Adam with a constant step of 0.001, 2000 times. Means and sizes count as constants in its
gradient, so that it ends in a cycle about a point that is near the least objective, not at it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.coalign.objective import LEAST_DEPTH, Doubles, Weights
from videodepth_ros.coalign.samples import Samples

MOMENTA = (0.5, 0.9)
TINY = 1e-8


@dataclass(frozen=True)
class Descent:
    """Where the descent ended: `point` (K, 2), and the objective before each step, (steps,)."""

    point: Doubles
    objective: Doubles


def descend(
    samples: Samples, weights: Weights, steps: int = 2000, step_size: float = 1e-3
) -> Descent:
    """Minimise the objective on the samples by Adam (arXiv 1412.6980, algorithm 1).

    In single precision, as in the release: the signs of small residuals hang on it.
    """
    kind_weight = (1 / np.bincount(samples.kind)[samples.kind]).astype(np.float32)
    rows = np.maximum(samples.known.sum(axis=1, keepdims=True), 1).astype(np.float32)
    point = np.tile(np.array([1.0, 0.0], np.float32), (len(samples.kind), 1))
    mean, square = np.zeros_like(point), np.zeros_like(point)
    objective = np.empty(steps)
    for step in range(steps):
        own = point[samples.snippet]
        depth = own[..., :1] * samples.values + own[..., 1:]
        reciprocal = 1 / np.maximum(depth, LEAST_DEPTH)
        value, slope = _disagreement(depth, samples, rows)
        other, other_slope = _disagreement(reciprocal, samples, rows)
        slope -= weights.reciprocal * other_slope * reciprocal**2 * (depth >= LEAST_DEPTH)
        gradient = np.stack(
            [
                np.bincount(samples.snippet.ravel(), part.ravel(), len(point))
                for part in ((slope * samples.values).sum(axis=2), slope.sum(axis=2))
            ],
            axis=1,
        ).astype(np.float32)
        short, shift = np.maximum(1 - point[:, 0], 0), point[:, 1]
        objective[step] = (
            value
            + weights.reciprocal * other
            + kind_weight @ (weights.small_scale * short**2 + weights.shift * shift**2)
        )
        gradient += (
            2
            * kind_weight[:, None]
            * np.stack([-weights.small_scale * short, weights.shift * shift], axis=1)
        )
        mean += (1 - MOMENTA[0]) * (gradient - mean)
        square += (1 - MOMENTA[1]) * (gradient**2 - square)
        unbiased = mean / (1 - MOMENTA[0] ** (step + 1))
        spread = np.sqrt(square / (1 - MOMENTA[1] ** (step + 1)))
        point = point - step_size * unbiased / (spread + TINY)
    return Descent(point.astype(float), objective)


def _disagreement(
    value: NDArray[np.float32], samples: Samples, rows: NDArray[np.float32]
) -> tuple[float, NDArray[np.float32]]:
    """Return the sum of |value - mean| over the size, and its slope with both held; (F, R, P)."""
    mean = (value * samples.known).sum(axis=1, keepdims=True) / rows
    seen = np.maximum(samples.known.any(axis=1).sum(axis=1), 1)
    size = np.abs(mean).sum(axis=(1, 2)) / seen
    size = np.where(size > 0, size * samples.cells, np.inf).astype(np.float32)[:, None, None]
    residual = (value - mean) * samples.known
    return float((np.abs(residual) / size).sum()), np.sign(residual) / size
