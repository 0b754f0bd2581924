# SPDX-License-Identifier: Apache-2.0
"""Expected relative error of a network's depth, by what its stream shows of it.

Three figures of a region rank its error: the curvature of inverse depth, which is 0 on planes and
large at edges, on clutter and far away, the flicker of depth from frame to frame, and the slope of
depth: what recedes evenly, as a floor, is surer than what is as curved and faces the camera. The
expected error is log-linear in them; its coefficients are fitted to a network
(training/confidence.py) and stand in its card. The error is that of the shape: the scale of the
whole image has a spread of its own, in ~/status.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from videodepth_ros.core.arrays import Float32Array
from videodepth_ros.models.cards import UNCALIBRATED, ErrorModel
from videodepth_ros.stream.options import ConfidenceOptions

DEFAULTS = ConfidenceOptions()
SOBEL_SUM = 8
"""What a Sobel filter of three pixels makes of a slope of one."""


class Figures(NamedTuple):
    """What a stream shows of the error of a frame, (rows, columns) float32 each, >= 0.

    curvature  |v - mean of v around| / v of the inverse depth v
    flicker    mean over frames of |log v - log v before|, without that of the whole image;
               None in the first frame
    slope      change of log v from one cell to the next
    """

    curvature: Float32Array
    flicker: Float32Array | None
    slope: Float32Array


class ErrorEstimator:
    """Expected relative error of the frames of one stream; not thread-safe."""

    def __init__(
        self, model: ErrorModel | None = None, options: ConfidenceOptions = DEFAULTS
    ) -> None:
        """Prepare a stream.

        model  of the network; None: `UNCALIBRATED`
        """
        self._model, self._options = model or UNCALIBRATED, options
        self._last: Float32Array | None = None
        self._flicker: Float32Array | None = None

    def restart(self) -> None:
        """Start another stream: the next frame has no flicker yet."""
        self._last = self._flicker = None

    def update(
        self, inverse_depth: Float32Array, matched: Float32Array | None = None
    ) -> Float32Array:
        """Return the expected relative error (rows, columns) float32 of the next frame, coarsely.

        inverse_depth  (h, w) float32 of the network, stabilised, finite and >= 0
        matched        (H, W) float32 in [0, 1], weight of stereo in it; None without
        """
        model = self._model
        found = self.figures(inverse_depth)
        flicker = model.usual_flicker if found.flicker is None else found.flicker
        error = np.asarray(model.error(found.curvature, flicker, found.slope), np.float32)
        if matched is not None:
            share = cv2.resize(matched, error.shape[::-1], interpolation=cv2.INTER_AREA)
            error = error * (1 - np.float32(self._options.matched_gain) * share)
        return np.clip(error, model.least, model.most).astype(np.float32)

    def figures(self, inverse_depth: Float32Array) -> Figures:
        """Return the figures of the next frame."""
        options = self._options
        rows, columns = grid_shape(inverse_depth.shape, options)
        means = cv2.resize(inverse_depth, (columns, rows), interpolation=cv2.INTER_AREA)
        grid = np.maximum(means, options.least_inverse_depth).astype(np.float32, copy=False)
        log_grid = np.log(grid)
        return Figures(self._curvature(grid), self._next_flicker(log_grid), self._slope(log_grid))

    def _curvature(self, grid: Float32Array) -> Float32Array:
        around = cv2.blur(grid, (self._options.curvature_window_px,) * 2)
        return self._smoothed(np.abs(around - grid) / grid)

    def _slope(self, log_grid: Float32Array) -> Float32Array:
        across, down = (
            cv2.Sobel(log_grid, cv2.CV_32F, dx, dy, scale=1 / SOBEL_SUM)
            for dx, dy in ((1, 0), (0, 1))
        )
        return self._smoothed(np.hypot(across, down))

    def _next_flicker(self, log_grid: Float32Array) -> Float32Array | None:
        last, self._last = self._last, log_grid
        if last is None or last.shape != log_grid.shape:
            self._flicker = None
            return None
        change = log_grid - last
        new = self._smoothed(np.abs(change - np.median(change)))
        weight = np.float32(self._options.flicker_weight)
        before = new if self._flicker is None else self._flicker
        self._flicker = before + weight * (new - before)
        return self._flicker

    def _smoothed(self, values: Float32Array) -> Float32Array:
        return np.asarray(cv2.blur(values, (self._options.smoothing_window_px,) * 2), np.float32)


def grid_shape(shape: tuple[int, ...], options: ConfidenceOptions = DEFAULTS) -> tuple[int, int]:
    """Return rows and columns of the grid on which the errors of a map (h, w) are estimated."""
    height, width = shape
    step = max(1, round(width / options.grid_width_px))
    return max(1, height // step), max(1, width // step)


def confidence_map(
    error: Float32Array, depth_m: Float32Array, options: ConfidenceOptions = DEFAULTS
) -> Float32Array:
    """Return the confidence (H, W) float32 of depth: 1 - expected relative error.

    error    (rows, columns) float32, by `ErrorEstimator.update`; resized bilinearly
    depth_m  (H, W) float32; confidence is 0 where it is NaN, and ``at_infinity`` where it is +inf
    """
    height, width = depth_m.shape
    confidence = np.asarray(cv2.resize(1 - error, (width, height)), np.float32)
    known = np.isfinite(depth_m)
    if not known.all():
        confidence[~known] = np.where(
            np.isnan(depth_m[~known]), np.float32(0), np.float32(options.at_infinity)
        )
    return confidence
