# SPDX-License-Identifier: Apache-2.0
"""Accumulators over frames: moments of a least-squares line, and sums of depth errors.

A sequence is evaluated frame by frame; no frame stays in memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from videodepth_ros.core.arrays import FloatArray


class DepthAlignment(str, Enum):
    """Least-squares fit of predicted to true inverse depth, once per sequence."""

    NONE = 'none'
    SCALE = 'scale'
    SCALE_SHIFT = 'scale_shift'


@dataclass(frozen=True)
class Moments:
    """Moments of the least-squares line y = scale * x + shift; additive over sets of points."""

    n: float = 0.0
    x: float = 0.0
    y: float = 0.0
    xx: float = 0.0
    xy: float = 0.0

    @classmethod
    def of(cls, x: FloatArray, y: FloatArray) -> Moments:
        """Return the moments of N points; x and y (N,) floating."""
        return cls(
            x.size,
            float(x.sum(dtype=np.float64)),
            float(y.sum(dtype=np.float64)),
            float(np.square(x, dtype=np.float64).sum()),
            float(np.multiply(x, y, dtype=np.float64).sum()),
        )

    def __add__(self, other: Moments) -> Moments:
        return Moments(
            self.n + other.n,
            self.x + other.x,
            self.y + other.y,
            self.xx + other.xx,
            self.xy + other.xy,
        )

    def fit(self, alignment: DepthAlignment) -> tuple[float, float]:
        """Return scale and shift; a constant x determines the shift only, and the scale is 0."""
        if alignment is DepthAlignment.NONE:
            return 1.0, 0.0
        if alignment is DepthAlignment.SCALE:
            return (self.xy / self.xx if self.xx > 0 else 1.0), 0.0
        spread = self.n * self.xx - self.x**2
        if spread <= 1e-12 * self.n * self.xx:
            return 0.0, self.y / self.n
        scale = (self.n * self.xy - self.x * self.y) / spread
        return scale, (self.y - scale * self.x) / self.n


@dataclass(frozen=True)
class DepthErrors:
    """AbsRel |p - t| / t, RMSE in metres, and share of pixels with max(p/t, t/p) < 1.25."""

    abs_rel: float
    rmse_m: float
    delta_1_25: float


@dataclass(frozen=True)
class ErrorSums:
    """Sums of `DepthErrors`; additive over sets of pixels."""

    n: int = 0
    abs_rel: float = 0.0
    square_m2: float = 0.0
    within: int = 0

    @classmethod
    def of(cls, predicted_m: FloatArray, truth_m: FloatArray) -> ErrorSums:
        """Return the sums of N pixels; both (N,) floating, metres, positive."""
        error = predicted_m - truth_m
        ratio = np.maximum(predicted_m / truth_m, truth_m / predicted_m)
        return cls(
            truth_m.size,
            float(np.abs(error / truth_m).sum(dtype=np.float64)),
            float(np.square(error, dtype=np.float64).sum()),
            int(np.count_nonzero(ratio < 1.25)),
        )

    def __add__(self, other: ErrorSums) -> ErrorSums:
        return ErrorSums(
            self.n + other.n,
            self.abs_rel + other.abs_rel,
            self.square_m2 + other.square_m2,
            self.within + other.within,
        )

    def errors(self) -> DepthErrors:
        """Return the means; NaN without pixels."""
        if not self.n:
            return DepthErrors(np.nan, np.nan, np.nan)
        return DepthErrors(
            self.abs_rel / self.n, float(np.sqrt(self.square_m2 / self.n)), self.within / self.n
        )
