# SPDX-License-Identifier: Apache-2.0
"""Correction of the depth prior of each frame by triangulated landmarks in its view.

A landmark counts in the frames of its observations and in some before and after: where a road
passes too fast for tracking, landmarks tracked further ahead still lie.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from videodepth_ros.core.arrays import Float32Array, Float64Array, IndexArray
from videodepth_ros.geometry.bilinear_grid import fit_smooth_grid
from videodepth_ros.geometry.camera import Intrinsics, backproject_pixels
from videodepth_ros.sfm.depth_samples import sample_log_depth
from videodepth_ros.sfm.options import DepthCorrectionOptions
from videodepth_ros.sfm.pieces import Pieces
from videodepth_ros.sfm.reprojection import focal_lengths
from videodepth_ros.sfm.robust_adjustment import SparseReconstruction


@dataclass(frozen=True)
class Landmarks:
    """Well triangulated points, P of them.

    world            (P, 3) float64
    log_depth_sigma  (P,)
    first, last      (P,) intp, frames of the first and the last observation
    begin, end       (P,) intp, first and last frame in which it counts
    """

    world: Float64Array
    log_depth_sigma: Float64Array
    first: IndexArray
    last: IndexArray
    begin: IndexArray
    end: IndexArray

    @classmethod
    def from_reconstruction(
        cls,
        sparse: SparseReconstruction,
        options: DepthCorrectionOptions = DepthCorrectionOptions(),
        pieces: Pieces | None = None,
    ) -> Landmarks:
        """Select the points of small sigma and enough observations.

        pieces  of the recording, beyond which no landmark counts; None: one
        """
        observations, state = sparse.observations, sparse.state
        start = observations.start
        reference = observations.frame[start]
        points = backproject_pixels(
            observations.xy[start], np.exp(-state.log_inverse_depth), focal_lengths(state)
        )
        T_world_cam = state.T_cam_world.inverse()[reference]
        world = np.einsum('pij,pj->pi', T_world_cam.rotation, points) + T_world_cam.translation
        length = np.bincount(observations.track, minlength=len(reference))
        good = (sparse.log_depth_sigma < options.max_landmark_sigma) & (
            length >= options.min_observations
        )
        last = observations.frame[start + length - 1]
        first, last = reference[good], last[good]
        spans = np.array((pieces or Pieces.whole(observations.frames)).spans)
        piece = np.searchsorted(spans[:, 0], first, side='right') - 1
        begin = np.maximum(first - options.frame_margin, spans[piece, 0])
        end = np.minimum(last + options.frame_margin, spans[piece, 1])
        return cls(world[good], sparse.log_depth_sigma[good], first, last, begin, end)


@dataclass(frozen=True)
class LandmarkDepths:
    """Depths of P landmarks in a frame, compared with its prior.

    uv               (P, 2) float64, column and row as shares of the image, 0 to 1
    log_prior_depth  (P,) float64
    log_ratio        (P,) float64, log of landmark depth / prior depth
    sigma            (P,) float64, of the log ratio
    """

    uv: Float64Array
    log_prior_depth: Float64Array
    log_ratio: Float64Array
    sigma: Float64Array


def compare_with_prior(
    sparse: SparseReconstruction,
    landmarks: Landmarks,
    frame: int,
    depth: Float32Array,
    camera: Intrinsics,
    options: DepthCorrectionOptions = DepthCorrectionOptions(),
) -> LandmarkDepths:
    """Compare the landmarks in the view of a frame with its prior.

    depth   (h, w) float32, the prior; camera of the same size
    """
    near = np.flatnonzero((landmarks.begin <= frame) & (landmarks.end >= frame))
    T = sparse.state.T_cam_world[frame]
    x, y, z = T.rotation @ landmarks.world[near].T + T.translation[:, None]
    in_front = z > 0
    z = np.where(in_front, z, 1.0)
    pixel = np.column_stack([x / z * camera.fx + camera.cx, y / z * camera.fy + camera.cy])
    uv = (pixel + 0.5) / [camera.width, camera.height]
    inside = in_front & ((uv > 0) & (uv < 1)).all(axis=1)
    near, z, pixel, uv = near[inside], z[inside], pixel[inside], uv[inside]
    log_prior = sample_log_depth(depth, pixel).log_depth
    known = ~np.isnan(log_prior)
    unobserved = (landmarks.first[near] > frame) | (landmarks.last[near] < frame)
    prior_sigma = np.where(unobserved, options.unobserved_sigma, options.match_sigma)
    sigma = np.hypot(landmarks.log_depth_sigma[near], prior_sigma)
    return LandmarkDepths(
        uv[known], log_prior[known], (np.log(z) - log_prior)[known], sigma[known]
    )


def fit_depth_correction(
    sparse: SparseReconstruction,
    landmarks: Landmarks,
    frame: int,
    depth: Float32Array,
    camera: Intrinsics,
    options: DepthCorrectionOptions = DepthCorrectionOptions(),
) -> Float64Array:
    """Return the grid (rows, columns) to add to the log prior depth of a frame.

    depth   (h, w) float32, the prior; camera of the same size
    A measured prior is not bent: the grid is its scale.
    """
    level = float(sparse.state.log_prior_scale[frame])
    if sparse.noise.is_measured:
        return np.full(options.grid.shape, level)
    depths = compare_with_prior(sparse, landmarks, frame, depth, camera, options)
    prior_sigma = sparse.noise.log_depth_sigma
    return fit_smooth_grid(
        depths.uv, depths.log_ratio, depths.sigma, prior_sigma, level, options.grid
    )
