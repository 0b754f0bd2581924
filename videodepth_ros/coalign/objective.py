# SPDX-License-Identifier: Apache-2.0
"""What co-alignment minimises, and its normal equations.

Let A = s x + t be a snippet's relative depth after its scale and shift, and D = 1 / max(A, 0.001).
All rows of a frame should agree: the objective sums |A - mean A| / mean|mean A| over rows and
pixels, the means over rows and over pixels, and the same of D; and it holds scales up from 0 and
shifts near 0 (RollingDepth, arXiv 2411.19189, section 3.3 and its released weights).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.coalign.samples import Samples

Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]
Frames = NDArray[np.int64]

SAMPLES_AT_ONCE = 65_536
LEAST_DEPTH = 1e-3


@dataclass(frozen=True)
class Weights:
    """Weights of the objective's terms; the defaults are the published ones."""

    reciprocal: float = 1.0
    small_scale: float = 0.1
    shift: float = 10.0


@dataclass(frozen=True)
class Part:
    """Some frames of the samples: B frames, R rows, P pixels.

    frames  which frames of the clip
    snippet (B, R) int64
    values  (B, R, P) float32
    known   (B, R, P) float32, 1 or 0
    rows    (B, 1, P) float32, how many rows are known, at least 1
    seen    (B, 1, 1) float32, pixels at which any row is known, at least 1
    """

    frames: slice
    snippet: Frames
    values: Floats
    known: Floats
    rows: Floats
    seen: Floats


@dataclass(frozen=True)
class Term:
    """One way in which the rows of some frames are to agree.

    weight        of this term in the objective
    slope         (B, R, P) float32, derivative by A of what should be equal over the rows
    residual      (B, R, P) float32, that less its mean over the rows; 0 where unknown
    mean          (B, 1, P) float32
    size          (B, 1, 1) float32, mean of |mean| over the seen pixels; +inf where it is 0
    disagreement  (B, 1, 1) float32, sum of |residual| over the size
    """

    weight: float
    slope: Floats
    residual: Floats
    mean: Floats
    size: Floats
    disagreement: Floats

    @property
    def value(self) -> float:
        """Return what the term adds to the objective."""
        return self.weight * float(self.disagreement.sum(dtype=np.float64))


@dataclass(frozen=True)
class Quadratic:
    """A quadratic model of the objective about a point: K snippets, F frames, R rows.

    value     the objective there
    gradient  (K, 2) float64 by scale and shift
    diagonal  (K, 2) float64, curvature of what holds the scales and shifts
    frames    (F, 2R, 2R) float64, curvature of each frame's disagreement by the scales of its
              rows and then by their shifts
    """

    value: float
    gradient: Doubles
    diagonal: Doubles
    frames: Doubles


class Objective:
    """The objective on the samples of a clip; a point is (K, 2) float64, scales and shifts."""

    def __init__(self, samples: Samples, weights: Weights) -> None:
        """Hold the samples in parts: what is computed of one fits a processor's cache."""
        self.samples = samples
        self.weights = weights
        self.kind_weight = 1 / np.bincount(samples.kind)[samples.kind]
        at_once = max(1, SAMPLES_AT_ONCE // math.prod(samples.values.shape[1:]))
        self.parts = [
            _part(samples, slice(start, start + at_once))
            for start in range(0, len(samples.snippet), at_once)
        ]

    @property
    def start(self) -> Doubles:
        """Return the point at which every snippet stays as it is."""
        return np.tile([1.0, 0.0], (len(self.samples.kind), 1))

    def value(self, point: Doubles) -> float:
        """Return the objective."""
        total = self._hold(point)[0]
        for part in self.parts:
            total += sum(term.value for term in self._terms(point, part))
        return total

    def quadratic(self, point: Doubles, softness: float) -> Quadratic:
        """Return value, gradient and the curvature of iteratively reweighted least squares.

        softness  residuals below this share of a frame's mean residual count as that large

        The gradient is exact, through both means; the curvature leaves out that of `size` and
        of the reciprocal, so that it is never negative.
        """
        total, by_point, diagonal = self._hold(point)
        rows = self.samples.snippet.shape[1]
        slopes = np.zeros((len(self.samples.snippet), 2 * rows))
        curvature = np.zeros((len(slopes), 2 * rows, 2 * rows))
        for part in self.parts:
            for term in self._terms(point, part):
                total += term.value
                slopes[part.frames] += term.weight * _gradient(term, part)
                curvature[part.frames] += term.weight * _curvature(term, part, softness)
        for column, half in enumerate((slopes[:, :rows], slopes[:, rows:])):
            by_point[:, column] += np.bincount(
                self.samples.snippet.ravel(), half.ravel(), len(point)
            )
        return Quadratic(total, by_point, diagonal, curvature)

    def contradiction(self, point: Doubles) -> Doubles:
        """Return each snippet's mean of |A - median A| / mean|mean A| over its pixels, (K,).

        The median over the rows of a frame, so that a broken snippet does not count against
        those that share its frames. NaN for a snippet of which nothing is known.
        """
        count = len(point)
        total, seen = np.zeros(count), np.zeros(count)
        for part in self.parts:
            term = next(self._terms(point, part))
            snippet = part.snippet.ravel()
            share = np.abs(term.residual - _median(term.residual, part)) * part.known / term.size
            total += np.bincount(snippet, share.sum(axis=2).ravel(), count)
            seen += np.bincount(snippet, part.known.sum(axis=2).ravel(), count)
        with np.errstate(invalid='ignore'):
            return total / seen

    def _terms(self, point: Doubles, part: Part) -> Iterator[Term]:
        """Yield the terms of some frames: that of A, then that of D."""
        own = point[part.snippet].astype(np.float32)
        depth = own[..., :1] * part.values + own[..., 1:]
        yield _term(1 / self.samples.cells, depth, part.known, part)
        if self.weights.reciprocal:
            reciprocal = 1 / np.maximum(depth, LEAST_DEPTH)
            slope = -reciprocal * reciprocal * part.known * (depth >= LEAST_DEPTH)
            yield _term(self.weights.reciprocal / self.samples.cells, reciprocal, slope, part)

    def _hold(self, point: Doubles) -> tuple[float, Doubles, Doubles]:
        """Return value, gradient and curvature (K, 2) of what holds the scales and shifts."""
        weights, each = self.weights, self.kind_weight
        short, shift = np.maximum(1 - point[:, 0], 0), point[:, 1]
        value = each @ (weights.small_scale * short**2 + weights.shift * shift**2)
        gradient = np.stack([-weights.small_scale * short, weights.shift * shift], axis=1)
        curvature = np.stack(
            [weights.small_scale * (short > 0), np.full_like(shift, weights.shift)], axis=1
        )
        return float(value), 2 * each[:, None] * gradient, 2 * each[:, None] * curvature


def _part(samples: Samples, frames: slice) -> Part:
    """Count what is known of some frames."""
    known = samples.known[frames].astype(np.float32)
    rows = known.sum(axis=1, keepdims=True)
    seen = np.count_nonzero(rows, axis=(1, 2), keepdims=True).astype(np.float32)
    return Part(
        frames,
        samples.snippet[frames],
        samples.values[frames],
        known,
        np.maximum(rows, 1),
        np.maximum(seen, 1),
    )


def _term(weight: float, value: Floats, slope: Floats, part: Part) -> Term:
    """Compare the rows of each frame with their mean."""
    mean = (value * part.known).sum(axis=1, keepdims=True) / part.rows
    size = np.abs(mean).sum(axis=(1, 2), keepdims=True) / part.seen
    size[size == 0] = np.inf
    residual = (value - mean) * part.known
    disagreement = np.abs(residual).sum(axis=(1, 2), keepdims=True) / size
    return Term(weight, slope, residual, mean, size, disagreement)


def _median(value: Floats, part: Part) -> Floats:
    """Return the median over the known rows, (B, 1, P); 0 where none is."""
    ordered = np.sort(np.where(part.known > 0, value, np.inf), axis=1)
    last = part.rows.astype(np.int64) - 1
    middle = [np.take_along_axis(ordered, place, axis=1) for place in (last // 2, -(-last // 2))]
    median: Floats = (middle[0] + middle[1]) / 2
    return np.where(np.isfinite(median), median, np.float32(0))


def _gradient(term: Term, part: Part) -> Doubles:
    """Return the gradient of each frame's disagreement by its rows' scales and shifts, (B, 2R).

    Each row counts by the sign of its residual; it also moves the mean, against all signs, and
    with the mean the size.
    """
    sign = np.sign(term.residual)
    of_size = term.disagreement / part.seen * np.sign(term.mean)
    pull = sign - (sign.sum(axis=1, keepdims=True) + of_size) / part.rows
    pull *= term.slope
    by_row = np.concatenate([_product(pull, part.values), pull.sum(axis=2)], axis=1)
    return (by_row / term.size[:, :, 0]).astype(float)


def _curvature(term: Term, part: Part, softness: float) -> Doubles:
    """Return the curvature of each frame's weighted squares by its rows, (B, 2R, 2R).

    With w the weights 1 / |residual| and n the rows of a pixel, sum w (v - mean v)^2 / 2 has the
    curvature diag(w) - (w 1' + 1 w') / n + (sum w) 1 1' / n^2 by the values v.
    """
    usual = term.disagreement / part.rows.sum(axis=(1, 2), keepdims=True)
    floor = np.maximum(softness * usual, np.finfo(np.float32).eps) * term.size
    weight = part.known / (np.maximum(np.abs(term.residual), floor) * term.size)
    shared = weight - weight.sum(axis=1, keepdims=True) / (2 * part.rows)
    shared *= term.slope / part.rows
    coupling = _by_row(shared, part) @ _by_row(term.slope, part).transpose(0, 2, 1)
    curvature = -(coupling + coupling.transpose(0, 2, 1))
    weight *= term.slope * term.slope
    weighted = weight * part.values
    scales = np.arange(weight.shape[1])
    shifts = scales + len(scales)
    curvature[:, scales, scales] += _product(weighted, part.values)
    curvature[:, shifts, shifts] += weight.sum(axis=2)
    cross = weighted.sum(axis=2)
    curvature[:, scales, shifts] += cross
    curvature[:, shifts, scales] += cross
    return curvature.astype(float)


def _by_row(slope: Floats, part: Part) -> Floats:
    """Return a slope by A as slopes by the scales and then by the shifts, (B, 2R, P)."""
    return np.concatenate([slope * part.values, slope], axis=1)


def _product(one: Floats, other: Floats) -> Floats:
    """Return the sum over the pixels of a product, (B, R)."""
    return np.einsum('brp,brp->br', one, other)
