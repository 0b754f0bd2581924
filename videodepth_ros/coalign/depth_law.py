# SPDX-License-Identifier: Apache-2.0
"""What a model makes of depth everywhere: a factor that depends on the depth alone.

Networks compress depth: what is near comes out too far and what is far too near, in all frames
alike. The logarithm of the factor is a polyline over the logarithm of depth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array64 = NDArray[np.float64]

KNOTS = 9
ENDS = (0.01, 0.99)
"""Quantiles of the points at which the polyline ends; it goes on level."""
BEND, SLOPE = 0.02, 0.002
"""Weights of the squares of its bends and of its slope, beside the mean square of the errors."""
CAUCHY = 1.5
PASSES = 8
LEAST_SPREAD = 0.02
NORMAL = 1.4826


@dataclass(frozen=True)
class Law:
    """Log factors ``values`` (K,) float64 at log depths ``knots`` (K,), rising."""

    knots: Array64
    values: Array64

    @classmethod
    def nothing(cls) -> Law:
        """Return the law that leaves depth as it is."""
        return cls(np.zeros(1), np.zeros(1))

    def __call__(self, log_depth: NDArray[np.floating]) -> Array64:
        """Return the log factor at log depths of any shape; NaN stays."""
        return np.interp(log_depth, self.knots, self.values)

    def moved(self, by: float) -> Law:
        """Return the law with all its log factors changed alike."""
        return Law(self.knots, self.values + by)


def fit_law(log_depth: Array64, log_ratio: Array64, weight: Array64) -> Law:
    """Return the law of points (P,): their log depth, and the log factor that each one wants.

    Robust and smooth (iteratively reweighted, with differences of the polyline held small).
    """
    low, high = np.quantile(log_depth, ENDS)
    if not high > low:
        return Law(np.array([low]), np.array([float(np.median(log_ratio))]))
    knots = np.linspace(low, high, KNOTS)
    hats = np.maximum(
        0, 1 - np.abs(np.clip(log_depth, low, high)[:, None] - knots) * (KNOTS - 1) / (high - low)
    )
    bends, slopes = (np.diff(np.eye(KNOTS), order, axis=0) for order in (2, 1))
    held = weight.sum() * (BEND * bends.T @ bends + SLOPE * slopes.T @ slopes)
    spread = NORMAL * float(np.median(np.abs(log_ratio))) + LEAST_SPREAD
    values = np.zeros(KNOTS)
    for _ in range(PASSES):
        share = np.square((log_ratio - hats @ values) / (CAUCHY * spread))
        believed = weight / (1 + share)
        values = np.linalg.solve(
            (hats.T * believed) @ hats + held + 1e-9 * np.eye(KNOTS),
            hats.T @ (believed * log_ratio),
        )
    return Law(knots, values)
