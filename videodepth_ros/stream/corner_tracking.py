# SPDX-License-Identifier: Apache-2.0
"""Track corners through a stream and estimate the camera pose and the corners' depths.

Each corner is parametrised by the ray of its first observation and a log depth along it, with the
network's depth as Gaussian prior. Pose and log depths minimise the reprojection errors and the
deviations from that prior together: corners gain depth accuracy with the parallax since their
first observation. Units are those of the network's depth.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from videodepth_ros.core.arrays import Float32Array, Float64Array, MaskArray, UInt8Array
from videodepth_ros.frames import Frame
from videodepth_ros.geometry.camera import DEFAULT_FOCAL_LENGTH_FACTOR, Intrinsics
from videodepth_ros.stream.options import CornerTrackingOptions

DEFAULTS = CornerTrackingOptions()


@dataclass(frozen=True)
class Corners:
    """Tracked corners in the world frame of the stream.

    pixels     (N, 2) float32, position in the newest image [px]
    origins_m  (N, 3) float64, camera centre at the first observation
    rays_m     (N, 3) float64, from the origin to the point at its prior depth
    log_depth  (N,) float64, log of the estimated over the prior depth
    """

    pixels: Float32Array
    origins_m: Float64Array
    rays_m: Float64Array
    log_depth: Float64Array

    def __len__(self) -> int:
        return len(self.pixels)

    def select(self, chosen: MaskArray) -> Corners:
        """Return the corners where ``chosen`` (N,) is true."""
        return Corners(*(values[chosen] for values in vars(self).values()))

    def concatenated(self, others: Corners) -> Corners:
        """Return these corners followed by others."""
        return Corners(
            *(
                np.concatenate(pair)
                for pair in zip(vars(self).values(), vars(others).values(), strict=True)
            )
        )

    def scaled(self, factor: float) -> Corners:
        """Return the corners in a world scaled by ``factor``."""
        return replace(self, origins_m=self.origins_m * factor, rays_m=self.rays_m * factor)

    @property
    def points_m(self) -> Float64Array:
        """Estimated points (N, 3) in the world frame."""
        return self.origins_m + self.rays_m * np.exp(self.log_depth)[:, None]


@dataclass(frozen=True)
class Pose:
    """T_camera_world: rotation (3, 3) and translation (3,) in metres."""

    rotation: Float64Array
    translation_m: Float64Array

    def scaled(self, factor: float) -> Pose:
        """Return the pose in a world scaled by ``factor``."""
        return replace(self, translation_m=self.translation_m * factor)

    def perturbed(self, step: Float64Array) -> Pose:
        """Apply a left rotation vector step[:3] and a translation step[3:]."""
        rotation = np.asarray(cv2.Rodrigues(step[:3])[0])
        return Pose(rotation @ self.rotation, self.translation_m + step[3:])


IDENTITY_POSE = Pose(np.eye(3), np.zeros(3))


@dataclass(frozen=True)
class PoseEstimate:
    """Camera pose of a frame and the corners refined with it.

    inliers   (N,) bool, corners within the inlier threshold
    z_m       (N,) float64, Z of the corners in this camera
    variance  (N,) float64, of the log depths given the pose
    """

    corners: Corners
    pose: Pose
    inliers: MaskArray
    z_m: Float64Array
    variance: Float64Array


def downscaled_grey(
    frame: Frame, options: CornerTrackingOptions = DEFAULTS
) -> tuple[UInt8Array, Intrinsics]:
    """Return a grey image (h, w) uint8 of at most the configured width, and its intrinsics.

    Uncalibrated frames get DEFAULT_FOCAL_LENGTH_FACTOR as focal length.
    """
    width, height = frame.size
    size = (width, height)
    if width > options.max_image_width_px:
        reduced = max(1, round(height * options.max_image_width_px / width))
        size = (options.max_image_width_px, reduced)
    image = frame.at_least(*size)
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)
    if frame.camera:
        return grey, frame.camera.scaled_to(*size)
    return grey, Intrinsics.centred(*size, DEFAULT_FOCAL_LENGTH_FACTOR * size[0])


def sample_depth(
    depth_m: Float32Array, pixels: Float32Array, shape: tuple[int, ...]
) -> Float64Array:
    """Sample depth (h, w) at pixels (N, 2) of an image of ``shape`` (H, W); nearest, (N,)."""
    centres = (pixels + 0.5) * (depth_m.shape[1] / shape[1], depth_m.shape[0] / shape[0])
    column, row = centres.astype(np.intp).T
    return depth_m[row.clip(0, depth_m.shape[0] - 1), column.clip(0, depth_m.shape[1] - 1)].astype(
        np.float64
    )


def detect_corners(
    grey: UInt8Array,
    depth_m: Float32Array,
    camera: Intrinsics,
    pose: Pose,
    kept: Corners | None = None,
    options: CornerTrackingOptions = DEFAULTS,
) -> Corners:
    """Detect Shi-Tomasi corners away from those kept, with the depth (h, w) as prior.

    grey    (H, W) uint8; camera: its intrinsics; pose: its T_camera_world
    """
    free = np.full(grey.shape, 255, np.uint8)
    for x, y in kept.pixels if kept else ():
        cv2.circle(free, (round(float(x)), round(float(y))), options.corner_distance_px, 0, -1)
    missing = options.max_corners - (len(kept) if kept else 0)
    found = cv2.goodFeaturesToTrack(
        grey, max(missing, 1), options.corner_quality, options.corner_distance_px, mask=free
    )
    pixels = np.zeros((0, 2), np.float32) if found is None else found[:, 0].astype(np.float32)
    z_m = sample_depth(depth_m, pixels, grey.shape)
    known = (z_m > options.min_depth_m) & (z_m < options.max_depth_m)
    pixels, z_m = pixels[known], z_m[known, None]
    directions = (pixels - (camera.cx, camera.cy)) / (camera.fx, camera.fy)
    rays_m = np.hstack([directions * z_m, z_m]) @ pose.rotation
    origin_m = -pose.translation_m @ pose.rotation
    return Corners(pixels, np.tile(origin_m, (len(pixels), 1)), rays_m, np.zeros(len(pixels)))


def track_and_localize(
    corners: Corners,
    guess: Pose,
    before: UInt8Array,
    now: UInt8Array,
    camera: Intrinsics,
    options: CornerTrackingOptions = DEFAULTS,
) -> PoseEstimate | None:
    """Track corners to the next image and estimate its camera pose; None if tracking is lost.

    guess        T_camera_world of the previous image
    before, now  (H, W) uint8, the previous image and the next one
    """
    corners = track_corners(corners, before, now, options)
    found = _ransac_pose(corners, guess, camera, options)
    if found is None:
        return None
    pose, inliers = found
    for _ in range(options.selection_rounds):
        corners, pose = refine_pose_and_depths(corners, pose, camera, inliers, options)
        linearized = _Linearization(corners, pose, camera, options)
        inliers = (linearized.length_px < options.inlier_px) & (
            linearized.point_m[:, 2] > options.min_depth_m
        )
        if np.count_nonzero(inliers) < options.min_corners:
            return None
    return PoseEstimate(corners, pose, inliers, linearized.point_m[:, 2], 1 / linearized.hessian)


def track_corners(
    corners: Corners,
    before: UInt8Array,
    now: UInt8Array,
    options: CornerTrackingOptions = DEFAULTS,
) -> Corners:
    """Track corners with pyramidal Lucas-Kanade; return those found inside the next image."""
    if len(corners) < options.min_corners or before.shape != now.shape:
        return corners.select(np.zeros(len(corners), bool))
    found, status, _ = cv2.calcOpticalFlowPyrLK(
        before,
        now,
        corners.pixels,
        corners.pixels.copy(),
        winSize=(options.flow_window_px, options.flow_window_px),
        maxLevel=options.flow_levels,
    )
    pixels = np.asarray(found, np.float32)
    inside = ((pixels >= 0) & (pixels < now.shape[::-1])).all(axis=1)
    return replace(corners, pixels=pixels).select((status[:, 0] > 0) & inside)


def _ransac_pose(
    corners: Corners, guess: Pose, camera: Intrinsics, options: CornerTrackingOptions
) -> tuple[Pose, MaskArray] | None:
    """Estimate the pose by PnP RANSAC with OpenCV's fixed seed; None without enough inliers."""
    if len(corners) < options.min_corners:
        return None
    found, rotation, translation_m, indices = cv2.solvePnPRansac(
        corners.points_m,
        corners.pixels.astype(np.float64),
        camera.matrix,
        None,
        cv2.Rodrigues(guess.rotation)[0],
        guess.translation_m[:, None].copy(),
        True,
        options.ransac_iterations,
        options.ransac_inlier_px,
        options.ransac_confidence,
        flags=cv2.SOLVEPNP_ITERATIVE,
    )
    if not found or indices is None or len(indices) < options.min_corners:
        return None
    inliers = np.zeros(len(corners), bool)
    inliers[indices[:, 0]] = True
    pose = Pose(
        np.asarray(cv2.Rodrigues(rotation)[0], float), np.asarray(translation_m, float).ravel()
    )
    return (pose, inliers) if np.isfinite(pose.translation_m).all() else None


def refine_pose_and_depths(
    corners: Corners,
    pose: Pose,
    camera: Intrinsics,
    inliers: MaskArray,
    options: CornerTrackingOptions = DEFAULTS,
) -> tuple[Corners, Pose]:
    """Refine the pose on the inliers and the log depth of every corner by Gauss-Newton.

    The log depths are eliminated by the Schur complement. Residuals are reprojection errors with
    Huber weights in units of the tracking noise, and log depths in units of their prior's sigma.
    """
    for _ in range(options.gauss_newton_iterations):
        linearized = _Linearization(corners, pose, camera, options)
        coupling = linearized.weight[:, None] * np.einsum(
            'nij,ni->nj', linearized.pose_jacobian_px, linearized.depth_jacobian_px
        )
        jacobian = linearized.pose_jacobian_px[inliers].reshape(-1, 6)
        weighted = jacobian * np.repeat(linearized.weight[inliers], 2)[:, None]
        eliminated = (coupling / linearized.hessian[:, None])[inliers].T
        step = np.linalg.lstsq(
            weighted.T @ jacobian - eliminated @ coupling[inliers],
            weighted.T @ linearized.residual_px[inliers].ravel()
            - eliminated @ linearized.gradient[inliers],
            rcond=None,
        )[0]
        log_depth = (
            corners.log_depth + (linearized.gradient - coupling @ step) / linearized.hessian
        )
        corners = replace(corners, log_depth=np.clip(log_depth, -1, 1))
        pose = pose.perturbed(step)
    return corners, pose


class _Linearization:
    """Reprojection errors and their Jacobians at a pose and log depths.

    point_m            (N, 3) in the camera frame
    residual_px        (N, 2); length_px (N,) its norm
    pose_jacobian_px   (N, 2, 6), with respect to the step of ``Pose.perturbed``
    depth_jacobian_px  (N, 2), with respect to the log depth
    weight             (N,), Huber weight over the noise variance
    hessian, gradient  (N,), of the log depth with its prior
    """

    def __init__(
        self, corners: Corners, pose: Pose, camera: Intrinsics, options: CornerTrackingOptions
    ) -> None:
        focal, centre = np.array([camera.fx, camera.fy]), np.array([camera.cx, camera.cy])
        ray_m = (corners.rays_m * np.exp(corners.log_depth)[:, None]) @ pose.rotation.T
        turned_m = corners.origins_m @ pose.rotation.T + ray_m
        self.point_m = turned_m + pose.translation_m
        z_m = np.maximum(self.point_m[:, 2:], options.min_depth_m)
        image = self.point_m[:, :2] / z_m
        self.residual_px = corners.pixels - (focal * image + centre)
        self.length_px = np.linalg.norm(self.residual_px, axis=1)
        point_jacobian = np.zeros((len(corners), 2, 3))
        point_jacobian[:, [0, 1], [0, 1]] = focal / z_m
        point_jacobian[:, :, 2] = -focal * image / z_m
        self.pose_jacobian_px = np.concatenate(
            [np.cross(turned_m[:, None], point_jacobian), point_jacobian], axis=2
        )
        self.depth_jacobian_px = np.einsum('nij,nj->ni', point_jacobian, ray_m)
        sigma_px = max(
            options.corner_sigma_px, options.median_to_sigma * float(np.median(self.length_px))
        )
        self.weight = 1 / np.maximum(1, self.length_px / options.inlier_px) / sigma_px**2
        self.hessian = (
            self.weight * (self.depth_jacobian_px**2).sum(1) + options.log_depth_sigma**-2
        )
        self.gradient = (
            self.weight * (self.depth_jacobian_px * self.residual_px).sum(1)
            - corners.log_depth / options.log_depth_sigma**2
        )
