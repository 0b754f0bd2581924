# SPDX-License-Identifier: Apache-2.0
"""Co-alignment of single-frame depth: the frames of a recording agree on shared landmarks.

A model that estimates each frame alone gives snippets of length 1, without common depth maps. Its
frames are connected by landmarks instead, which feature tracks and bundle adjustment triangulate
up to one scale. The correction of a frame has three factors, from global to local: a depth curve
of the recording (networks compress depth in all frames alike), a scale of the frame, and a smooth
field over its image. Each is shrunk to what exceeds the noise of the landmarks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.coalign.options import STREAM_DEFAULTS, DepthCurveOptions, StreamOptions
from videodepth_ros.core.arrays import Float32Array, Float64Array, IndexArray, MaskArray
from videodepth_ros.core.threads import single_threaded_blas
from videodepth_ros.core.workspace import save_npz
from videodepth_ros.geometry.bilinear_grid import SmoothGridOptions, evaluate_grid, fit_smooth_grid
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.geometry.robust import mad_sigma, weighted_median
from videodepth_ros.sfm.depth_correction import LandmarkDepths, Landmarks, compare_with_prior
from videodepth_ros.sfm.robust_adjustment import SparseReconstruction
from videodepth_ros.sfm.sparse import reconstruct_sparse
from videodepth_ros.sfm.tracks import ImageSequence
from videodepth_ros.sfm.zoom import Zoom


@dataclass(frozen=True)
class DepthCurve:
    """Log correction factor as a polyline over log depth; constant beyond its ends.

    knots   (K,) float64, log depth, increasing
    values  (K,) float64, log factor
    """

    knots: Float64Array
    values: Float64Array

    @classmethod
    def identity(cls) -> DepthCurve:
        """Return the curve of factor 1."""
        return cls(np.zeros(1), np.zeros(1))

    def __call__(self, log_depth: NDArray[np.floating]) -> Float64Array:
        """Return the log factor at log depths of any shape; NaN stays."""
        return np.interp(log_depth, self.knots, self.values)

    def shifted(self, log_factor: float) -> DepthCurve:
        """Return the curve with a constant added to its log factors."""
        return DepthCurve(self.knots, self.values + log_factor)


def fit_depth_curve(
    log_depth: Float64Array,
    log_ratio: Float64Array,
    weight: Float64Array,
    options: DepthCurveOptions = STREAM_DEFAULTS.curve,
) -> DepthCurve:
    """Fit a curve to P points (P,): their log depth, desired log factor, and weight.

    Iteratively re-weighted least squares with a Cauchy loss, and penalties on squared first and
    second differences of the polyline.
    """
    low, high = np.quantile(log_depth, options.end_quantiles)
    if not high > low:
        return DepthCurve(np.array([low]), np.array([float(np.median(log_ratio))]))
    count = options.knots
    knots = np.linspace(low, high, count)
    hats = np.maximum(
        0, 1 - np.abs(np.clip(log_depth, low, high)[:, None] - knots) * (count - 1) / (high - low)
    )
    bends, slopes = (np.diff(np.eye(count), order, axis=0) for order in (2, 1))
    penalty = weight.sum() * (
        options.curvature_weight * bends.T @ bends + options.slope_weight * slopes.T @ slopes
    )
    sigma = mad_sigma(log_ratio) + options.min_sigma
    values = np.zeros(count)
    for _ in range(options.iterations):
        share = np.square((log_ratio - hats @ values) / (options.cauchy_sigmas * sigma))
        robust = weight / (1 + share)
        values = np.linalg.solve(
            (hats.T * robust) @ hats + penalty + 1e-9 * np.eye(count),  # never singular
            hats.T @ (robust * log_ratio),
        )
    return DepthCurve(knots, values)


@dataclass(frozen=True)
class StreamAlignment:
    """Depth correction of the N frames of a recording, as log factors.

    curve      by the log depth of the model, for all frames
    log_scale  (N,) float32, of each frame
    log_field  (N, rows, columns) float32, nodes of a bilinear field over each image
    connected  (N,) bool, frames that share landmarks with others; only the curve corrects the rest
    """

    curve: DepthCurve
    log_scale: Float32Array
    log_field: Float32Array
    connected: MaskArray

    def apply(self, frame: int, depth: Float32Array) -> Float32Array:
        """Return the corrected depth (h, w) float32 of a frame; NaN and +inf stay."""
        height, width = depth.shape
        with np.errstate(invalid='ignore', divide='ignore'):
            factor = self.curve(np.log(depth)) + self.log_scale[frame]
        factor += evaluate_grid(self.log_field[frame].astype(np.float64), height, width)
        return np.asarray(depth * np.exp(factor), np.float32)

    def save(self, path: Path) -> None:
        """Write one .npz atomically."""
        save_npz(
            path,
            knots=self.curve.knots,
            values=self.curve.values,
            log_scale=self.log_scale,
            log_field=self.log_field,
            connected=self.connected,
        )

    @classmethod
    def load(cls, path: Path) -> StreamAlignment:
        """Read a file of `save`."""
        with np.load(path) as stored:
            return cls(
                DepthCurve(stored['knots'], stored['values']),
                stored['log_scale'],
                stored['log_field'],
                stored['connected'],
            )


@single_threaded_blas()
def coalign_stream(
    images: ImageSequence,
    depth: Float32Array,
    camera: Intrinsics | None,
    on_progress: Callable[[float], None] = lambda _: None,
    options: StreamOptions = STREAM_DEFAULTS,
    *,
    zoom: Zoom | None = None,
) -> StreamAlignment:
    """Estimate the depth correction that makes the frames of a recording agree; deterministic.

    images       (N, H, W, 3) uint8 RGB, of the depth's aspect ratio and any size
    depth        (N, h, w) float32, Z, in one unit as far as the model keeps it; NaN unknown, +inf
                 sky; may be a memory map
    camera       intrinsics at (h, w); None: the focal length is estimated
    on_progress  called with the share of the work that is done, 0 to 1
    zoom         intrinsics of the frames relative to ``camera``; None: all have those
    raises       InputError where images, depth and camera do not match

    The unit stays that of the depth: the median factor over all pixels, weighted by 1 / Z, is 1.
    """
    found = reconstruct_sparse(
        images, depth, camera, lambda share: on_progress(0.9 * share), zoom=zoom
    )
    sparse, cameras = found.sparse, found.zoom.cameras(found.camera)
    landmarks = Landmarks.from_reconstruction(sparse)
    views = [
        compare_with_prior(sparse, landmarks, n, one, cameras[n]) for n, one in enumerate(depth)
    ]
    segment = _segments(sparse, views, options)
    connected = segment >= 0
    curve, log_scale = _fit_curve_and_scales(views, connected, options)
    errors = [
        view.log_ratio - curve(view.log_prior_depth) - own
        for view, own in zip(views, log_scale, strict=True)
    ]
    field = _fit_fields(views, errors, np.flatnonzero(connected), options)
    log_scale = _shrink_scales(log_scale, views, errors, segment, options)
    alignment = StreamAlignment(
        curve, log_scale.astype(np.float32), field.astype(np.float32), connected
    )
    on_progress(1.0)
    return _in_model_unit(alignment, depth, options.unit_stride_px)


def _fit_fields(
    views: Sequence[LandmarkDepths],
    errors: Sequence[Float64Array],
    frames: IndexArray,
    options: StreamOptions,
) -> Float64Array:
    """Return the grids (N, rows, columns) that fit the errors of some frames; 0 in the others."""
    field = np.zeros((len(views), *options.grid.shape))
    if not len(frames):
        return field
    sigma = _sigma(np.concatenate([errors[frame] for frame in frames]), options)
    for frame in frames:
        view = views[frame]
        field[frame] = fit_smooth_grid(
            view.uv, errors[frame], view.sigma, sigma, 0.0, options.grid
        )
    return field


def _segments(
    sparse: SparseReconstruction, views: Sequence[LandmarkDepths], options: StreamOptions
) -> IndexArray:
    """Return the segment of each frame, (N,): runs of connected frames; -1 where there is none.

    Measured depth has no segments: its errors are those of a sensor, and stay.
    """
    observations = sparse.observations
    if sparse.noise.is_measured:
        return np.full(observations.frames, -1, np.intp)
    length = np.bincount(observations.track, minlength=len(observations.start))
    long = length >= options.min_track_length
    first = observations.frame[observations.start]
    last = observations.frame[observations.start + length - 1]
    passing = np.array(
        [
            np.count_nonzero(long & (first <= frame) & (last > frame))
            for frame in range(observations.frames - 1)
        ],
        np.intp,
    )
    fewest = options.min_landmarks
    segment = np.concatenate([[0], np.cumsum(passing < fewest)]).astype(np.intp)
    enough = np.array([len(view.log_ratio) >= fewest for view in views])
    long_enough = np.bincount(segment)[segment] >= options.min_segment_frames
    return np.where(enough & long_enough, segment, -1)


def _fit_curve_and_scales(
    views: Sequence[LandmarkDepths], connected: MaskArray, options: StreamOptions
) -> tuple[DepthCurve, Float64Array]:
    """Alternate between the curve of the recording and the log scales of the frames."""
    log_scale, curve = np.zeros(len(views)), DepthCurve.identity()
    frames: list[int] = np.flatnonzero(connected).tolist()
    if not frames:
        return curve, log_scale
    weights = [_cell_balanced_weights(view, options.grid) for view in views]
    log_depth = np.concatenate([views[frame].log_prior_depth for frame in frames])
    weight = np.concatenate([weights[frame] for frame in frames])
    for turn in range(options.alternations + 1):
        for frame in frames:
            view = views[frame]
            nearness = np.exp(view.log_prior_depth.min() - view.log_prior_depth)
            log_scale[frame] = weighted_median(
                view.log_ratio - curve(view.log_prior_depth), weights[frame] * nearness
            )
        if turn < options.alternations:
            curve = fit_depth_curve(
                log_depth,
                np.concatenate([views[frame].log_ratio - log_scale[frame] for frame in frames]),
                weight,
                options.curve,
            )
    return curve, log_scale


def _cell_balanced_weights(view: LandmarkDepths, grid: SmoothGridOptions) -> Float64Array:
    """Return weights of a view's landmarks that give each grid cell the same total."""
    cell = _cells(view, grid)
    count = np.bincount(cell, minlength=grid.rows * grid.columns)
    return np.asarray(1 / np.maximum(count, 1)[cell])


def _cells(view: LandmarkDepths, grid: SmoothGridOptions) -> IndexArray:
    """Return the index of the grid cell of each landmark, (P,)."""
    column, row = (view.uv * [grid.columns, grid.rows]).astype(np.intp).T
    return row * grid.columns + column


def _sigma(error: Float64Array, options: StreamOptions) -> float:
    return float(np.clip(mad_sigma(error), options.min_sigma, options.max_sigma))


def _shrink_scales(
    log_scale: Float64Array,
    views: Sequence[LandmarkDepths],
    errors: Sequence[Float64Array],
    segment: IndexArray,
    options: StreamOptions,
) -> Float64Array:
    """Return the log scales (N,) about their segment's median, shrunk by their uncertainty.

    Empirical Bayes (Efron and Morris, 1975): the variance of the scales beyond that of their
    errors is the model's own; where there is none, the scales of the model stay.
    """
    shrunk = np.zeros_like(log_scale)
    for number in np.unique(segment[segment >= 0]):
        frames: list[int] = np.flatnonzero(segment == number).tolist()
        deviation = log_scale[frames] - np.median(log_scale[frames])
        cells = [len(np.unique(_cells(views[frame], options.grid))) for frame in frames]
        error_variance = np.array(
            [
                _sigma(errors[frame], options) ** 2 * options.correlated_cells / count
                for frame, count in zip(frames, cells, strict=True)
            ]
        )
        excess = float(np.mean(np.minimum(deviation**2, 1)) - np.mean(error_variance))
        model_variance = max(excess, 0.0)
        shrunk[frames] = deviation * model_variance / (model_variance + error_variance)
    return shrunk


def _in_model_unit(
    alignment: StreamAlignment, depth: Float32Array, stride: int
) -> StreamAlignment:
    """Shift the curve so that the median factor of all pixels, weighted by 1 / Z, is 1.

    Near depth is where networks err least and where robots need it most.
    """
    factors, weights = [np.zeros(0)], [np.zeros(0)]
    for frame in range(len(depth)):
        sampled = np.ascontiguousarray(depth[frame][stride // 2 :: stride, stride // 2 :: stride])
        with np.errstate(invalid='ignore', divide='ignore'):
            factor = np.log(alignment.apply(frame, sampled) / sampled)
        known = np.isfinite(factor)
        factors.append(factor[known])
        weights.append(1 / sampled[known])
    every = np.concatenate(factors)
    median = weighted_median(every, np.concatenate(weights)) if every.size else 0.0
    return StreamAlignment(
        alignment.curve.shifted(-median),
        alignment.log_scale,
        alignment.log_field,
        alignment.connected,
    )
