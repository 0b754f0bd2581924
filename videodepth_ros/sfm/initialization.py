# SPDX-License-Identifier: Apache-2.0
"""Initialization of bundle adjustment: frame after frame by PnP against the depth prior.

A track's point is placed at the prior depth in its reference frame. The pose of the next frame
follows from the points placed so far (PnP RANSAC); their depths in that frame then give the scale
of its own prior.
"""

from __future__ import annotations

import cv2
import numpy as np

from videodepth_ros.core.arrays import Float64Array, IndexArray, MaskArray
from videodepth_ros.geometry.camera import backproject_pixels
from videodepth_ros.geometry.sim3 import Sim3
from videodepth_ros.sfm.options import PnpOptions
from videodepth_ros.sfm.reprojection import BundleState, Observations
from videodepth_ros.sfm.tracks import group_by_frame


def initialize_by_pnp(
    observations: Observations,
    at_infinity: MaskArray,
    focal: float,
    aspect: float,
    options: PnpOptions = PnpOptions(),
) -> BundleState:
    """Return the initial cameras, prior scales and points; the first camera is the world.

    at_infinity  (K,) bool, observations that the prior puts in the sky
    focal        fx in pixels; aspect: fy / fx
    """
    K = np.array([[focal, 0, 0], [0, focal * aspect, 0], [0, 0, 1.0]])
    log_prior = observations.log_prior_depth
    median = float(np.nanmedian(log_prior)) if np.isfinite(log_prior).any() else 0.0
    tracks = len(observations.start)
    log_inverse_depth, world = np.full(tracks, -median), np.full((tracks, 3), np.nan)
    T_cam_world = np.tile(np.eye(4), (observations.frames, 1, 1))
    log_scale = np.zeros(observations.frames)
    is_reference = observations.is_reference
    for n, here in enumerate(group_by_frame(observations.frame, observations.frames)):
        if n:
            old = here[~is_reference[here]]
            points, xy = world[observations.track[old]], observations.xy[old]
            T_cam_world[n], inlier = _solve_pnp(points, xy, K, T_cam_world[n - 1], options)
            log_scale[n] = _estimate_log_scale(
                observations, old[inlier], world, T_cam_world[n], log_scale[n - 1], options
            )
        new = here[is_reference[here]]
        track = observations.track[new]
        log_depth = log_prior[new] + log_scale[n]
        start = np.where(np.isnan(log_depth), median + log_scale[n], log_depth)
        start = np.where(at_infinity[new], start + np.log(options.sky_depths), start)
        log_inverse_depth[track] = -start
        known = ~np.isnan(log_depth) | at_infinity[new]
        points = backproject_pixels(observations.xy[new], np.exp(start), K[[0, 1], [0, 1]])
        T_world_cam = np.linalg.inv(T_cam_world[n])
        world[track[known]] = (points @ T_world_cam[:3, :3].T + T_world_cam[:3, 3])[known]
    return BundleState(
        Sim3.from_se3(T_cam_world),
        log_scale - np.median(log_scale),
        log_inverse_depth + np.median(log_scale),
        float(np.log(focal)),
        aspect,
    )


def _solve_pnp(
    world: Float64Array,
    xy: Float64Array,
    K: Float64Array,
    T_previous_world: Float64Array,
    options: PnpOptions,
) -> tuple[Float64Array, MaskArray]:
    """Return T_cam_world (4, 4) of a frame that observes ``world`` (P, 3), and the inliers (P,).

    Too few points or inliers: the pose of the previous frame.
    """
    T, known = T_previous_world.copy(), ~np.isnan(world[:, 0])
    if np.count_nonzero(known) < options.min_points:
        return T, known
    start = cv2.Rodrigues(T[:3, :3])[0], T[:3, 3].copy()
    motion = _median_motion(world[known], xy[known], K, T)
    found, vector, translation, inliers = cv2.solvePnPRansac(
        world[known],
        xy[known],
        K,
        None,
        *start,
        useExtrinsicGuess=True,
        iterationsCount=options.ransac_iterations,
        reprojectionError=max(
            options.min_reprojection_error_px, options.max_motion_ratio * motion
        ),
        flags=cv2.SOLVEPNP_ITERATIVE,
    )
    if not found or inliers is None or len(inliers) < options.min_points:
        return T, known
    T[:3, :3], T[:3, 3] = cv2.Rodrigues(vector)[0], translation.ravel()
    inlier = np.zeros(len(known), np.bool_)
    inlier[np.flatnonzero(known)[inliers[:, 0]]] = True
    return T, inlier


def _median_motion(
    world: Float64Array, xy: Float64Array, K: Float64Array, T_previous_world: Float64Array
) -> float:
    """Return the median motion of points in the image since the previous frame [px]."""
    points = world @ T_previous_world[:3, :3].T + T_previous_world[:3, 3]
    in_front = points[:, 2:] > 0
    previous = np.where(in_front, points[:, :2] / points[:, 2:] * [K[0, 0], K[1, 1]], xy)
    return float(np.median(np.linalg.norm(xy - previous, axis=1)))


def _estimate_log_scale(
    observations: Observations,
    at: IndexArray,
    world: Float64Array,
    T_cam_world: Float64Array,
    previous: float,
    options: PnpOptions,
) -> float:
    """Return the median log ratio of the points' depths and the prior; few points: the previous.

    at  indices of the inlier observations of the frame
    """
    z = world[observations.track[at]] @ T_cam_world[2, :3] + T_cam_world[2, 3]
    log_ratio = np.log(np.maximum(z, 1e-9)) - observations.log_prior_depth[at]
    log_ratio = log_ratio[np.isfinite(log_ratio)]
    return float(np.median(log_ratio)) if len(log_ratio) >= options.min_points else previous
