# SPDX-License-Identifier: Apache-2.0
"""Residuals and Jacobian of bundle adjustment with a depth prior.

A point is the inverse depth rho on its ray k in the reference frame h, the first one of its track.
In frame j it lies along q = R_j_h k + rho t_j_h, at depth q_z / rho. Every observation gives a
reprojection error and the difference of its log depth to the prior's, up to a scale per frame.

Parameters of the lens (`lens_model`) displace the observed pixels, in which they are linear.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from videodepth_ros.core.arrays import Float64Array, IndexArray, MaskArray
from videodepth_ros.geometry.sim3 import Sim3
from videodepth_ros.sfm.motion_prior import MotionPrior
from videodepth_ros.sfm.options import LossOptions

CAMERA_DOF = 7
"""Columns of the Jacobian that are those of a camera: 0 to 5 its twist, 6 the log prior scale."""
FOCAL_COLUMN, POINT_COLUMN, RESIDUAL_COLUMN = CAMERA_DOF, -2, -1
"""Columns after those of the camera; those of the lens are between focal length and point."""
SHARED = slice(FOCAL_COLUMN, POINT_COLUMN)
"""Columns of the parameters that all frames share: the log focal length, and those of the lens."""
RESIDUAL_ROWS = 3
"""Residuals of an observation: two of its pixel, one of its log depth."""
MIN_Z = 1e-3
"""Least q_z in a division: points at and behind the image plane keep a finite residual."""
MIN_CURVATURE = 1e-9
"""Added to the curvature of points without parallax, whose sigma is then huge and finite."""


@dataclass(frozen=True)
class Observations:
    """Observations of M tracks in N frames, K of them, sorted by track and then by frame.

    track, frame     (K,) intp
    xy               (K, 2) float64, pixels from the principal point
    log_prior_depth  (K,) float64, log of the prior's Z at the pixel; NaN unknown
    start            (M,) intp, index of the first observation of each track
    frames           N
    is_loop          (K,) bool, added by a loop closure rather than tracked
    lens_fields      (K, P, 2) float64, displacement of the pixel by each of P parameters of the
                     lens; None: P is 0
    """

    track: IndexArray
    frame: IndexArray
    xy: Float64Array
    log_prior_depth: Float64Array
    start: IndexArray
    frames: int
    is_loop: MaskArray
    lens_fields: Float64Array | None = None

    @property
    def lens_parameters(self) -> int:
        """Number of parameters of the lens."""
        return 0 if self.lens_fields is None else self.lens_fields.shape[1]

    def ideal_xy(self, lens: Float64Array) -> Float64Array:
        """Return the pixels (K, 2) that a pinhole would see; ``lens`` (P,), its parameters."""
        if self.lens_fields is None:
            return self.xy
        return np.asarray(self.xy + np.einsum('kpi,p->ki', self.lens_fields, lens))

    @property
    def reference_frame(self) -> IndexArray:
        """Reference frame of the track of each observation, (K,)."""
        return self.frame[self.start][self.track]

    @property
    def is_reference(self) -> MaskArray:
        """Whether an observation is in the reference frame of its track, (K,)."""
        return self.frame == self.reference_frame

    def select(self, kept: MaskArray) -> Observations:
        """Return the observations ``kept`` (K,), tracks numbered anew."""
        _, track = np.unique(self.track[kept], return_inverse=True)
        track = track.astype(np.intp)
        start = np.searchsorted(track, np.arange(track[-1] + 1 if len(track) else 0))
        return Observations(
            track,
            self.frame[kept],
            self.xy[kept],
            self.log_prior_depth[kept],
            start,
            self.frames,
            self.is_loop[kept],
            None if self.lens_fields is None else self.lens_fields[kept],
        )


@dataclass(frozen=True)
class BundleState:
    """Parameters of bundle adjustment.

    T_cam_world        N rigid transforms
    log_prior_scale    (N,), added to the log prior depth of each frame
    log_inverse_depth  (M,), of each point in its reference frame
    log_focal          log of fx in pixels
    aspect             fy / fx, constant
    lens               (P,), parameters of the lens
    """

    T_cam_world: Sim3
    log_prior_scale: Float64Array
    log_inverse_depth: Float64Array
    log_focal: float
    aspect: float
    lens: Float64Array = field(default_factory=lambda: np.empty(0))


@dataclass(frozen=True)
class NoiseModel:
    """Sigmas of the residuals and of the priors on the parameters.

    pixel_sigma       of a tracked pixel
    log_depth_sigma   of the prior's log depth
    log_scale_sigma   of the log prior scales, about 0
    is_measured       the prior is a measurement: its errors are not correlated
    log_focal_sigma   of the log focal length about ``log_focal``; 0: calibrated, constant
    motion            prior on the motion from frame to frame: weak, but where stationary
    lens_sigma        (P,), of the parameters of the lens about 0; 0: constant
    """

    pixel_sigma: float
    log_depth_sigma: float
    log_scale_sigma: float
    is_measured: bool
    log_focal_sigma: float
    log_focal: float
    motion: MotionPrior
    loss: LossOptions = field(default_factory=LossOptions)
    lens_sigma: Float64Array = field(default_factory=lambda: np.empty(0))

    @property
    def shared_sigma(self) -> Float64Array:
        """Sigmas (1 + P,) of the parameters that all frames share; 0: constant."""
        return np.append(self.log_focal_sigma, self.lens_sigma)

    @property
    def log_depth_weight(self) -> float:
        """Weight of the squared log depth residuals."""
        return 1.0 if self.is_measured else self.loss.network_weight


@dataclass(frozen=True)
class Residuals:
    """Residuals of all observations, in sigmas.

    pixel      (K, 2), reprojection error; 0 in the reference frame
    log_depth  (K,), 0 where the prior is unknown
    q          (K, 3), direction to the point in the camera of the observation
    """

    pixel: Float64Array
    log_depth: Float64Array
    q: Float64Array


@dataclass(frozen=True)
class Rays:
    """Rays of the points, transformed to the cameras of their observations.

    T_j_h              Sim3, relative poses of the pairs of a reference frame and a frame
    pair               (K,), pair of each observation
    rotated            (K, 3), R_j_h k
    translated         (K, 3), rho t_j_h; q is the sum of both
    shared_derivative  (K, 1 + P, 3), of R_j_h k with the log focal length and the lens
    is_reference       (K,), in the reference frame of the track
    """

    T_j_h: Sim3
    pair: IndexArray
    rotated: Float64Array
    translated: Float64Array
    shared_derivative: Float64Array
    is_reference: MaskArray

    @classmethod
    def compute(cls, observations: Observations, state: BundleState) -> Rays:
        """Transform the rays of all observations."""
        reference, frames = observations.reference_frame, observations.frames
        key, pair = np.unique(reference * frames + observations.frame, return_inverse=True)
        T_cam_world = state.T_cam_world
        T_j_h = T_cam_world[key % frames] @ T_cam_world[key // frames].inverse()
        focal = focal_lengths(state)
        first = observations.start[observations.track]
        slope = np.zeros((len(reference), 1 + observations.lens_parameters, 3))
        slope[:, 0, :2] = -observations.ideal_xy(state.lens)[first] / focal
        if observations.lens_fields is not None:
            slope[:, 1:, :2] = observations.lens_fields[first] / focal
        shared_derivative = np.einsum('kij,ksj->ksi', T_j_h.rotation[pair], slope)
        rho = np.exp(state.log_inverse_depth)[observations.track]
        return cls(
            T_j_h,
            pair,
            T_j_h.rotation[pair][:, :, 2] - shared_derivative[:, 0],
            rho[:, None] * T_j_h.translation[pair],
            shared_derivative,
            observations.frame == reference,
        )


def focal_lengths(state: BundleState) -> Float64Array:
    """Return fx and fy, (2,), in pixels."""
    return np.exp(state.log_focal) * np.array([1.0, state.aspect])


def compute_residuals(
    observations: Observations, state: BundleState, noise: NoiseModel, rays: Rays | None = None
) -> Residuals:
    """Return the residuals of all observations; ``rays`` of the same state save time."""
    rays = rays or Rays.compute(observations, state)
    q = rays.rotated + rays.translated
    z = np.maximum(q[:, 2:], MIN_Z)
    projected = focal_lengths(state) * q[:, :2] / z
    ideal_xy = observations.ideal_xy(state.lens)
    pixel = (projected - ideal_xy) / _pixel_sigmas(observations, noise)
    pixel[rays.is_reference] = 0.0
    log_depth = (
        np.log(z[:, 0])
        - state.log_inverse_depth[observations.track]
        - observations.log_prior_depth
        - state.log_prior_scale[observations.frame]
    ) / noise.log_depth_sigma
    return Residuals(pixel, np.where(np.isnan(log_depth), 0.0, log_depth), q)


def robust_cost(residuals: Residuals, noise: NoiseModel) -> float:
    """Return the sum of Cauchy's loss over all residuals."""
    square, scale = np.square(residuals.pixel).sum(axis=1), noise.loss.cauchy_scale
    return float(
        scale**2
        * (
            np.log1p(square / scale**2).sum()
            + noise.log_depth_weight * np.log1p(np.square(residuals.log_depth) / scale**2).sum()
        )
    )


def compute_jacobian(
    observations: Observations,
    state: BundleState,
    noise: NoiseModel,
    rays: Rays,
    residuals: Residuals,
) -> Float64Array:
    """Return the Jacobian and the residuals, (K, 3, 10 + P), by the roots of Cauchy's weights.

    Columns: twist of the camera (6), log prior scale, log focal length, lens (P), log inverse
    depth, residual.
    """
    q, known = residuals.q, (~np.isnan(observations.log_prior_depth)).astype(np.float64)
    z = np.maximum(q[:, 2], MIN_Z)
    slope = np.zeros((len(q), RESIDUAL_ROWS, 3))  # of the residuals with q
    sigmas = _pixel_sigmas(observations, noise)
    scale = focal_lengths(state) / z[:, None] / sigmas
    slope[:, 0, 0], slope[:, 1, 1] = scale.T
    slope[:, :2, 2] = -scale * q[:, :2] / z[:, None]
    slope[:, 2, 2] = known / z / noise.log_depth_sigma
    slope[rays.is_reference] = 0.0
    J = np.zeros((len(q), RESIDUAL_ROWS, CAMERA_DOF + 3 + observations.lens_parameters))
    rho = np.exp(state.log_inverse_depth)[observations.track]
    J[:, :, :3] = rho[:, None, None] * slope
    J[:, :, 3:6] = np.cross(q[:, None], slope)
    J[:, 2, 6] = -known / noise.log_depth_sigma
    J[:, :, SHARED] = np.einsum('kri,ksi->krs', slope, rays.shared_derivative)
    J[:, :2, FOCAL_COLUMN] += np.where(rays.is_reference[:, None], 0, scale * q[:, :2])
    if observations.lens_fields is not None:
        own = observations.lens_fields.transpose(0, 2, 1) / sigmas[:, None]
        J[:, :2, FOCAL_COLUMN + 1 : POINT_COLUMN] -= np.where(
            rays.is_reference[:, None, None], 0, own
        )
    J[:, :, POINT_COLUMN] = np.einsum('kri,ki->kr', slope, rays.translated)
    J[:, 2, POINT_COLUMN] -= known / noise.log_depth_sigma
    J[:, :2, RESIDUAL_COLUMN], J[:, 2, RESIDUAL_COLUMN] = residuals.pixel, residuals.log_depth
    square, cauchy = np.square(residuals.pixel).sum(axis=1), noise.loss.cauchy_scale
    J[:, :2] *= (1 / np.sqrt(1 + square / cauchy**2))[:, None, None]
    J[:, 2] *= np.sqrt(noise.log_depth_weight / (1 + np.square(residuals.log_depth) / cauchy**2))[
        :, None
    ]
    return J


def log_depths(observations: Observations, state: BundleState) -> Float64Array:
    """Return the log depth (K,) of each observation's point in the frame of the observation."""
    rays = Rays.compute(observations, state)
    z: Float64Array = np.maximum(rays.rotated[:, 2] + rays.translated[:, 2], MIN_Z)
    return np.log(z) - state.log_inverse_depth[observations.track]


def triangulation_step(
    observations: Observations, state: BundleState, noise: NoiseModel
) -> tuple[Float64Array, Float64Array]:
    """Triangulate all points by one Gauss-Newton step on the pixels, without the depth prior.

    returns  step and sigma of the log inverse depths, (M,) each
    """
    rays = Rays.compute(observations, state)
    residuals = compute_residuals(observations, state, noise, rays)
    J = compute_jacobian(observations, state, noise, rays, residuals)[:, :2]
    start = observations.start
    curvature = np.add.reduceat(np.square(J[..., POINT_COLUMN]).sum(axis=1), start) + MIN_CURVATURE
    gradient = np.add.reduceat((J[..., POINT_COLUMN] * J[..., RESIDUAL_COLUMN]).sum(axis=1), start)
    return -gradient / curvature, 1 / np.sqrt(curvature)


def _pixel_sigmas(observations: Observations, noise: NoiseModel) -> Float64Array:
    """Return the pixel sigma of each observation, (K, 1)."""
    ratio = np.where(observations.is_loop, noise.loss.loop_sigma_ratio, 1.0)
    sigmas: Float64Array = noise.pixel_sigma * ratio[:, None]
    return sigmas
