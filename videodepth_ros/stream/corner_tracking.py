# SPDX-License-Identifier: Apache-2.0
"""Corners of a stream that are followed: where the camera is, and how far they are.

A corner lies on the ray on which it was first seen, at a depth that was believed then. Where the
camera is now and where on their rays the corners are is found together, so that both the pixels
in which they are seen and the depth that was believed are likely. How far the camera moved since
a corner was first seen tells how well its depth is known.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from videodepth_ros.frames import Frame
from videodepth_ros.geometry.camera import DEFAULT_FOCAL_LENGTH_FACTOR, Intrinsics

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Grey = NDArray[np.uint8]
Depth = NDArray[np.float32]

WIDTH_PX = 320
"""Corners are followed in images no wider; it is as good as in larger ones, and fast."""

MOST_CORNERS = 250
CORNER_DISTANCE_PX = 10
LEAST_CORNERS = 12

SAMPLES = 100
SAMPLE_PX = 4.0
"""How near the corners of a sample's camera are, their depth being as it is believed."""

INLIER_PX = 2.0
CORNER_PX = 0.75
"""How exactly a corner is followed at best."""

MEDIAN_SIGMAS = 1.48
"""Standard deviations in a median of distances. Where many corners slide along what repeats, this
tells; the depth that was believed then counts for more than the camera's motion."""

DEPTH_SIGMA = 0.25
"""How far, in logarithms, the depth that is believed of a corner is from its true one."""

ROUNDS, STEPS = 2, 3
"""So often it is asked which corners agree, and so many steps of Gauss-Newton follow."""

NEAREST_M, FARTHEST_M = 1e-3, 1e5
"""Beyond these no corner is believed."""


@dataclass(frozen=True)
class Corners:
    """Corners that are followed, in the world of the stream.

    pixels     (N, 2) float32, where they are now
    origins_m  (N, 3) float64, where the camera was when they were first seen
    rays_m     (N, 3) float64, from there to where they are believed to be
    log_depth  (N,) float64, how much farther along these they turned out to be, as a logarithm
    """

    pixels: NDArray[np.float32]
    origins_m: Array
    rays_m: Array
    log_depth: Array

    def __len__(self) -> int:
        return len(self.pixels)

    def select(self, chosen: Mask) -> Corners:
        """Return those chosen, (N,) bool."""
        return Corners(*(values[chosen] for values in vars(self).values()))

    def concatenated(self, others: Corners) -> Corners:
        """Return these and others."""
        return Corners(
            *(
                np.concatenate(pair)
                for pair in zip(vars(self).values(), vars(others).values(), strict=True)
            )
        )

    def scaled(self, factor: float) -> Corners:
        """Return the same corners in a world that is larger by ``factor``."""
        return replace(self, origins_m=self.origins_m * factor, rays_m=self.rays_m * factor)

    @property
    def points_m(self) -> Array:
        """Where they turned out to be, (N, 3)."""
        return self.origins_m + self.rays_m * np.exp(self.log_depth)[:, None]


@dataclass(frozen=True)
class Pose:
    """T_camera_world: a rotation (3, 3) and a translation (3,) in metres."""

    rotation: Array
    translation_m: Array

    def scaled(self, factor: float) -> Pose:
        """Return the same pose in a world that is larger by ``factor``."""
        return replace(self, translation_m=self.translation_m * factor)

    def perturbed(self, step: Array) -> Pose:
        """Return the pose turned by step[:3], a rotation vector, and shifted by step[3:]."""
        turn = np.asarray(cv2.Rodrigues(step[:3])[0])
        return Pose(turn @ self.rotation, self.translation_m + step[3:])


IDENTITY_POSE = Pose(np.eye(3), np.zeros(3))


@dataclass(frozen=True)
class PoseEstimate:
    """A frame whose camera was found.

    agree     (N,) bool, corners that are seen where they should be
    z_m       (N,) float64, Z of the corners in this camera
    variance  (N,) float64, of the logarithms of their depth, the camera's pose being known
    """

    corners: Corners
    pose: Pose
    inliers: Mask
    z_m: Array
    variance: Array


def downscaled_grey(frame: Frame) -> tuple[Grey, Intrinsics]:
    """Return the image of a frame as (h, w) uint8, at most WIDTH_PX wide, and its camera."""
    width, height = frame.size
    size = (width, height)
    if width > WIDTH_PX:
        size = (WIDTH_PX, max(1, round(height * WIDTH_PX / width)))
    small = cv2.resize(frame.image, size, interpolation=cv2.INTER_AREA)
    grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)
    if frame.camera:
        return grey, frame.camera.scaled_to(*size)
    return grey, Intrinsics.centred(*size, DEFAULT_FOCAL_LENGTH_FACTOR * size[0])


def sample_depth(depth_m: Depth, pixels: NDArray[np.float32], shape: tuple[int, ...]) -> Array:
    """Read depth (h, w) at pixels (N, 2) of an image of ``shape`` (H, W); (N,) float64."""
    centres = (pixels + 0.5) * (depth_m.shape[1] / shape[1], depth_m.shape[0] / shape[0])
    column, row = centres.astype(np.intp).T
    return depth_m[row.clip(0, depth_m.shape[0] - 1), column.clip(0, depth_m.shape[1] - 1)].astype(
        np.float64
    )


def detect_corners(
    grey: Grey, depth_m: Depth, camera: Intrinsics, pose: Pose, kept: Corners | None = None
) -> Corners:
    """Return corners between those that are kept, at the depth (h, w) that is believed."""
    free = np.full(grey.shape, 255, np.uint8)
    for x, y in kept.pixels if kept else ():
        cv2.circle(free, (round(float(x)), round(float(y))), CORNER_DISTANCE_PX, 0, -1)
    wanted = MOST_CORNERS - (len(kept) if kept else 0)
    found = cv2.goodFeaturesToTrack(grey, max(wanted, 1), 0.005, CORNER_DISTANCE_PX, mask=free)
    pixels = np.zeros((0, 2), np.float32) if found is None else found[:, 0].astype(np.float32)
    z_m = sample_depth(depth_m, pixels, grey.shape)
    known = (z_m > NEAREST_M) & (z_m < FARTHEST_M)
    pixels, z_m = pixels[known], z_m[known, None]
    directions = (pixels - (camera.cx, camera.cy)) / (camera.fx, camera.fy)
    rays_m = np.hstack([directions * z_m, z_m]) @ pose.rotation
    origin_m = -pose.translation_m @ pose.rotation
    return Corners(pixels, np.tile(origin_m, (len(pixels), 1)), rays_m, np.zeros(len(pixels)))


def track_and_localize(
    corners: Corners, guess: Pose, before: Grey, now: Grey, camera: Intrinsics
) -> PoseEstimate | None:
    """Find corners again and the camera among them; None if it is lost."""
    corners = track_corners(corners, before, now)
    found = _ransac_pose(corners, guess, camera)
    if found is None:
        return None
    pose, inliers = found
    for _ in range(ROUNDS):
        corners, pose = refine_pose_and_depths(corners, pose, camera, inliers)
        view = _Linearization(corners, pose, camera)
        inliers = (view.length_px < INLIER_PX) & (view.point_m[:, 2] > NEAREST_M)
        if np.count_nonzero(inliers) < LEAST_CORNERS:
            return None
    return PoseEstimate(corners, pose, inliers, view.point_m[:, 2], 1 / view.hessian)


def track_corners(corners: Corners, before: Grey, now: Grey) -> Corners:
    """Return the corners that are found again (Lucas-Kanade on pyramids) in the next image."""
    if len(corners) < LEAST_CORNERS or before.shape != now.shape:
        return corners.select(np.zeros(len(corners), bool))
    found, status, _ = cv2.calcOpticalFlowPyrLK(
        before, now, corners.pixels, corners.pixels.copy(), winSize=(15, 15), maxLevel=3
    )
    pixels = np.asarray(found, np.float32)
    inside = ((pixels >= 0) & (pixels < now.shape[::-1])).all(axis=1)
    return replace(corners, pixels=pixels).select((status[:, 0] > 0) & inside)


def _ransac_pose(corners: Corners, guess: Pose, camera: Intrinsics) -> tuple[Pose, Mask] | None:
    """Return the pose that most corners agree with, near a guess, and which; None if none is.

    Sample consensus over the perspective-n-point problem, from a fixed seed.
    """
    if len(corners) < LEAST_CORNERS:
        return None
    found, rotation, translation_m, indices = cv2.solvePnPRansac(
        corners.points_m,
        corners.pixels.astype(np.float64),
        camera.matrix,
        None,
        cv2.Rodrigues(guess.rotation)[0],
        guess.translation_m[:, None].copy(),
        True,
        SAMPLES,
        SAMPLE_PX,
        0.99,
        flags=cv2.SOLVEPNP_ITERATIVE,
    )
    if not found or indices is None or len(indices) < LEAST_CORNERS:
        return None
    inliers = np.zeros(len(corners), bool)
    inliers[indices[:, 0]] = True
    pose = Pose(
        np.asarray(cv2.Rodrigues(rotation)[0], float), np.asarray(translation_m, float).ravel()
    )
    return (pose, inliers) if np.isfinite(pose.translation_m).all() else None


def refine_pose_and_depths(
    corners: Corners, pose: Pose, camera: Intrinsics, inliers: Mask
) -> tuple[Corners, Pose]:
    """Find the camera, from those that agree, and how far along its ray each corner is.

    Gauss-Newton in the pose and all log depths together, these eliminated (Schur complement):
    residuals in units of how exactly corners are followed, with Huber weights, and log depths in
    units of DEPTH_SIGMA.
    """
    for _ in range(STEPS):
        view = _Linearization(corners, pose, camera)
        coupling = view.weight[:, None] * np.einsum(
            'nij,ni->nj', view.pose_slope_px, view.depth_slope_px
        )
        slope = view.pose_slope_px[inliers].reshape(-1, 6)
        weighted = slope * np.repeat(view.weight[inliers], 2)[:, None]
        eliminated = (coupling / view.hessian[:, None])[inliers].T
        step = np.linalg.lstsq(
            weighted.T @ slope - eliminated @ coupling[inliers],
            weighted.T @ view.residual_px[inliers].ravel() - eliminated @ view.gradient[inliers],
            rcond=None,
        )[0]
        log_depth = corners.log_depth + (view.gradient - coupling @ step) / view.hessian
        corners, pose = replace(corners, log_depth=np.clip(log_depth, -1, 1)), pose.perturbed(step)
    return corners, pose


class _Linearization:
    """Corners as a camera sees them, and what of it changes with the pose and their log depths.

    point_m                            (N, 3) in the camera
    residual_px, depth_slope_px        (N, 2), length_px (N,) of the former
    pose_slope_px                      (N, 2, 6), of a step of Pose.moved
    weight, hessian, gradient          (N,), of each corner's log depth by itself
    """

    def __init__(self, corners: Corners, pose: Pose, camera: Intrinsics) -> None:
        focal, centre = np.array([camera.fx, camera.fy]), np.array([camera.cx, camera.cy])
        ray_m = (corners.rays_m * np.exp(corners.log_depth)[:, None]) @ pose.rotation.T
        turned_m = corners.origins_m @ pose.rotation.T + ray_m
        self.point_m = turned_m + pose.translation_m
        z_m = np.maximum(self.point_m[:, 2:], NEAREST_M)
        image = self.point_m[:, :2] / z_m
        self.residual_px = corners.pixels - (focal * image + centre)
        self.length_px = np.linalg.norm(self.residual_px, axis=1)
        point_slope = np.zeros((len(corners), 2, 3))
        point_slope[:, [0, 1], [0, 1]] = focal / z_m
        point_slope[:, :, 2] = -focal * image / z_m
        self.pose_slope_px = np.concatenate(
            [np.cross(turned_m[:, None], point_slope), point_slope], axis=2
        )
        self.depth_slope_px = np.einsum('nij,nj->ni', point_slope, ray_m)
        exact_px = max(CORNER_PX, MEDIAN_SIGMAS * float(np.median(self.length_px)))
        self.weight = 1 / np.maximum(1, self.length_px / INLIER_PX) / exact_px**2
        self.hessian = self.weight * (self.depth_slope_px**2).sum(1) + DEPTH_SIGMA**-2
        self.gradient = (
            self.weight * (self.depth_slope_px * self.residual_px).sum(1)
            - corners.log_depth / DEPTH_SIGMA**2
        )
