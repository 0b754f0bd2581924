# SPDX-License-Identifier: Apache-2.0
"""Errors of a depth sequence against the truth, aligned once per sequence or not at all.

Protocol of FlashDepth (arXiv 2504.07093, evaluation code): scale and shift are a least-squares fit
in inverse depth over all pixels of the sequence whose truth is nearer than 70 m; predictions are
clipped to that range. Two baselines without an image are fitted to the truth in the same way: a
constant inverse depth, and one that is linear in the image row.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from videodepth_ros.core.arrays import FloatArray, MaskArray
from videodepth_ros.core.errors import InputError
from videodepth_ros.evaluation.accumulators import DepthAlignment, DepthErrors, ErrorSums, Moments
from videodepth_ros.evaluation.boundary import boundary_f1

ScaleShift = tuple[float, float]
"""Inverse depth = scale * x + shift [1/m]."""

MAX_DEPTH_M = 70.0
"""Farthest true depth that counts (FlashDepth)."""
MIN_DEPTH_M = 1e-3
"""Least aligned depth: predictions are clipped to it."""
ASPECT_TOLERANCE = 0.1
"""Largest relative difference of the aspect ratios of prediction and truth."""
STATIC_CHANGE = 0.01
"""Relative change of the true depth between frames below which `flicker` counts a pixel."""


@dataclass(frozen=True)
class DepthPair:
    """Predicted and true depth of one frame.

    predicted_m  (h, w) floating, Z in metres; NaN or <= 0 unknown, +inf nothing hit
    truth_m      (H, W) floating, Z in metres; NaN, +inf and <= 0 are ignored
    """

    stamp_ns: int
    predicted_m: FloatArray
    truth_m: FloatArray


@dataclass(frozen=True)
class FrameDepthErrors:
    """Errors of one frame under the alignment of the sequence, and its own least-squares scale."""

    stamp_ns: int
    errors: DepthErrors
    boundary_f1: float
    scale: float


@dataclass(frozen=True)
class DepthReport:
    """Errors of one sequence over all pixels with a true depth in range and a prediction.

    scale, shift_per_m   true inverse depth = scale * predicted inverse depth + shift, as applied
    boundary_f1          mean over frames
    scale_drift          standard deviation over frames of the least-squares scale of each frame,
                         divided by its mean
    flicker              mean |ln| of the ratio of consecutive predictions where the truth is
                         static; NaN where it never is
    coverage             share of pixels with a true depth that have a prediction
    best_constant, best_gradient  errors of the two baselines without an image
    """

    alignment: DepthAlignment
    scale: float
    shift_per_m: float
    max_depth_m: float
    frames: int
    errors: DepthErrors
    boundary_f1: float
    scale_drift: float
    flicker: float
    coverage: float
    best_constant: DepthErrors
    best_gradient: DepthErrors
    per_frame: tuple[FrameDepthErrors, ...]


class _ValidPixels:
    """One pair at the size of the truth: the valid pixels, and both inverse depths there.

    pixels            (H, W) bool, both depths known
    predicted_per_m, true_per_m   (N,) floating, inverse depths of those pixels
    row               (N,) float32, image row of each, 0 to 1
    """

    def __init__(self, pair: DepthPair, max_depth_m: float) -> None:
        self.stamp_ns, self.truth_m, self.max_depth_m = pair.stamp_ns, pair.truth_m, max_depth_m
        self.predicted_m = resize_nearest(pair.predicted_m, pair.truth_m.shape)
        self.has_truth: MaskArray = (self.truth_m > 0) & (self.truth_m <= max_depth_m)
        self.pixels: MaskArray = self.has_truth & (self.predicted_m > 0)
        self.predicted_per_m = 1 / self.predicted_m[self.pixels]
        self.true_per_m = 1 / self.truth_m[self.pixels]
        height = self.truth_m.shape[0]
        rows = ((np.arange(height) + 0.5) / height).astype(np.float32)
        self.row = np.repeat(rows, np.count_nonzero(self.pixels, axis=1))

    def moments(self) -> Moments:
        """Return the moments of the fit of predicted to true inverse depth."""
        return Moments.of(self.predicted_per_m, self.true_per_m)

    def sums(self, depth_m: FloatArray) -> ErrorSums:
        """Return the error sums of ``depth_m``, (N,) floating, at the valid pixels."""
        return ErrorSums.of(depth_m, self.truth_m[self.pixels])

    def aligned_m(self, scale_shift: ScaleShift) -> FloatArray:
        """Return the aligned prediction, (H, W) floating, NaN where it is unknown."""
        known_m = np.where(self.predicted_m > 0, self.predicted_m, np.nan)
        return depth_from_inverse(1 / known_m, scale_shift, self.max_depth_m)

    def report(self, sums: ErrorSums, aligned_m: FloatArray) -> FrameDepthErrors:
        """Return the errors of this frame, given their sums."""
        truth_m = np.where(self.truth_m > 0, self.truth_m, np.nan)
        return FrameDepthErrors(
            self.stamp_ns,
            sums.errors(),
            boundary_f1(aligned_m, truth_m),
            self.moments().fit(DepthAlignment.SCALE)[0],
        )


def depth_from_inverse(x: FloatArray, scale_shift: ScaleShift, max_depth_m: float) -> FloatArray:
    """Return the depth in metres of the inverse depths ``scale * x + shift``, clipped to range."""
    scale, shift = scale_shift
    depth_m: FloatArray = 1 / np.clip(scale * x + shift, 1 / max_depth_m, 1 / MIN_DEPTH_M)
    return depth_m


def error_map(pair: DepthPair, scale_shift: ScaleShift, max_depth_m: float) -> FloatArray:
    """Return |p - t| / t of the aligned prediction, (H, W), NaN where either is unknown."""
    valid = _ValidPixels(pair, max_depth_m)
    aligned_m = valid.aligned_m(scale_shift)
    error: FloatArray = np.full(aligned_m.shape, np.nan)
    truth_m = valid.truth_m[valid.pixels]
    error[valid.pixels] = np.abs(aligned_m[valid.pixels] - truth_m) / truth_m
    return error


def resize_nearest(depth_m: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    """Resize a depth map (h, w) to ``shape`` (H, W) by nearest neighbor.

    Interpolation would invent depths between two surfaces.
    raises   InputError if the aspect ratios differ
    """
    (h, w), (height, width) = depth_m.shape, shape
    if (h, w) == (height, width):
        return depth_m
    if abs(w * height / (h * width) - 1) > ASPECT_TOLERANCE:
        raise InputError(
            f'the prediction is {w}x{h} and the truth {width}x{height}: their aspect '
            'ratios differ; compare depth of one camera'
        )
    rows = (2 * np.arange(height) + 1) * h // (2 * height)
    columns = (2 * np.arange(width) + 1) * w // (2 * width)
    resized: FloatArray = depth_m[rows[:, None], columns]
    return resized


def evaluate_depth(
    pairs: Iterable[DepthPair],
    alignment: DepthAlignment = DepthAlignment.NONE,
    max_depth_m: float = MAX_DEPTH_M,
) -> DepthReport:
    """Evaluate a sequence of depth maps against the truth.

    pairs        in order of time; iterated twice, so not a generator
    alignment    fit of the sequence to the truth before errors are computed
    max_depth_m  farthest true depth that counts
    raises       InputError if no pixel is valid, or aspect ratios differ
    """
    fits = _fit(pairs, alignment, max_depth_m)
    frames, predicted, constant, gradient = [], ErrorSums(), ErrorSums(), ErrorSums()
    log_steps = []
    last: tuple[FloatArray, FloatArray] | None = None
    for valid in (_ValidPixels(pair, max_depth_m) for pair in pairs):
        aligned_m = valid.aligned_m(fits.prediction)
        if last is not None:
            log_steps.append(_log_steps(*last, aligned_m, valid.truth_m))
        last = aligned_m, valid.truth_m
        if valid.pixels.any():
            sums = valid.sums(aligned_m[valid.pixels])
            predicted += sums
            constant += valid.sums(depth_from_inverse(valid.row, fits.constant, max_depth_m))
            gradient += valid.sums(depth_from_inverse(valid.row, fits.gradient, max_depth_m))
            frames.append(valid.report(sums, aligned_m))
    scales = np.array([frame.scale for frame in frames])
    return DepthReport(
        alignment=alignment,
        scale=fits.prediction[0],
        shift_per_m=fits.prediction[1],
        max_depth_m=max_depth_m,
        frames=len(frames),
        errors=predicted.errors(),
        boundary_f1=float(np.mean([frame.boundary_f1 for frame in frames])),
        scale_drift=float(scales.std() / scales.mean()),
        flicker=_mean(log_steps),
        coverage=fits.coverage,
        best_constant=constant.errors(),
        best_gradient=gradient.errors(),
        per_frame=tuple(frames),
    )


@dataclass(frozen=True)
class _Fits:
    """Fits in inverse depth of the prediction and of both baselines."""

    prediction: ScaleShift
    constant: ScaleShift
    gradient: ScaleShift
    coverage: float


def _fit(pairs: Iterable[DepthPair], alignment: DepthAlignment, max_depth_m: float) -> _Fits:
    prediction, rows, has_truth, frames = Moments(), Moments(), 0, 0
    for valid in (_ValidPixels(pair, max_depth_m) for pair in pairs):
        prediction += valid.moments()
        rows += Moments.of(valid.row, valid.true_per_m)
        has_truth += int(np.count_nonzero(valid.has_truth))
        frames += 1
    if not prediction.n:
        raise InputError(
            f'no pixel of {frames} frames has both a prediction and a truth between '
            f'0 and {max_depth_m:g} m; check topics, units and stamps'
        )
    return _Fits(
        prediction.fit(alignment),
        (0.0, rows.y / rows.n),
        rows.fit(DepthAlignment.SCALE_SHIFT),
        prediction.n / has_truth,
    )


def _log_steps(
    last_m: FloatArray, last_truth_m: FloatArray, depth_m: FloatArray, truth_m: FloatArray
) -> FloatArray:
    """Return |ln| of the change of predictions between two frames where the truth is static."""
    if last_truth_m.shape != truth_m.shape:
        return np.empty(0)
    with np.errstate(invalid='ignore'):  # sky and unknown: inf - inf and NaN are not static
        static = np.abs(truth_m - last_truth_m) < STATIC_CHANGE * truth_m
        steps = np.abs(np.log(depth_m[static] / last_m[static]))
    known: FloatArray = steps[~np.isnan(steps)]
    return known


def _mean(parts: list[FloatArray]) -> float:
    count = sum(part.size for part in parts)
    return float(sum(part.sum() for part in parts) / count) if count else float('nan')
