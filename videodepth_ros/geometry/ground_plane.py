# SPDX-License-Identifier: Apache-2.0
"""The plane of the ground in an inverse depth map, given about where down is.

On a plane n X = h of a camera, inverse depth is linear in the ray r = (x, y, 1) of a pixel:
1 / Z = n r / h. The ground is the lowest level with enough pixels: heights of the pixels below the
camera have one mode for each level, and its plane is fitted by iteratively reweighted least
squares with the direction of down as prior.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from videodepth_ros.core.arrays import Float32Array, Float64Array
from videodepth_ros.geometry.camera import Intrinsics


@dataclass(frozen=True)
class GroundPlaneOptions:
    """Search of the ground plane."""

    max_samples: int = 4000  # pixels of the fit, on a regular grid
    min_slope: float = 0.05  # least sine of the angle of a ray below the horizon
    bin_width: float = 0.05  # [log height] of the histogram of heights
    min_share: float = 0.2  # of the rays below the horizon, in the plane
    min_image_share: float = 0.06  # of all pixels, in the plane
    min_width: float = 0.25  # of the image, extent of the plane
    min_slope_ratio: float = 1.5  # of the nearest and the farthest ray; of a wall's it is small
    max_below_share: float = 0.15  # of rays below the plane, over those in it
    inlier: float = 0.1  # relative error of inverse depth in the plane
    below: float = 0.2  # relative error at which a pixel lies below the plane
    iterations: int = 8  # of the reweighting
    near_power: float = 2.0  # of the slope, in the weight: tilt hardly moves near ground
    effective_pixels: float = 80.0  # independent ones of an image: a network's errors correlate
    pixel_sigma: float = 0.05  # relative error of inverse depth of one such pixel
    candidates: int = 3  # levels that are tried, the lowest first


DEFAULTS = GroundPlaneOptions()


@dataclass(frozen=True)
class GroundPlane:
    """The plane normal @ X = height in the optical frame, in the unit of the depth.

    normal       (3,) float64, of length one, down
    height       distance of the camera
    share        of the rays below the horizon that lie in the plane
    sigma        standard error of the log height, without that of the prior direction
    """

    normal: Float64Array
    height: float
    share: float
    sigma: float

    def scaled(self, factor: float) -> GroundPlane:
        """Return the plane in a unit of which ``factor`` make one of the present."""
        return GroundPlane(self.normal, self.height * factor, self.share, self.sigma)

    def heights(self, points: Float32Array) -> Float32Array:
        """Return the heights (...,) of points (..., 3) above the plane."""
        return np.asarray(self.height - points @ self.normal.astype(np.float32), np.float32)


def camera_rays(camera: Intrinsics, stride: int = 1) -> Float32Array:
    """Return the rays (h, w, 3) float32 with z = 1 of every stride-th row and column."""
    rays = np.ones((-(-camera.height // stride), -(-camera.width // stride), 3), np.float32)
    rays[..., 0] = (np.arange(0, camera.width, stride) - camera.cx) / camera.fx
    rays[..., 1] = ((np.arange(0, camera.height, stride) - camera.cy) / camera.fy)[:, None]
    return rays


def fit_ground_plane(
    inverse_depth: Float32Array,
    camera: Intrinsics,
    down: Float64Array,
    tilt_sigma_rad: float,
    options: GroundPlaneOptions = DEFAULTS,
) -> GroundPlane | None:
    """Return the ground in an inverse depth map (h, w) float32; None where none is plausible.

    camera          intrinsics at the size of ``inverse_depth``
    down            (3,) float64, unit vector in the optical frame
    tilt_sigma_rad  standard deviation of the ground's normal about ``down``
    """
    height, width = inverse_depth.shape
    stride = max(1, math.ceil(math.sqrt(height * width / options.max_samples)))
    values = inverse_depth[::stride, ::stride]
    rays = camera_rays(camera, stride)
    slope = rays @ down.astype(np.float32)
    low = (
        (slope > options.min_slope * np.linalg.norm(rays, axis=2))
        & np.isfinite(values)
        & (values > 0)
    )
    if low.mean() < options.min_image_share:
        return None
    samples = _Samples(
        rays[low].astype(np.float64),
        values[low].astype(np.float64),
        np.nonzero(low)[1] / values.shape[1],
        values.size,
    )
    for level in _levels(slope[low] / values[low], slope[low], options):
        plane = _fit(samples, down, 1 / level, tilt_sigma_rad, options)
        if plane is not None:
            return plane
    return None


@dataclass(frozen=True)
class _Samples:
    """Rays (N, 3) below the horizon, their inverse depth (N,), columns in 0..1, and all pixels."""

    rays: Float64Array
    inverse_depth: Float64Array
    columns: Float64Array
    pixels: int


def _levels(
    heights: Float32Array, weights: Float32Array, options: GroundPlaneOptions
) -> list[float]:
    """Return the modes of heights (N,) below the camera with enough weight, the lowest first."""
    logs = np.log(heights)
    edges = np.arange(logs.min() - options.bin_width, logs.max() + 2 * options.bin_width, 0.05)
    counts = np.histogram(logs, edges, weights=weights)[0] / weights.sum()
    smooth = np.convolve(counts, (1, 2, 3, 2, 1), 'same') / 3  # share of about three bins
    inner = smooth[1:-1]
    peaks = 1 + np.flatnonzero(
        (inner >= smooth[:-2]) & (inner > smooth[2:]) & (inner > options.min_share / 2)
    )
    strongest = peaks[np.argsort(-smooth[peaks])][: options.candidates]
    return [float(np.exp((edges[k] + edges[k + 1]) / 2)) for k in sorted(strongest, reverse=True)]


def _fit(
    samples: _Samples,
    down: Float64Array,
    scale: float,
    tilt_sigma_rad: float,
    options: GroundPlaneOptions,
) -> GroundPlane | None:
    """Fit inverse depth = b r from b = scale * down; None if the plane is not plausible."""
    plane = scale * down
    across = np.eye(3) - np.outer(down, down)
    relative = samples.rays / samples.inverse_depth[:, None]
    near = (samples.rays @ down) ** options.near_power
    for k in range(options.iterations):
        error = 1 - relative @ plane
        width = options.inlier * max(1.0, 2.0 - 0.25 * k)  # wide at first, as tilt is not known
        inside = np.abs(error) < 2 * width
        if np.count_nonzero(inside) < options.min_image_share * samples.pixels:
            return None
        weight = np.where(inside, near / (1 + (error / width) ** 2) ** 2, 0.0)
        total = weight.sum()
        independent = options.effective_pixels * np.count_nonzero(inside) / samples.pixels
        precision = independent / options.pixel_sigma**2 / total
        prior = across / (np.linalg.norm(plane) * tilt_sigma_rad) ** 2
        hessian = precision * (relative * weight[:, None]).T @ relative + prior
        plane = np.linalg.solve(hessian, precision * relative.T @ weight)
    return _plausible(samples, plane, hessian, options)


def _plausible(
    samples: _Samples, plane: Float64Array, hessian: Float64Array, options: GroundPlaneOptions
) -> GroundPlane | None:
    """Return the plane if it is large, wide, and hardly anything lies below it."""
    expected = samples.rays @ plane
    error = 1 - expected / samples.inverse_depth
    inside = np.abs(error) < options.inlier
    count = np.count_nonzero(inside)
    if count < max(
        options.min_share * len(samples.rays), options.min_image_share * samples.pixels
    ):
        return None
    below = np.count_nonzero(samples.inverse_depth < expected * (1 - options.below))
    if below > options.max_below_share * count:
        return None
    length = float(np.linalg.norm(plane))
    near, far = np.percentile(samples.rays[inside] @ plane / length, (95, 5))
    width = float(np.ptp(np.percentile(samples.columns[inside], (5, 95))))
    if width < options.min_width or near < options.min_slope_ratio * far:
        return None
    variance = float(plane @ np.linalg.solve(hessian, plane)) / length**4
    return GroundPlane(plane / length, 1 / length, count / len(samples.rays), variance**0.5)
