# SPDX-License-Identifier: Apache-2.0
"""Plain reference of the co-alignment: RollingDepth's released solver, step by step.

2000 steps of Adam with a constant step of 0.001. Its gradient treats means and sizes as
constants, so that it ends in a limit cycle near the minimum, not at it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from videodepth_ros.coalign.objective import MIN_DEPTH
from videodepth_ros.coalign.options import COALIGN_DEFAULTS, AdamOptions, ObjectiveWeights
from videodepth_ros.coalign.samples import SnippetSamples
from videodepth_ros.core.arrays import Float32Array, Float64Array


@dataclass(frozen=True)
class AdamResult:
    """Last `point` (K, 2) float64, and the objective before each step, (steps,) float64."""

    point: Float64Array
    objective: Float64Array


def minimize_adam(
    samples: SnippetSamples,
    weights: ObjectiveWeights,
    options: AdamOptions = COALIGN_DEFAULTS.adam,
) -> AdamResult:
    """Minimise the objective on the samples by Adam (arXiv 1412.6980, algorithm 1).

    In single precision, as in the release: the signs of small residuals depend on it.
    """
    group_weight = (1 / np.bincount(samples.group)[samples.group]).astype(np.float32)
    rows = np.maximum(samples.known.sum(axis=1, keepdims=True), 1).astype(np.float32)
    point = np.tile(np.array([1.0, 0.0], np.float32), (len(samples.group), 1))
    mean, square = np.zeros_like(point), np.zeros_like(point)
    objective = np.empty(options.steps)
    beta_1, beta_2 = options.betas
    for step in range(options.steps):
        own = point[samples.snippet]
        depth = own[..., :1] * samples.values + own[..., 1:]
        reciprocal = 1 / np.maximum(depth, MIN_DEPTH)
        value, slope = _disagreement(depth, samples, rows)
        other, other_slope = _disagreement(reciprocal, samples, rows)
        slope -= weights.reciprocal * other_slope * reciprocal**2 * (depth >= MIN_DEPTH)
        gradient = np.stack(
            [
                np.bincount(samples.snippet.ravel(), part.ravel(), len(point))
                for part in ((slope * samples.values).sum(axis=2), slope.sum(axis=2))
            ],
            axis=1,
        ).astype(np.float32)
        penalty, penalty_slope = _penalty(point, weights)
        objective[step] = value + weights.reciprocal * other + group_weight @ penalty
        gradient += 2 * group_weight[:, None] * penalty_slope
        mean += (1 - beta_1) * (gradient - mean)
        square += (1 - beta_2) * (gradient**2 - square)
        unbiased = mean / (1 - beta_1 ** (step + 1))
        spread = np.sqrt(square / (1 - beta_2 ** (step + 1)))
        point = point - options.step_size * unbiased / (spread + options.epsilon)
    return AdamResult(point.astype(float), objective)


def _penalty(point: Float32Array, weights: ObjectiveWeights) -> tuple[Float32Array, Float32Array]:
    """Return the penalty on each scale and shift, (K,), and half its gradient, (K, 2)."""
    short, shift = np.maximum(1 - point[:, 0], 0), point[:, 1]
    return (
        weights.small_scale * short**2 + weights.shift * shift**2,
        np.stack([-weights.small_scale * short, weights.shift * shift], axis=1),
    )


def _disagreement(
    value: Float32Array, samples: SnippetSamples, rows: Float32Array
) -> tuple[float, Float32Array]:
    """Return the sum of |value - mean| over the size, and its slope at fixed mean and size."""
    mean = (value * samples.known).sum(axis=1, keepdims=True) / rows
    pixels = np.maximum(samples.known.any(axis=1).sum(axis=1), 1)
    size = np.abs(mean).sum(axis=(1, 2)) / pixels
    size = np.where(size > 0, size * samples.cells, np.inf).astype(np.float32)[:, None, None]
    residual = (value - mean) * samples.known
    return float((np.abs(residual) / size).sum()), np.sign(residual) / size
