# SPDX-License-Identifier: Apache-2.0
"""What sightings of points say of cameras, points and a depth prior, and how it changes.

A point is the inverse depth rho in the frame h that saw it first. In frame j it lies along
q = R_j_h k_h + rho t_j_h, at depth q_z / rho. Every sighting gives the error of its pixel, and the
logarithm of its depth against the prior's, whose scale each frame has for itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.geometry.sim3 import Sim3

Array = NDArray[np.float64]
Indices = NDArray[np.intp]
Mask = NDArray[np.bool_]

FOCAL, POINT, ERROR = 7, 8, 9
"""Columns of a linearised sighting after those of its camera: a twist of 6, and its log scale."""
ROWS = 3
NEAR = 1e-3
FLAT = 1e-9
NETWORK_SHARE = 0.05
"""A network's errors go together over surfaces and over time, and some hundred sightings of a
frame are as good as a few."""
JOINED_DOUBT = 3.0
"""Standard deviation of a pixel found again, from another side, against that of a followed one."""
CAUCHY = 2.0
"""Errors beyond so many sigma lose weight."""


@dataclass(frozen=True)
class Sightings:
    """What the tracks saw, sorted by track and then by frame, K of M tracks in N frames.

    track, frame  (K,) intp; offset (K, 2) float64, pixels from the principal point
    log_depth     (K,) float64, logarithm of the prior's Z there; NaN unknown
    first         (M,) intp, where each track begins
    joined        (K,) bool, what was not followed there but found again, long after
    """

    track: Indices
    frame: Indices
    offset: Array
    log_depth: Array
    first: Indices
    frames: int
    joined: Mask

    @property
    def host(self) -> Indices:
        """The frame (K,) that saw the track of each sighting first."""
        return self.frame[self.first][self.track]

    def among(self, kept: Mask) -> Sightings:
        """Return the sightings ``kept`` (K,) of whole tracks, numbered anew."""
        _, track = np.unique(self.track[kept], return_inverse=True)
        track = track.astype(np.intp)
        first = np.searchsorted(track, np.arange(track[-1] + 1 if len(track) else 0))
        return Sightings(
            track,
            self.frame[kept],
            self.offset[kept],
            self.log_depth[kept],
            first,
            self.frames,
            self.joined[kept],
        )


@dataclass(frozen=True)
class Scene:
    """What is sought.

    cameras      N rigid transforms T_cam_world; log_scale (N,), by which the log depth of each
                 frame's prior is too small
    log_inverse  (M,), logarithm of the inverse depth of each track in its first frame
    log_focal    of fx in pixels; aspect fy / fx, given
    """

    cameras: Sim3
    log_scale: Array
    log_inverse: Array
    log_focal: float
    aspect: float


@dataclass(frozen=True)
class Noise:
    """Standard deviations: of pixels; of a log depth of the prior, and of its frames' scales.

    measured  whether the prior is a measurement, whose errors do not go together
    focal  of the logarithm of the focal length about ``log_focal``; 0 where it is known
    moved, turned   of the motion from frame to frame: unit of depth, radians; weak
    """

    pixel: float
    depth: float
    scale: float
    measured: bool
    focal: float
    log_focal: float
    moved: float
    turned: float

    @property
    def share(self) -> float:
        """Of its weight, what a log depth of the prior has."""
        return 1.0 if self.measured else NETWORK_SHARE


@dataclass(frozen=True)
class Residuals:
    """Errors of all sightings in sigmas: pixel (K, 2), depth (K,), 0 where no prior is known."""

    pixel: Array
    depth: Array
    direction: Array


def residuals(seen: Sightings, scene: Scene, noise: Noise) -> Residuals:
    """Return the errors of all sightings; ``direction`` (K, 3) is q."""
    return errors_of(seen, scene, noise, Rays.of(seen, scene))


def points_in_view(seen: Sightings, scene: Scene) -> Array:
    """Return the log depth (K,) of each sighting's point in the frame that saw it."""
    rays = Rays.of(seen, scene)
    z: Array = np.maximum(rays.turned[:, 2] + rays.way[:, 2], NEAR)
    return np.log(z) - scene.log_inverse[seen.track]


def by_pixels_alone(seen: Sightings, scene: Scene, noise: Noise) -> tuple[Array, Array]:
    """Return what pixels say of the points (M,) without the prior.

    returns  the step to each log inverse depth that the pixels want, and its standard deviation
    """
    rays = Rays.of(seen, scene)
    J = jacobian(seen, scene, noise, rays, errors_of(seen, scene, noise, rays))[:, :2]
    curvature = np.add.reduceat(np.square(J[..., POINT]).sum(axis=1), seen.first) + FLAT
    gradient = np.add.reduceat((J[..., POINT] * J[..., ERROR]).sum(axis=1), seen.first)
    return -gradient / curvature, 1 / np.sqrt(curvature)


@dataclass(frozen=True)
class Rays:
    """Sightings in the geometry of a scene.

    edges   (P,) Sim3, T_j_h of the P pairs of a first frame h and a frame j; pair (K,) which one
    turned  (K, 3), R_j_h k_h; way (K, 3), rho t_j_h; their sum is q
    bent    (K, 3), derivative of R_j_h k_h with the log focal length
    own     (K,), whether a sighting is the first of its track
    """

    edges: Sim3
    pair: Indices
    turned: Array
    way: Array
    bent: Array
    own: Mask

    @classmethod
    def of(cls, seen: Sightings, scene: Scene) -> Rays:
        """Look at the points of ``scene`` from where they are seen."""
        host = seen.host
        edge, pair = np.unique(host * seen.frames + seen.frame, return_inverse=True)
        T_j_h = scene.cameras[edge % seen.frames] @ scene.cameras[edge // seen.frames].inverse()
        slope = np.zeros((len(host), 3))
        slope[:, :2] = seen.offset[seen.first][seen.track] / focal_lengths(scene)
        bent = -np.einsum('kij,kj->ki', T_j_h.rotation[pair], slope)
        rho = np.exp(scene.log_inverse)[seen.track]
        return cls(
            T_j_h,
            pair,
            T_j_h.rotation[pair][:, :, 2] - bent,
            rho[:, None] * T_j_h.translation[pair],
            bent,
            seen.frame == host,
        )


def focal_lengths(scene: Scene) -> Array:
    """Return fx and fy, (2,), in pixels."""
    return np.exp(scene.log_focal) * np.array([1.0, scene.aspect])


def pixel_sigmas(seen: Sightings, noise: Noise) -> Array:
    """Return the standard deviation of each sighting's pixel, (K, 1)."""
    sigmas: Array = noise.pixel * np.where(seen.joined, JOINED_DOUBT, 1.0)[:, None]
    return sigmas


def errors_of(seen: Sightings, scene: Scene, noise: Noise, rays: Rays) -> Residuals:
    """Return the errors of all sightings from the geometry that they have in a scene."""
    q = rays.turned + rays.way
    z = np.maximum(q[:, 2:], NEAR)
    pixel = (focal_lengths(scene) * q[:, :2] / z - seen.offset) / pixel_sigmas(seen, noise)
    pixel[rays.own] = 0.0
    depth = (
        np.log(z[:, 0])
        - scene.log_inverse[seen.track]
        - seen.log_depth
        - scene.log_scale[seen.frame]
    ) / noise.depth
    return Residuals(pixel, np.where(np.isnan(depth), 0.0, depth), q)


def robust_cost(errors: Residuals, noise: Noise) -> float:
    """Return what errors cost under Cauchy's norm."""
    square = np.square(errors.pixel).sum(axis=1)
    return float(
        CAUCHY**2
        * (
            np.log1p(square / CAUCHY**2).sum()
            + noise.share * np.log1p(np.square(errors.depth) / CAUCHY**2).sum()
        )
    )


def jacobian(seen: Sightings, scene: Scene, noise: Noise, rays: Rays, errors: Residuals) -> Array:
    """Return the weighted derivatives of the errors, (K, 3, 10): camera, focal, point, error."""
    q, known = errors.direction, (~np.isnan(seen.log_depth)).astype(np.float64)
    z = np.maximum(q[:, 2], NEAR)
    slope = np.zeros((len(q), ROWS, 3))  # of the errors with q
    scale = focal_lengths(scene) / z[:, None] / pixel_sigmas(seen, noise)
    slope[:, 0, 0], slope[:, 1, 1] = scale.T
    slope[:, :2, 2] = -scale * q[:, :2] / z[:, None]
    slope[:, 2, 2] = known / z / noise.depth
    slope[rays.own] = 0.0
    J = np.zeros((len(q), ROWS, 10))
    rho = np.exp(scene.log_inverse)[seen.track]
    J[:, :, :3] = rho[:, None, None] * slope
    J[:, :, 3:6] = np.cross(q[:, None], slope)
    J[:, 2, 6] = -known / noise.depth
    J[:, :, FOCAL] = np.einsum('kri,ki->kr', slope, rays.bent)
    J[:, :2, FOCAL] += np.where(rays.own[:, None], 0, scale * q[:, :2])
    J[:, :, POINT] = np.einsum('kri,ki->kr', slope, rays.way)
    J[:, 2, POINT] -= known / noise.depth
    J[:, :2, ERROR], J[:, 2, ERROR] = errors.pixel, errors.depth
    square = np.square(errors.pixel).sum(axis=1)
    J[:, :2] *= (1 / np.sqrt(1 + square / CAUCHY**2))[:, None, None]
    J[:, 2] *= np.sqrt(noise.share / (1 + np.square(errors.depth) / CAUCHY**2))[:, None]
    return J
