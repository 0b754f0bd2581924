# SPDX-License-Identifier: Apache-2.0
"""Odometry beside the cameras of a reconstruction: metric scale, outliers, a motion prior.

Odometry leaps (a relocalization, a lost encoder message) and slips (a wheel). Steps that disagree
with the images are left out; the others give the metres of a unit, and an expected motion where
the images see none.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from videodepth_ros.core.arrays import Edge, Float64Array, IndexArray, MaskArray
from videodepth_ros.geometry.robust import mad_sigma, weighted_median
from videodepth_ros.geometry.rotation import so3_log
from videodepth_ros.geometry.sim3 import Sim3
from videodepth_ros.sfm.motion_options import OdometryOptions
from videodepth_ros.sfm.motion_prior import MotionPrior, chain_steps, steps_between
from videodepth_ros.sfm.options import DEFAULTS, ReconstructionOptions
from videodepth_ros.sfm.robust_adjustment import SparseReconstruction, adjust_in_rounds


@dataclass(frozen=True)
class OdometryFit:
    """Agreement of odometry with the cameras of N frames.

    is_usable        whether both have moved, and alike
    metres_per_unit  of the reconstruction; NaN where neither has moved
    is_used          (N - 1,) bool, steps that agree with the images, or whose images show nothing
    is_outlier       (N - 1,) bool, steps that disagree
    translation_sigma_m, rotation_sigma_rad  (N - 1,), of the odometry's steps
    """

    is_usable: bool
    metres_per_unit: float
    is_used: MaskArray
    is_outlier: MaskArray
    translation_sigma_m: Float64Array
    rotation_sigma_rad: Float64Array

    @property
    def outlier_frames(self) -> IndexArray:
        """Frames at the end of the steps that disagree."""
        return 1 + np.flatnonzero(self.is_outlier)


def robust_length_ratio(
    estimated: Float64Array, known_m: Float64Array, min_path_m: float
) -> float | None:
    """Return metres per unit from motions (K, 3); None where they are too short.

    The median of the ratios of lengths, weighted by the estimated length: an outlier of any size
    weighs no more than its step.
    """
    length, known = (np.linalg.norm(one, axis=1) for one in (estimated, known_m))
    if known.sum() <= min_path_m or length.sum() <= 0:
        return None
    moving = length > 0
    ratio = weighted_median(known[moving] / length[moving], length[moving])
    return ratio if ratio > 0 else None


def fit_odometry(
    T_cam_world: Sim3,
    is_visible: MaskArray,
    odometry_m: Float64Array,
    options: OdometryOptions = OdometryOptions(),
) -> OdometryFit:
    """Compare odometry with the motion of N cameras by the images.

    is_visible  (N - 1,) bool, steps that the images determine
    odometry_m  (N - 1, 4, 4), T_cam_next of each step in metres; NaN where unknown
    """
    is_known = np.asarray(np.isfinite(odometry_m).all(axis=(1, 2)))
    measured = Sim3.from_se3(np.where(is_known[:, None, None], odometry_m, np.eye(4)))
    visual, compared = steps_between(T_cam_world).inverse(), is_known & is_visible
    v, o = visual.translation, measured.translation
    scale = robust_length_ratio(v[compared], o[compared], options.min_path_m)
    if scale is None:
        nothing, unknown = np.zeros(len(v), np.bool_), np.full(len(v), np.inf)
        return OdometryFit(False, np.nan, nothing, nothing, unknown, unknown)
    for _ in range(options.iterations):
        size = scale * np.linalg.norm(v, axis=1)
        size += options.length_floor * weighted_median(size[compared], size[compared])
        error = (o - scale * v) / size[:, None] * compared[:, None]
        sigma = max(mad_sigma(np.linalg.norm(error[compared], axis=1)), options.min_sigma)
        agrees = compared & ~_find_outliers(error, sigma, options)
        scale = _regress(v * compared[:, None], o, agrees / size, options) or scale
    turn = so3_log(np.swapaxes(visual.rotation, 1, 2) @ measured.rotation)
    sigma_rad = mad_sigma(np.linalg.norm(turn[compared], axis=1))
    longest_m = float(np.linalg.norm(o[agrees], axis=1).max(initial=0.0))
    blind = is_known & ~is_visible
    plausible = np.linalg.norm(o, axis=1) <= options.max_blind_ratio * longest_m
    used = agrees | (blind & plausible)
    return OdometryFit(
        sigma <= options.max_sigma,
        scale,
        used,
        is_known & ~used,
        options.correlation * sigma * np.where(blind, longest_m, size),
        np.full(len(v), options.correlation * max(sigma_rad, options.min_rotation_sigma_rad)),
    )


def _find_outliers(error: Float64Array, sigma: float, options: OdometryOptions) -> MaskArray:
    """Return the steps whose relative error (K, 3) is large, alone or as the mean of a run."""
    window = np.ones(options.run_length) / options.run_length
    limit = max(options.outlier_sigmas * sigma, options.min_outlier)
    run_limit = max(options.outlier_sigmas * sigma * window[0] ** 0.5, options.min_run_outlier)
    single = np.linalg.norm(error, axis=1) > limit
    rest = np.where(single[:, None], 0.0, error).T
    mean = np.stack([np.convolve(axis, window, 'same')[: len(error)] for axis in rest], axis=1)
    run = np.convolve(np.linalg.norm(mean, axis=1) > run_limit, window, 'same')[: len(error)]
    return np.asarray(single | (run > 0))


def adjust_with_odometry(
    sparse: SparseReconstruction,
    odometry_m: Float64Array,
    is_visible: MaskArray,
    is_stationary: MaskArray,
    options: ReconstructionOptions = DEFAULTS,
) -> tuple[SparseReconstruction, MaskArray]:
    """Adjust again with the odometry's steps as the expected motion, outliers left out.

    is_visible, is_stationary  (N - 1,) bool, of the steps; parameters as of `fit_odometry`
    returns  the reconstruction, and the steps (N - 1,) that odometry carries it through;
             ``sparse`` and none where the odometry cannot be used
    """
    fit = fit_odometry(sparse.state.T_cam_world, is_visible, odometry_m, options.odometry)
    if not fit.is_usable:
        return sparse, np.zeros(len(is_visible), np.bool_)
    expected = Sim3.from_se3(odometry_m).inverse()
    expected = replace(expected, translation=expected.translation / fit.metres_per_unit)
    prior = MotionPrior(
        expected, fit.translation_sigma_m / fit.metres_per_unit, fit.rotation_sigma_rad
    ).where(fit.is_used & ~is_stationary, sparse.noise.motion)
    steps, blind = steps_between(sparse.state.T_cam_world).se3, fit.is_used & ~is_visible
    steps[blind] = expected.se3[blind]
    adjusted = adjust_in_rounds(
        sparse.observations,
        replace(sparse.state, T_cam_world=chain_steps(Sim3.from_se3(steps))),
        replace(sparse.noise, motion=prior),
        options.robust_adjustment.iterations[-1:],
        options,
    )
    return adjusted, blind


def odometry_note(frames: IndexArray) -> tuple[str, ...]:
    """Return a note on the frames into which the odometry's step disagrees with the images."""
    if not len(frames):
        return ()
    return (
        f'odometry leaps or slips at {name_frames(frames)}: its motion there '
        'contradicts the images and is left out',
    )


def runs_of(frames: IndexArray) -> list[Edge]:
    """Return first and last of each run of sorted frame numbers; empty where there are none."""
    runs = np.split(frames, np.flatnonzero(np.diff(frames) > 1) + 1)
    return [(int(one[0]), int(one[-1])) for one in runs if len(one)]


def name_frames(frames: IndexArray) -> str:
    """Return sorted frame numbers in words, runs of them joined: frames 3, 7 to 9 (from 0)."""
    names = [f'{a} to {b}' if a < b else f'{a}' for a, b in runs_of(frames)]
    return f'frame{"s" if len(frames) > 1 else ""} {", ".join(names)} (from 0)'


def _regress(
    estimated: Float64Array, known_m: Float64Array, weight: Float64Array, options: OdometryOptions
) -> float | None:
    """Return metres per unit by weighted regression of the known on the estimated motion (K, 3).

    The instrument is the estimated motion two steps before and after, which shares no noise with
    either: poses that jitter would lengthen the known motion. Where the motion is too erratic for
    it, it is the known motion, so that noise of the estimated leaves the ratio unbiased.
    """
    around = np.zeros_like(estimated)
    around[2:] += estimated[:-2]
    around[:-2] += estimated[2:]
    squared = weight[:, None] ** 2
    size = float((squared * estimated**2).sum())
    if float((squared * estimated * around).sum()) < options.min_smoothness * size:
        around = known_m
    known = float((squared * known_m * around).sum())
    common = float((squared * estimated * around).sum())
    return known / common if known > 0 and common > 0 else None
