# SPDX-License-Identifier: Apache-2.0
"""Scale and shift from relative inverse depth to metres, one pair for each shot.

1 / Z = scale * relative + shift is fitted robustly to all metric depth of the shot: of a metric
prior, a lidar or a depth camera; dense or sparse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from videodepth_ros.core.arrays import Float32Array, Float64Array
from videodepth_ros.core.errors import InputError
from videodepth_ros.geometry.robust import mad_sigma
from videodepth_ros.refine.options import SCALE_SHIFT, ScaleShiftOptions


@dataclass(frozen=True)
class ScaleShift:
    """1 / Z = scale * relative + shift, Z in metres, or in a unit of the shot where not metric.

    is_metric  whether metric depth was known
    samples    number of pixels in the fit
    log_error  median |ln(fitted / known)| of their depths
    """

    scale: float
    shift: float
    is_metric: bool
    samples: int = 0
    log_error: float = float('nan')

    def depth(self, relative: Float32Array) -> Float32Array:
        """Return Z (h, w) float32 of relative inverse depth: +inf where 1 / Z <= 0, NaN stays."""
        inverse = np.float32(self.scale) * relative + np.float32(self.shift)
        with np.errstate(divide='ignore', invalid='ignore'):
            return np.asarray(np.where(inverse <= 0, np.float32(np.inf), 1 / inverse), np.float32)


def fit_scale_shift(
    relative: Sequence[Float32Array],
    known_m: Sequence[Float32Array | None],
    options: ScaleShiftOptions = SCALE_SHIFT,
) -> ScaleShift:
    """Fit one scale and shift to the frames of a shot.

    relative  (N, h, w) float32, inverse depth up to scale and shift, larger is nearer; NaN unknown
    known_m   a depth (H, W) for each frame, Z in metres; NaN, 0 and +inf unknown; None: no depth
    returns   a fit that is not metric where too little is known, or where the fitted scale is
              not positive
    raises    InputError where there is no relative depth at all
    """
    per_frame = max(options.min_samples, options.max_samples // max(len(relative), 1))
    samples = [
        _sample(frame, frame_m, per_frame)
        for frame, frame_m in zip(relative, known_m, strict=True)
        if frame_m is not None
    ]
    if samples:
        x, inverse = np.concatenate(samples).T
        if len(x) >= options.min_samples and np.ptp(x) > 0:
            scale, shift = _fit_line(x, inverse, options)
            if scale > 0:
                fitted = np.maximum(scale * x + shift, np.finfo(np.float32).tiny)
                error = float(np.median(np.abs(np.log(fitted / inverse))))
                return ScaleShift(scale, shift, True, len(x), error)
    return _without_metres(relative, options)


def _sample(relative: Float32Array, known_m: Float32Array, count: int) -> Float64Array:
    """Return relative and known inverse depth at the same pixels, (P, 2) float64, P <= count."""
    (h, w), (height, width) = relative.shape, known_m.shape
    rows, columns = np.nonzero(np.isfinite(known_m) & (known_m > 0))
    x = relative[(2 * rows + 1) * h // (2 * height), (2 * columns + 1) * w // (2 * width)]
    pairs = np.column_stack([x, 1 / known_m[rows, columns].astype(np.float64)])
    pairs = pairs[np.isfinite(pairs).all(axis=1)]
    return np.asarray(pairs[:: max(1, -(-len(pairs) // count))])


def _fit_line(
    x: Float64Array, inverse: Float64Array, options: ScaleShiftOptions
) -> tuple[float, float]:
    """Fit inverse = scale * x + shift by iteratively reweighted least squares, Cauchy weights."""
    weight = np.ones(len(x))
    scale = shift = 0.0
    for _ in range(options.iterations):
        total = weight.sum()
        x_mean, y_mean = weight @ x / total, weight @ inverse / total
        centred = x - x_mean
        variance = weight @ (centred * centred)
        covariance = weight @ (centred * (inverse - y_mean))
        scale = float(covariance / max(variance, np.finfo(float).tiny))
        shift = float(y_mean - scale * x_mean)
        error = np.abs(inverse - scale * x - shift)
        sigma = max(mad_sigma(error), options.min_sigma * float(np.median(inverse)))
        weight = 1 / (1 + np.square(error / (options.cauchy_width * sigma)))
    return scale, shift


def _without_metres(relative: Sequence[Float32Array], options: ScaleShiftOptions) -> ScaleShift:
    """Return the fit that puts the depth of a shot between 1 and ``depth_ratio``."""
    finite = [frame[np.isfinite(frame)] for frame in relative]
    ranges = [(float(values.min()), float(values.max())) for values in finite if values.size]
    if not ranges:
        raise InputError('no frame of the shot has any depth')
    least, most = min(low for low, _ in ranges), max(high for _, high in ranges)
    farthest = options.depth_ratio
    scale = (1 - 1 / farthest) / max(most - least, 1e-12)
    return ScaleShift(scale, 1 / farthest - scale * least, is_metric=False)
