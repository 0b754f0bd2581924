# SPDX-License-Identifier: Apache-2.0
"""From relative inverse depth to metres: one scale and shift for each shot.

What is known of metres may be dense or thin, exact or not: a metric prior, a lidar, a depth
camera. 1 / Z = scale * relative + shift is fitted to all of it, robustly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.core.errors import InputError
from videodepth_ros.geometry.robust import mad_sigma

Array = NDArray[np.float32]
Array64 = NDArray[np.float64]

MOST_SAMPLES = 100_000
"""Of a shot, taken evenly from all of its frames."""
FEWEST_SAMPLES = 20
PASSES = 30
CAUCHY = 2.0
LEAST_ERROR = 1e-4
FARTHEST = 100.0
"""Without metres: the greatest depth, where the least is 1."""


@dataclass(frozen=True)
class ScaleShift:
    """1 / Z = scale * relative + shift, Z in metres, or in a unit of the shot where not metric.

    metric   whether metres were known
    samples  how many; log_error is the median |ln| of the fitted depth over the known one
    """

    scale: float
    shift: float
    metric: bool
    samples: int = 0
    log_error: float = float('nan')

    def depth(self, relative: Array) -> Array:
        """Return Z (h, w) float32 of relative inverse depth; +inf where that is beyond infinity.

        NaN stays.
        """
        inverse = np.float32(self.scale) * relative + np.float32(self.shift)
        with np.errstate(divide='ignore', invalid='ignore'):
            return np.asarray(np.where(inverse <= 0, np.float32(np.inf), 1 / inverse), np.float32)


def fit_scale_shift(relative: Sequence[Array], known_m: Sequence[Array | None]) -> ScaleShift:
    """Fit one scale and shift for the frames of a shot.

    relative  (N, h, w) float32, inverse depth up to scale and shift, larger is nearer; NaN unknown
    known_m   a depth (H, W) for each frame, Z in metres; NaN, 0 and +inf unknown; None: no depth
    returns   an anchor that is not metric where too little is known, or where what is known says
              that larger is farther: nothing can be made of that
    raises    InputError where there is no relative depth at all
    """
    most = max(FEWEST_SAMPLES, MOST_SAMPLES // max(len(relative), 1))
    pairs = [
        _paired(one, metres, most)
        for one, metres in zip(relative, known_m, strict=True)
        if metres is not None
    ]
    if pairs:
        told, inverse = np.concatenate(pairs).T
        if len(told) >= FEWEST_SAMPLES and np.ptp(told) > 0:
            scale, shift = _line(told, inverse)
            if scale > 0:
                fitted = np.maximum(scale * told + shift, np.finfo(np.float32).tiny)
                error = float(np.median(np.abs(np.log(fitted / inverse))))
                return ScaleShift(scale, shift, True, len(told), error)
    return _without_metres(relative)


def _paired(relative: Array, known_m: Array, most: int) -> Array64:
    """Return relative and known inverse depth at the same places, (P, 2) float64, P <= most."""
    (h, w), (height, width) = relative.shape, known_m.shape
    rows, columns = np.nonzero(np.isfinite(known_m) & (known_m > 0))
    told = relative[(2 * rows + 1) * h // (2 * height), (2 * columns + 1) * w // (2 * width)]
    pairs = np.column_stack([told, 1 / known_m[rows, columns].astype(np.float64)])
    pairs = pairs[np.isfinite(pairs).all(axis=1)]
    return np.asarray(pairs[:: max(1, -(-len(pairs) // most))])


def _line(told: Array64, inverse: Array64) -> tuple[float, float]:
    """Fit inverse = scale * told + shift, outliers aside (iteratively reweighted)."""
    weight = np.ones(len(told))
    scale = shift = 0.0
    for _ in range(PASSES):
        total = weight.sum()
        middle, mean = weight @ told / total, weight @ inverse / total
        away = told - middle
        spread = weight @ (away * away)
        scale = float(weight @ (away * (inverse - mean)) / max(spread, np.finfo(float).tiny))
        shift = float(mean - scale * middle)
        error = np.abs(inverse - scale * told - shift)
        usual = max(mad_sigma(error), LEAST_ERROR * float(np.median(inverse)))
        weight = 1 / (1 + np.square(error / (CAUCHY * usual)))
    return scale, shift


def _without_metres(relative: Sequence[Array]) -> ScaleShift:
    """Return the anchor that brings a shot's depth between 1 and FARTHEST."""
    finite = [one[np.isfinite(one)] for one in relative]
    ends = [(float(one.min()), float(one.max())) for one in finite if one.size]
    if not ends:
        raise InputError('no frame of the shot has any depth')
    least, most = min(low for low, _ in ends), max(high for _, high in ends)
    scale = (1 - 1 / FARTHEST) / max(most - least, 1e-12)
    return ScaleShift(scale, 1 / FARTHEST - scale * least, metric=False)
