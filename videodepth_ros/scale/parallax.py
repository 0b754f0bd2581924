# SPDX-License-Identifier: Apache-2.0
"""Scale of inverse depth from the motion of corners under a known motion of the camera.

With translation t [m] from a keyframe to a frame, a corner of ray r = (x, y, 1) and inverse depth
v of the network moves to the projection of R r + (v / s) t. The scale s and the rotation R are
estimated by Gauss-Newton from all corners; direction and length of t are those of the odometry.
Corners crowd where there is texture, but the scale is that of all pixels: cells of the image count
alike.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np

from videodepth_ros.core.arrays import Float32Array, Float64Array
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.scale.options import ParallaxOptions
from videodepth_ros.stream.corner_tracking import Corners

DEFAULTS = ParallaxOptions()


class ParallaxFit(NamedTuple):
    """Scale by the motion of corners.

    log_scale  log s such that depth [m] = s / inverse depth
    sigma      its standard error by the noise of the corners and of the rotation
    flow_px    median displacement of the corners by the translation
    """

    log_scale: float
    sigma: float
    flow_px: float


def fit_log_scale(
    corners: Corners,
    camera: Intrinsics,
    T_cam_key: Float64Array,
    options: ParallaxOptions = DEFAULTS,
) -> ParallaxFit | None:
    """Return the scale by the motion of corners.

    corners    rays of the keyframe at depth 1 / inverse depth, and pixels in the newest image
    T_cam_key  (4, 4) of the motion from the keyframe [m]
    returns    None where too few corners follow the motion
    """
    focal = np.array([camera.fx, camera.fy])
    places = (corners.pixels - (camera.cx, camera.cy)) / focal
    inverse = 1 / corners.rays_m[:, 2]
    rays = corners.rays_m * inverse[:, None]
    shift = inverse[:, None] * T_cam_key[:3, 3]
    rotation, turn = T_cam_key[:3, :3], np.zeros(3)  # turn: against the odometry
    per_scale, prior = _start(places, rays @ rotation.T, shift), _rotation_prior(rotation, options)
    share = _cell_share(corners.pixels, options.cell_px)
    for _ in range(options.iterations):
        turned = rays @ rotation.T
        points = turned + per_scale * shift
        if not (points[:, 2] > 0).all():
            return None
        error = (places - points[:, :2] / points[:, 2:]) * focal
        jacobian = _jacobian(points, turned, shift, focal)
        flow_px = per_scale * np.linalg.norm(jacobian[:, :, 3], axis=1)
        sigma_px = np.hypot(options.pixel_sigma, options.depth_sigma * flow_px)
        length = np.linalg.norm(error, axis=1) / sigma_px
        weight = share * np.minimum(1, 1 / np.maximum(length, 1e-9)) / sigma_px**2  # Huber
        weighted = (jacobian * weight[:, None, None]).reshape(-1, 4)
        information = weighted.T @ jacobian.reshape(-1, 4) + prior
        gradient = weighted.T @ error.ravel() - prior @ np.append(turn, 0)
        step = np.linalg.lstsq(information, gradient, rcond=None)[0]
        turn = turn + step[:3]
        rotation = np.asarray(cv2.Rodrigues(turn)[0]) @ T_cam_key[:3, :3]
        per_scale = max(per_scale + float(step[3]), per_scale / 3)
    inliers = length < options.inlier
    needed = max(options.min_corners, options.min_inlier_share * len(inliers))
    if np.count_nonzero(inliers) < needed:
        return None
    sigma = _scale_sigma(information) / per_scale
    return ParallaxFit(-float(np.log(per_scale)), sigma, float(np.median(flow_px[inliers])))


def _cell_share(pixels: Float32Array, cell_px: float) -> Float64Array:
    """Return weights (N,) of pixels (N, 2), of mean one, with which cells count alike."""
    cells = np.floor(pixels / cell_px)
    _, cell, counts = np.unique(cells, axis=0, return_inverse=True, return_counts=True)
    return np.asarray(len(pixels) / len(counts) / counts[cell.reshape(-1)])


def _scale_sigma(information: Float64Array) -> float:
    """Return the standard error of the last of the unknowns (4,), the others being free."""
    turn, both = information[:3, :3], information[:3, 3]
    left = float(information[3, 3] - both @ np.linalg.solve(turn, both))
    return left**-0.5 if left > 0 else math.inf


def _rotation_prior(rotation: Float64Array, options: ParallaxOptions) -> Float64Array:
    """Return the information (4, 4) of the odometry's rotation (3, 3), none of the scale."""
    angle_rad = float(np.linalg.norm(np.asarray(cv2.Rodrigues(rotation)[0])))
    sigma_rad = np.hypot(
        np.radians(options.rotation_sigma_deg), options.rotation_share * angle_rad
    )
    return np.diag([sigma_rad**-2] * 3 + [0.0])


def _start(places: Float64Array, turned: Float64Array, shift: Float64Array) -> float:
    """Return a first 1 / scale: the median over corners of what each one gives by itself."""
    flow = shift[:, :2] - turned[:, :2] * shift[:, 2:]
    seen = places - turned[:, :2] / turned[:, 2:]
    each = (seen * flow).sum(axis=1) / np.maximum((flow**2).sum(axis=1), 1e-18)
    return max(float(np.median(each)), 1e-6)


def _jacobian(
    points: Float64Array, turned: Float64Array, shift: Float64Array, focal: Float64Array
) -> Float64Array:
    """Return the derivatives (N, 2, 4) of pixels by a rotation vector and 1 / scale."""
    z = points[:, 2:]
    projection = np.zeros((len(points), 2, 3))
    projection[:, [0, 1], [0, 1]] = focal / z
    projection[:, :, 2] = -focal * points[:, :2] / z**2
    by_rotation = np.cross(turned[:, None], projection)
    by_scale = np.einsum('nij,nj->ni', projection, shift)[:, :, None]
    return np.concatenate([by_rotation, by_scale], axis=2)
