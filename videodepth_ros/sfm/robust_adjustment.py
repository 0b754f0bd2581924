# SPDX-License-Identifier: Apache-2.0
"""Robust bundle adjustment: rounds with noise estimation and outlier removal between them.

The sigma of the depth prior is estimated against points that parallax triangulates without it: a
depth camera keeps its weight, a network that distorts scenes loses it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from videodepth_ros.core.arrays import Float64Array, IndexArray
from videodepth_ros.geometry.robust import mad_sigma
from videodepth_ros.sfm.bundle_adjustment import BundleAdjuster
from videodepth_ros.sfm.options import DEFAULTS, NoiseOptions, ReconstructionOptions
from videodepth_ros.sfm.reprojection import (
    BundleState,
    NoiseModel,
    Observations,
    compute_residuals,
    triangulation_step,
)


@dataclass(frozen=True)
class SparseReconstruction:
    """Cameras and points of a recording.

    observations     inliers
    state            cameras and points
    noise            sigmas estimated from the residuals
    log_depth_sigma  (M,), sigma of each point's log depth, by parallax alone
    """

    observations: Observations
    state: BundleState
    noise: NoiseModel
    log_depth_sigma: Float64Array

    @property
    def has_parallax(self) -> bool:
        """Return whether the camera was found to move."""
        return not len(self.log_depth_sigma) or bool(np.isfinite(self.log_depth_sigma).any())


def adjuster_of(sparse: SparseReconstruction, options: ReconstructionOptions) -> BundleAdjuster:
    """Return the bundle adjuster of a reconstruction's observations."""
    return BundleAdjuster(
        sparse.observations, options.tracking.max_track_length, options.bundle_adjustment
    )


def adjust_robustly(
    observations: Observations,
    state: BundleState,
    noise: NoiseModel,
    options: ReconstructionOptions = DEFAULTS,
) -> SparseReconstruction:
    """Adjust cameras and points from the initial ``state``.

    noise  initial sigmas. The first adjustment assumes a measured prior; if its residuals refute
           that, the adjustment starts again with ``noise``.
    """
    measured = replace(
        noise,
        log_depth_sigma=options.noise.measured_log_depth_sigma,
        log_scale_sigma=options.noise.measured_log_scale_sigma,
        is_measured=True,
    )
    adjuster = BundleAdjuster(
        observations, options.tracking.max_track_length, options.bundle_adjustment
    )
    trial = adjuster.solve(state, measured, options.robust_adjustment.iterations[0])
    if estimate_noise(observations, trial, measured, options.noise).is_measured:
        noise, state = measured, trial
    return adjust_in_rounds(
        observations, state, noise, options.robust_adjustment.iterations, options
    )


def adjust_in_rounds(
    observations: Observations,
    state: BundleState,
    noise: NoiseModel,
    iterations: Sequence[int],
    options: ReconstructionOptions = DEFAULTS,
) -> SparseReconstruction:
    """Adjust, estimate the noise and remove outliers, one round for each of ``iterations``."""
    for max_iterations in iterations:
        adjuster = BundleAdjuster(
            observations, options.tracking.max_track_length, options.bundle_adjustment
        )
        state = adjuster.solve(state, noise, max_iterations)
        noise = estimate_noise(observations, state, noise, options.noise)
        observations, state = _remove_outliers(
            observations, state, noise, options.robust_adjustment.outlier_threshold
        )
    _, sigma = triangulation_step(observations, state, noise)
    return SparseReconstruction(observations, state, noise, sigma)


def estimate_noise(
    observations: Observations,
    state: BundleState,
    noise: NoiseModel,
    options: NoiseOptions = NoiseOptions(),
) -> NoiseModel:
    """Return the sigmas estimated from the residuals; too few points keep those of ``noise``."""
    residuals = compute_residuals(observations, state, noise)
    tracked = ~observations.is_reference
    pixel_sigma = noise.pixel_sigma
    if np.count_nonzero(tracked) >= options.min_points:
        pixel_sigma *= mad_sigma(residuals.pixel[tracked])
    step, sigma = (
        values[observations.track] for values in triangulation_step(observations, state, noise)
    )
    triangulated = (sigma < options.max_triangulation_sigma) & ~np.isnan(
        observations.log_prior_depth
    )
    log_depth_sigma, is_measured = noise.log_depth_sigma, False
    if np.count_nonzero(triangulated) >= options.min_points:
        error = noise.log_depth_sigma * residuals.log_depth[triangulated] - step[triangulated]
        variance = mad_sigma(error) ** 2 - np.median(sigma[triangulated]) ** 2
        log_depth_sigma = float(np.sqrt(max(variance, 0.0)))
        log_depth_sigma = float(
            np.clip(log_depth_sigma, options.min_log_depth_sigma, options.max_log_depth_sigma)
        )
        frame, xy = observations.frame[triangulated], observations.xy[triangulated]
        is_measured = _correlated_error(frame, xy, error, options) < options.max_cell_error
    return replace(
        noise,
        pixel_sigma=max(pixel_sigma, options.min_pixel_sigma_px),
        log_depth_sigma=log_depth_sigma,
        is_measured=is_measured,
        log_scale_sigma=options.measured_log_scale_sigma if is_measured else log_depth_sigma,
    )


def _correlated_error(
    frame: IndexArray, xy: Float64Array, error: Float64Array, options: NoiseOptions
) -> float:
    """Return the quantile of |median error| of the cells of frames; infinite for few cells.

    Independent errors cancel in the median of a cell; those of a network do not.
    """
    columns, rows = options.cells
    reach = np.abs(xy).max(axis=0) + 1e-9
    place = np.minimum((xy / reach + 1) / 2 * options.cells, np.array(options.cells) - 1)
    column, row = place.astype(int).T
    cell = (frame * rows + row) * columns + column
    order = np.argsort(cell, kind='stable')
    cells = np.split(error[order], np.flatnonzero(np.diff(cell[order])) + 1)
    medians = [np.median(one) for one in cells if len(one) >= options.min_points_per_cell]
    if len(medians) < options.min_cells:
        return np.inf
    return float(np.quantile(np.abs(medians), options.cell_quantile))


def _remove_outliers(
    observations: Observations, state: BundleState, noise: NoiseModel, threshold: float
) -> tuple[Observations, BundleState]:
    """Remove observations of large reprojection error, and tracks of which only one is left."""
    residuals = compute_residuals(observations, state, noise)
    inlier = np.linalg.norm(residuals.pixel, axis=1) < threshold
    others = np.add.reduceat((inlier & ~observations.is_reference).astype(int), observations.start)
    kept = inlier & (others > 0)[observations.track]
    return observations.select(kept), replace(
        state, log_inverse_depth=state.log_inverse_depth[others > 0]
    )
