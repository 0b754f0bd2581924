# SPDX-License-Identifier: Apache-2.0
"""Model selection between a camera that moves and one that only turns.

A pan from a tripod looks like a translation along a plane: where the view is narrow, bundle
adjustment fits both alike, and its depth is that plane (Torr, Fitzgibbon and Zisserman, IJCV
1999). The simpler model is taken where it explains the tracks as well.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from videodepth_ros.core.arrays import Float64Array, IndexArray
from videodepth_ros.geometry.camera import backproject_pixels
from videodepth_ros.geometry.rotation import nearest_rotation
from videodepth_ros.geometry.sim3 import Sim3
from videodepth_ros.sfm.motion_options import TurningOptions
from videodepth_ros.sfm.motion_prior import chain_steps, steps_between
from videodepth_ros.sfm.options import DEFAULTS, ReconstructionOptions
from videodepth_ros.sfm.reprojection import Observations
from videodepth_ros.sfm.robust_adjustment import SparseReconstruction
from videodepth_ros.sfm.tracks import group_by_frame

GAUSSIAN_MEDIAN = 1.177
"""Median length of a vector of two Gaussian numbers of unit sigma."""


def as_turning_camera(
    sparse: SparseReconstruction, is_calibrated: bool, options: ReconstructionOptions = DEFAULTS
) -> SparseReconstruction | None:
    """Return the cameras in one place and the points of the depth prior; None if they move.

    A focal length that is not known is the first of those tried that fit turning best. Then a
    plane seen from above is no pan: the prior must contradict the moving camera, too.
    """
    turning, state, observations = options.turning, sparse.state, sparse.observations
    if not is_calibrated and sparse.noise.log_depth_sigma < turning.min_prior_log_sigma:
        return None
    judged = [(gap, _pairs(observations, gap, turning)) for gap in turning.pair_frames]
    judged = [(gap, pairs) for gap, pairs in judged if len(pairs) >= turning.min_pairs]
    if len(judged) < turning.min_gaps:
        return None
    ratios = np.array([1.0] if is_calibrated else turning.focal_ratios)
    log_focals = state.log_focal + np.log(ratios)
    costs = np.array([_turning_cost(sparse, judged, each, turning) for each in log_focals])
    if costs.min() > turning.max_error_ratio:
        return None
    first = int(np.argmax(costs <= turning.equal_error_ratio * costs.min()))
    return _without_parallax(sparse, float(log_focals[first]), turning)


def _turning_cost(
    sparse: SparseReconstruction,
    judged: list[tuple[int, list[tuple[IndexArray, IndexArray]]]],
    log_focal: float,
    options: TurningOptions,
) -> float:
    """Return the error of turning relative to the noise of the tracks, the largest of the gaps.

    Tracks drift as a random walk: their noise grows with the root of the frames between.
    judged  frames between two views of a pair, and these pairs
    """
    noise_px = GAUSSIAN_MEDIAN * sparse.noise.pixel_sigma
    aspect = sparse.state.aspect
    return max(
        _turning_error(sparse.observations, pairs, log_focal, aspect, options)
        / (noise_px * float(np.sqrt(gap / options.pair_frames[0])))
        for gap, pairs in judged
    )


def _without_parallax(
    sparse: SparseReconstruction, log_focal: float, options: TurningOptions
) -> SparseReconstruction:
    """Return cameras at the origin, turned from frame to frame as their tracks demand."""
    state, observations = sparse.state, sparse.observations
    T_next_cam = steps_between(state.T_cam_world).se3
    T_next_cam[:, :3, 3] = 0.0
    ray = _unit_rays(observations.xy, log_focal, state.aspect)
    for first, second in _pairs(observations, 1, options):
        rotation = _fit_rotation(ray[first], ray[second], options.reweightings)
        T_next_cam[observations.frame[first[0]], :3, :3] = rotation
    log_scale, log_depth = _common_scale(observations, options.reweightings)
    turned = replace(
        state,
        T_cam_world=chain_steps(Sim3.from_se3(T_next_cam)),
        log_prior_scale=log_scale,
        log_inverse_depth=np.where(np.isnan(log_depth), state.log_inverse_depth, -log_depth),
        log_focal=log_focal,
    )
    noise = replace(sparse.noise, log_focal_sigma=0.0, log_focal=log_focal)
    return SparseReconstruction(
        observations, turned, noise, np.full_like(sparse.log_depth_sigma, np.inf)
    )


def _pairs(
    observations: Observations, gap: int, options: TurningOptions
) -> list[tuple[IndexArray, IndexArray]]:
    """Return the observations (P,) of common tracks in frames that are ``gap`` apart."""
    track, frame = observations.track, observations.frame
    key = track * observations.frames + frame  # increasing: sorted by track, then by frame
    second = np.searchsorted(key, key + gap).clip(max=len(key) - 1)
    common = (track[second] == track) & (frame[second] == frame + gap)
    first, second = np.flatnonzero(common), second[common]
    by_frame = np.argsort(frame[first], kind='stable')
    ends = np.flatnonzero(np.diff(frame[first][by_frame])) + 1
    split = (np.split(one[by_frame], ends) for one in (first, second))
    return [pair for pair in zip(*split, strict=True) if len(pair[0]) >= options.min_common_tracks]


def _turning_error(
    observations: Observations,
    pairs: list[tuple[IndexArray, IndexArray]],
    log_focal: float,
    aspect: float,
    options: TurningOptions,
) -> float:
    """Return the median error of a pair as turned views [px], a high quantile over the pairs."""
    ray = _unit_rays(observations.xy, log_focal, aspect)
    errors = []
    for first, second in pairs[:: max(len(pairs) // options.max_pairs, 1)]:
        turned = ray[first] @ _fit_rotation(ray[first], ray[second], options.reweightings).T
        xy = turned[:, :2] / turned[:, 2:] * np.exp(log_focal) * [1.0, aspect]
        errors.append(np.median(np.linalg.norm(xy - observations.xy[second], axis=1)))
    return float(np.quantile(errors, options.pair_quantile))


def _unit_rays(xy: Float64Array, log_focal: float, aspect: float) -> Float64Array:
    """Return the unit rays (K, 3) of pixels (K, 2) about the principal point."""
    ray = backproject_pixels(xy, np.ones(len(xy)), np.exp(log_focal) * np.array([1.0, aspect]))
    return np.asarray(ray / np.linalg.norm(ray, axis=1, keepdims=True))


def _fit_rotation(before: Float64Array, after: Float64Array, reweightings: int) -> Float64Array:
    """Return the rotation (3, 3) that takes rays to rays, (P, 3) each, robustly."""
    weight, rotation = np.ones(len(before)), np.eye(3)
    for _ in range(reweightings):
        rotation = nearest_rotation((after * weight[:, None]).T @ before)
        error = np.linalg.norm(after - before @ rotation.T, axis=1)
        weight = 1 / np.maximum(error, np.median(error) + np.finfo(float).tiny)
    return rotation


def _common_scale(observations: Observations, rounds: int) -> tuple[Float64Array, Float64Array]:
    """Return the log scales (N,) by which frames agree in their prior, and log depths (M,)."""
    track, frame, log_prior = observations.track, observations.frame, observations.log_prior_depth
    known = ~np.isnan(log_prior)
    track, frame, log_prior = track[known], frame[known], log_prior[known]
    log_scale, by_frame = np.zeros(observations.frames), group_by_frame(frame, observations.frames)
    count = np.bincount(track, minlength=len(observations.start))
    log_depth = np.full(len(count), np.nan)
    for _ in range(rounds):
        total = np.bincount(track, log_prior + log_scale[frame], minlength=len(count))
        log_depth = np.divide(total, count, out=log_depth, where=count > 0)
        for n, here in enumerate(by_frame):
            if len(here):
                log_scale[n] = np.median(log_depth[track[here]] - log_prior[here])
        log_scale -= np.median(log_scale)
    return log_scale, log_depth
