# SPDX-License-Identifier: Apache-2.0
"""Objective of the co-alignment and its quadratic model.

Let A = s x + t be a snippet's relative depth after its scale and shift, and D = 1 / max(A, 0.001).
The rows of a frame are its depth maps from different snippets. The objective sums
|A - mean A| / mean|mean A| over rows and pixels, the means over rows and over pixels, and the same
of D; it penalises scales below 1 and shifts (RollingDepth, arXiv 2411.19189, section 3.3, with
the weights of its code).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from videodepth_ros.coalign.options import COALIGN_DEFAULTS, ObjectiveWeights, SamplingOptions
from videodepth_ros.coalign.samples import SnippetSamples
from videodepth_ros.core.arrays import Float32Array, Float64Array, IndexArray

MIN_DEPTH = 1e-3
"""Least relative depth whose reciprocal is taken (RollingDepth's code)."""


@dataclass(frozen=True)
class SampleBlock:
    """Samples of B frames at P pixels, in at most R rows a frame; fits a processor's cache.

    frames      frames of the clip
    snippet     (B, R) int64
    values      (B, R, P) float32
    known       (B, R, P) float32, 1 or 0
    row_count   (B, 1, P) float32, known rows of a pixel, at least 1
    pixel_count (B, 1, 1) float32, pixels with a known row, at least 1
    """

    frames: slice
    snippet: IndexArray
    values: Float32Array
    known: Float32Array
    row_count: Float32Array
    pixel_count: Float32Array


@dataclass(frozen=True)
class ConsistencyTerm:
    """Disagreement of the rows of a block in a quantity v: A or its reciprocal.

    weight        of this term in the objective
    slope         (B, R, P) float32, derivative of v by A
    residual      (B, R, P) float32, v less its mean over the rows; 0 where unknown
    mean          (B, 1, P) float32
    size          (B, 1, 1) float32, mean of |mean| over the pixels; +inf where it is 0
    disagreement  (B, 1, 1) float32, sum of |residual| over the size
    """

    weight: float
    slope: Float32Array
    residual: Float32Array
    mean: Float32Array
    size: Float32Array
    disagreement: Float32Array

    @property
    def value(self) -> float:
        """Return the term's share of the objective."""
        return self.weight * float(self.disagreement.sum(dtype=np.float64))


@dataclass(frozen=True)
class QuadraticModel:
    """Second-order model of the objective about a point: K snippets, F frames, R rows.

    value     objective at the point
    gradient  (K, 2) float64 by scale and shift
    diagonal  (K, 2) float64, Hessian of the penalties on scales and shifts
    frames    (F, 2R, 2R) float64, approximate Hessian of each frame's disagreement by the scales
              of its rows, then by their shifts
    """

    value: float
    gradient: Float64Array
    diagonal: Float64Array
    frames: Float64Array


class Objective:
    """Objective of a clip; a point is (K, 2) float64, scales and shifts of the K snippets."""

    def __init__(
        self,
        samples: SnippetSamples,
        weights: ObjectiveWeights,
        options: SamplingOptions = COALIGN_DEFAULTS.sampling,
    ) -> None:
        """Split the samples into blocks that fit a processor's cache."""
        self.samples = samples
        self.weights = weights
        self.group_weight = 1 / np.bincount(samples.group)[samples.group]
        count = max(1, options.block_values // math.prod(samples.values.shape[1:]))
        self.blocks = [
            _block(samples, slice(start, start + count))
            for start in range(0, len(samples.snippet), count)
        ]

    @property
    def initial_point(self) -> Float64Array:
        """Return scales of 1 and shifts of 0, (K, 2)."""
        return np.tile([1.0, 0.0], (len(self.samples.group), 1))

    def value(self, point: Float64Array) -> float:
        """Return the objective."""
        total = self._penalty(point)[0]
        for block in self.blocks:
            total += sum(term.value for term in self._terms(point, block))
        return total

    def quadratic_model(self, point: Float64Array, softness: float) -> QuadraticModel:
        """Return the model of iteratively re-weighted least squares.

        softness  residuals below this share of a frame's mean residual count as that large

        The gradient is exact, through both means; the Hessian omits the terms of `size` and of
        the reciprocal's curvature, so that it is positive semi-definite.
        """
        total, by_point, diagonal = self._penalty(point)
        rows = self.samples.snippet.shape[1]
        slopes = np.zeros((len(self.samples.snippet), 2 * rows))
        hessian = np.zeros((len(slopes), 2 * rows, 2 * rows))
        for block in self.blocks:
            for term in self._terms(point, block):
                total += term.value
                slopes[block.frames] += term.weight * _gradient(term, block)
                hessian[block.frames] += term.weight * _hessian(term, block, softness)
        for column, half in enumerate((slopes[:, :rows], slopes[:, rows:])):
            by_point[:, column] += np.bincount(
                self.samples.snippet.ravel(), half.ravel(), len(point)
            )
        return QuadraticModel(total, by_point, diagonal, hessian)

    def inconsistency(self, point: Float64Array) -> Float64Array:
        """Return each snippet's mean of |A - median A| / mean|mean A| over its pixels, (K,).

        The median over the rows of a frame, so that a wrong snippet does not raise the
        inconsistency of those that share its frames. NaN for a snippet without known values.
        """
        count = len(point)
        total, known = np.zeros(count), np.zeros(count)
        for block in self.blocks:
            term = next(self._terms(point, block))
            snippet = block.snippet.ravel()
            share = np.abs(term.residual - _median(term.residual, block))
            share = share * block.known / term.size
            total += np.bincount(snippet, share.sum(axis=2).ravel(), count)
            known += np.bincount(snippet, block.known.sum(axis=2).ravel(), count)
        with np.errstate(invalid='ignore'):
            return total / known

    def _terms(self, point: Float64Array, block: SampleBlock) -> Iterator[ConsistencyTerm]:
        """Yield the terms of a block: that of A, then that of D."""
        own = point[block.snippet].astype(np.float32)
        depth = own[..., :1] * block.values + own[..., 1:]
        yield _term(1 / self.samples.cells, depth, block.known, block)
        if self.weights.reciprocal:
            reciprocal = 1 / np.maximum(depth, MIN_DEPTH)
            slope = -reciprocal * reciprocal * block.known * (depth >= MIN_DEPTH)
            yield _term(self.weights.reciprocal / self.samples.cells, reciprocal, slope, block)

    def _penalty(self, point: Float64Array) -> tuple[float, Float64Array, Float64Array]:
        """Return value, gradient and Hessian diagonal (K, 2) of the penalties."""
        weights, each = self.weights, self.group_weight
        short, shift = np.maximum(1 - point[:, 0], 0), point[:, 1]
        value = each @ (weights.small_scale * short**2 + weights.shift * shift**2)
        gradient = np.stack([-weights.small_scale * short, weights.shift * shift], axis=1)
        hessian = np.stack(
            [weights.small_scale * (short > 0), np.full_like(shift, weights.shift)], axis=1
        )
        return float(value), 2 * each[:, None] * gradient, 2 * each[:, None] * hessian


def _block(samples: SnippetSamples, frames: slice) -> SampleBlock:
    """Return the block of some frames, with its counts."""
    known = samples.known[frames].astype(np.float32)
    rows = known.sum(axis=1, keepdims=True)
    pixels = np.count_nonzero(rows, axis=(1, 2), keepdims=True).astype(np.float32)
    return SampleBlock(
        frames,
        samples.snippet[frames],
        samples.values[frames],
        known,
        np.maximum(rows, 1),
        np.maximum(pixels, 1),
    )


def _term(
    weight: float, value: Float32Array, slope: Float32Array, block: SampleBlock
) -> ConsistencyTerm:
    """Compare the rows of each frame with their mean."""
    mean = (value * block.known).sum(axis=1, keepdims=True) / block.row_count
    size = np.abs(mean).sum(axis=(1, 2), keepdims=True) / block.pixel_count
    size[size == 0] = np.inf
    residual = (value - mean) * block.known
    disagreement = np.abs(residual).sum(axis=(1, 2), keepdims=True) / size
    return ConsistencyTerm(weight, slope, residual, mean, size, disagreement)


def _median(value: Float32Array, block: SampleBlock) -> Float32Array:
    """Return the median over the known rows, (B, 1, P); 0 where there is none."""
    ordered = np.sort(np.where(block.known > 0, value, np.inf), axis=1)
    last = block.row_count.astype(np.int64) - 1
    middle = [np.take_along_axis(ordered, place, axis=1) for place in (last // 2, -(-last // 2))]
    median: Float32Array = (middle[0] + middle[1]) / 2
    return np.where(np.isfinite(median), median, np.float32(0))


def _gradient(term: ConsistencyTerm, block: SampleBlock) -> Float64Array:
    """Return the gradient of each frame's disagreement by its rows' scales and shifts, (B, 2R).

    By the sign of each residual, less the derivatives through the mean and through the size.
    """
    sign = np.sign(term.residual)
    of_size = term.disagreement / block.pixel_count * np.sign(term.mean)
    pull = sign - (sign.sum(axis=1, keepdims=True) + of_size) / block.row_count
    pull *= term.slope
    by_row = np.concatenate([_pixel_sum(pull, block.values), pull.sum(axis=2)], axis=1)
    return (by_row / term.size[:, :, 0]).astype(float)


def _hessian(term: ConsistencyTerm, block: SampleBlock, softness: float) -> Float64Array:
    """Return the Hessian of each frame's re-weighted squares by its rows, (B, 2R, 2R).

    With w the weights 1 / |residual| and n the rows of a pixel, sum w (v - mean v)^2 / 2 has the
    Hessian diag(w) - (w 1' + 1 w') / n + (sum w) 1 1' / n^2 by the values v.
    """
    usual = term.disagreement / block.row_count.sum(axis=(1, 2), keepdims=True)
    floor = np.maximum(softness * usual, np.finfo(np.float32).eps) * term.size
    weight = block.known / (np.maximum(np.abs(term.residual), floor) * term.size)
    shared = weight - weight.sum(axis=1, keepdims=True) / (2 * block.row_count)
    shared *= term.slope / block.row_count
    coupling = _by_row(shared, block) @ _by_row(term.slope, block).transpose(0, 2, 1)
    hessian = -(coupling + coupling.transpose(0, 2, 1))
    weight *= term.slope * term.slope
    weighted = weight * block.values
    scales = np.arange(weight.shape[1])
    shifts = scales + len(scales)
    hessian[:, scales, scales] += _pixel_sum(weighted, block.values)
    hessian[:, shifts, shifts] += weight.sum(axis=2)
    cross = weighted.sum(axis=2)
    hessian[:, scales, shifts] += cross
    hessian[:, shifts, scales] += cross
    return hessian.astype(float)


def _by_row(slope: Float32Array, block: SampleBlock) -> Float32Array:
    """Return derivatives by A as derivatives by the scales, then the shifts, (B, 2R, P)."""
    return np.concatenate([slope * block.values, slope], axis=1)


def _pixel_sum(one: Float32Array, other: Float32Array) -> Float32Array:
    """Return the sum of a product over the pixels, (B, R)."""
    return np.einsum('brp,brp->br', one, other)
