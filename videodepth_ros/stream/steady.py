# SPDX-License-Identifier: Apache-2.0
"""One scale for a whole stream: what a small network believes of it changes with the view.

Corners are followed from frame to frame. Where they are in space is known from the depth of the
frame in which they were first seen (the keyframe); so the camera's motion follows from where they
are in the image (perspective-n-point), and from the motion how far they are now. What the depth
of this frame must be multiplied with to agree, in the median, is its correction. Corners that the
camera's motion explains better at another depth are moved there, for a depth that is wrong in
shape would bend the motion too. Over MEMORY_S, and with each keyframe, corrections fade to a mean
of none: this makes the network's scale steady and knows none of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from videodepth_ros.frames import Frame
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.models.catalogue import ModelCard
from videodepth_ros.stream.scale import ASSUMED_FOCAL_WIDTHS

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

WANTED = 'auto', 'always', 'never'
"""What an operator may ask for; auto steadies the models that their cards say drift."""

WIDTH_PX = 320
"""Corners are followed in images no wider; it is as good as in larger ones, and fast."""

MOST_CORNERS = 400
"""With 200 half as much of the drift goes."""

CORNER_DISTANCE_PX = 7
LEAST_CORNERS = 12
KEPT_SHARE = 0.6
"""With fewer of a keyframe's corners left in agreement the next keyframe begins."""

INLIER_PX = 2.0
CORNER_PX = 0.5
"""How exactly a corner is followed."""

DEPTH_SIGMA = 0.25
"""How far, in logarithms, the network's depth of a corner is from its true one."""

MOST_SIGHTINGS = 10
MEMORY_S = 10.0
KEYFRAME_SHARE = 0.15
"""At a keyframe, which hands errors on, the network's word counts for at least so much."""


@dataclass(frozen=True)
class Corners:
    """Corners of a keyframe that are still followed.

    pixels     (N, 2) float32, where they are now
    points_m   (N, 3) float64, in the keyframe's camera, at the depth first believed
    log_depth  (N,) float64, how much farther they turned out to be, as a logarithm
    sightings  (N,) float64, of how many keyframes that first belief is a mean
    """

    pixels: NDArray[np.float32]
    points_m: Array
    log_depth: Array
    sightings: Array

    def __len__(self) -> int:
        return len(self.pixels)

    def among(self, chosen: Mask) -> Corners:
        """Return those chosen, (N,) bool."""
        return Corners(self.pixels[chosen], self.points_m[chosen], self.log_depth[chosen],
                       self.sightings[chosen])

    def scaled(self, factor: float) -> Corners:
        """Return the same corners with all depth multiplied."""
        return replace(self, points_m=self.points_m * factor)

    @property
    def settled_m(self) -> Array:
        """(N, 3) points at the depth that they turned out to have."""
        return self.points_m * np.exp(self.log_depth)[:, None]


@dataclass(frozen=True)
class Pose:
    """T_camera_keyframe as a rotation vector (3,) and a translation (3,) in metres."""

    rotation: Array
    translation_m: Array

    def scaled(self, factor: float) -> Pose:
        """Return the same pose in a world that is larger by ``factor``."""
        return replace(self, translation_m=self.translation_m * factor)

    @property
    def matrix(self) -> Array:
        """The rotation (3, 3)."""
        return np.asarray(cv2.Rodrigues(self.rotation)[0])


AT_KEYFRAME = Pose(np.zeros(3), np.zeros(3))


@dataclass(frozen=True)
class _Keyframe:
    """What is known of the stream after a frame.

    grey   the last image (h, w) uint8; at_ns its stamp
    begun  how many corners the keyframe began with
    """

    grey: NDArray[np.uint8]
    at_ns: int
    corners: Corners
    pose: Pose
    begun: int


class SteadyScale:
    """The scale of one stream; used by one thread."""

    def __init__(self) -> None:
        self._last: _Keyframe | None = None
        self._age_s = 0.0

    def restart(self) -> None:
        """Begin another stream."""
        self._last, self._age_s = None, 0.0

    def factor(self, frame: Frame, depth_m: NDArray[np.float32]) -> float:
        """Return what the depth of the next frame is to be multiplied with.

        depth_m  (h, w) float32 as the network tells it, NaN or +inf where unknown
        """
        grey, camera = small_grey(frame)
        last = self._last
        located = _locate(last, grey, depth_m, camera) if last else None
        if last is None or located is None:
            self.restart()
            self._last = _begin(grey, frame.stamp_ns, depth_m, 1.0, camera, None)
            return 1.0
        corners, pose, agree, factor = located
        is_keyframe = np.count_nonzero(agree) < KEPT_SHARE * last.begun
        share = self._share_of((frame.stamp_ns - last.at_ns) * 1e-9)
        fading = factor ** -max(share, KEYFRAME_SHARE if is_keyframe else 0.0)
        factor, corners, pose = factor * fading, corners.scaled(fading), pose.scaled(fading)
        if is_keyframe:
            seen = _seen_from(corners.among(agree), pose, depth_m * np.float32(factor), grey.shape)
            self._last = _begin(grey, frame.stamp_ns, depth_m, factor, camera, seen)
        else:
            self._last = _Keyframe(grey, frame.stamp_ns, corners, pose, last.begun)
        return factor

    def _share_of(self, step_s: float) -> float:
        """Return the weight of a new frame in the mean that the stream's scale is."""
        self._age_s += step_s
        return min(1.0, step_s / min(self._age_s + step_s, MEMORY_S))


def is_steadied(wanted: str, card: ModelCard) -> bool:
    """Tell whether a stream of a model is steadied, by a word of WANTED."""
    return wanted == 'always' or (wanted == 'auto' and card.drifts)


def small_grey(frame: Frame) -> tuple[NDArray[np.uint8], Intrinsics]:
    """Return the image of a frame as (h, w) uint8, at most WIDTH_PX wide, and its camera."""
    width, height = frame.size
    size = (width, height)
    if width > WIDTH_PX:
        size = (WIDTH_PX, max(1, round(height * WIDTH_PX / width)))
    small = cv2.resize(frame.image, size, interpolation=cv2.INTER_AREA)
    grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)
    if frame.camera:
        return grey, frame.camera.scaled_to(*size)
    focal = ASSUMED_FOCAL_WIDTHS * size[0]
    return grey, Intrinsics(*size, focal, focal, (size[0] - 1) / 2, (size[1] - 1) / 2)


def _locate(last: _Keyframe, grey: NDArray[np.uint8], depth_m: NDArray[np.float32],
            camera: Intrinsics) -> tuple[Corners, Pose, Mask, float] | None:
    """Return corners, the camera's pose, which corners agree, and the factor; None if lost."""
    corners = follow(last.corners, last.grey, grey)
    found = find_pose(corners, last.pose, camera)
    if found is None:
        return None
    pose, agree = found
    for _ in range(2):
        corners = move_in_depth(corners, pose, camera)
        pose = _polish(corners.among(agree), pose, camera)
    expected_m = _in_camera(corners, pose)[:, 2]
    believed_m = _at(depth_m, corners.pixels, grey.shape)
    agree &= np.isfinite(believed_m) & (believed_m > 0) & (expected_m > 0)
    if np.count_nonzero(agree) < LEAST_CORNERS:
        return None
    return corners, pose, agree, float(np.median(expected_m[agree] / believed_m[agree]))


def follow(corners: Corners, before: NDArray[np.uint8], now: NDArray[np.uint8]) -> Corners:
    """Return the corners that are found again (Lucas-Kanade on pyramids) in the next image."""
    if len(corners) < LEAST_CORNERS or before.shape != now.shape:
        return corners.among(np.zeros(len(corners), bool))
    found, status, _ = cv2.calcOpticalFlowPyrLK(
        before, now, corners.pixels, corners.pixels.copy(), winSize=(15, 15), maxLevel=3)
    pixels = np.asarray(found, np.float32)
    inside = ((pixels >= 0) & (pixels < now.shape[::-1])).all(axis=1)
    return replace(corners, pixels=pixels).among((status[:, 0] > 0) & inside)


def find_pose(corners: Corners, guess: Pose, camera: Intrinsics) -> tuple[Pose, Mask] | None:
    """Return the pose that most corners agree with, near a guess, and which; None if none is.

    Sample consensus over the perspective-n-point problem, from a fixed seed.
    """
    if len(corners) < LEAST_CORNERS:
        return None
    found, rotation, translation_m, inliers = cv2.solvePnPRansac(
        corners.settled_m, corners.pixels.astype(np.float64), camera.matrix, None,
        guess.rotation.copy(), guess.translation_m.copy(), True, 60, INLIER_PX, 0.99,
        flags=cv2.SOLVEPNP_ITERATIVE)
    if not found or inliers is None or len(inliers) < LEAST_CORNERS:
        return None
    agree = np.zeros(len(corners), bool)
    agree[inliers[:, 0]] = True
    pose = _pose(rotation, translation_m)
    return _polish(corners.among(agree), pose, camera), agree


def _polish(corners: Corners, pose: Pose, camera: Intrinsics) -> Pose:
    """Return the pose of least squares near one that is nearly right."""
    rotation, translation_m = cv2.solvePnPRefineLM(
        corners.settled_m, corners.pixels.astype(np.float64), camera.matrix, None,
        pose.rotation[:, None].copy(), pose.translation_m[:, None].copy())
    return _pose(rotation, translation_m)


def _pose(rotation: NDArray[Any], translation_m: NDArray[Any]) -> Pose:
    return Pose(np.asarray(rotation, float).ravel(), np.asarray(translation_m, float).ravel())


def move_in_depth(corners: Corners, pose: Pose, camera: Intrinsics) -> Corners:
    """Move each corner along its ray to where both its pixels and its first depth are likely.

    Two Gauss-Newton steps in log depth, each corner by itself: residuals in units of CORNER_PX
    with Huber weights, and log depth in units of DEPTH_SIGMA over the root of its sightings.
    """
    turned_m = corners.points_m @ pose.matrix.T
    focal, centre = np.array([camera.fx, camera.fy]), np.array([camera.cx, camera.cy])
    certainty = corners.sightings / DEPTH_SIGMA**2
    log_depth = corners.log_depth
    for _ in range(2):
        ray_m = turned_m * np.exp(log_depth)[:, None]
        point_m = ray_m + pose.translation_m
        z_m = np.maximum(point_m[:, 2:], 1e-3)
        image = point_m[:, :2] / z_m
        residual_px = corners.pixels - (focal * image + centre)
        slope_px = focal * (ray_m[:, :2] - image * ray_m[:, 2:]) / z_m
        length_px = np.linalg.norm(residual_px, axis=1)
        weight = 1 / np.maximum(1, length_px / INLIER_PX) / CORNER_PX**2
        hessian = weight * (slope_px**2).sum(1) + certainty
        gradient = weight * (slope_px * residual_px).sum(1) - certainty * log_depth
        log_depth = np.clip(log_depth + gradient / hessian, -1, 1)
    return replace(corners, log_depth=log_depth)


def _in_camera(corners: Corners, pose: Pose) -> Array:
    """Return where corners are in the camera of now, (N, 3) in metres."""
    return corners.settled_m @ pose.matrix.T + pose.translation_m


def _seen_from(corners: Corners, pose: Pose, depth_m: NDArray[np.float32],
               shape: tuple[int, ...]) -> Corners:
    """Return corners as a keyframe of now sees them, at the mean of both its beliefs."""
    point_m = _in_camera(corners, pose)
    shift = np.log(_at(depth_m, corners.pixels, shape) / point_m[:, 2]) / (corners.sightings + 1)
    return Corners(corners.pixels, point_m * np.exp(shift)[:, None], np.zeros(len(corners)),
                   np.minimum(corners.sightings + 1, MOST_SIGHTINGS))


def _begin(grey: NDArray[np.uint8], at_ns: int, depth_m: NDArray[np.float32], factor: float,
           camera: Intrinsics, seen: Corners | None) -> _Keyframe:
    """Begin a keyframe with the corners that are followed already and new ones between them."""
    corners = _new_corners(grey, depth_m, factor, camera, seen)
    if seen:
        corners = Corners(*(np.concatenate([old, new]) for old, new in zip(
            vars(seen).values(), vars(corners).values(), strict=True)))
    return _Keyframe(grey, at_ns, corners, AT_KEYFRAME, len(corners))


def _new_corners(grey: NDArray[np.uint8], depth_m: NDArray[np.float32], factor: float,
                 camera: Intrinsics, seen: Corners | None) -> Corners:
    free = np.full(grey.shape, 255, np.uint8)
    for x, y in seen.pixels if seen else ():
        cv2.circle(free, (round(float(x)), round(float(y))), CORNER_DISTANCE_PX, 0, -1)
    wanted = MOST_CORNERS - (len(seen) if seen else 0)
    found = cv2.goodFeaturesToTrack(grey, max(wanted, 1), 0.005, CORNER_DISTANCE_PX, mask=free)
    pixels = np.zeros((0, 2), np.float32) if found is None else found[:, 0].astype(np.float32)
    z_m = factor * _at(depth_m, pixels, grey.shape)
    known = np.isfinite(z_m) & (z_m > 0)
    pixels, z_m = pixels[known], z_m[known, None]
    rays = (pixels - (camera.cx, camera.cy)) / (camera.fx, camera.fy)
    return Corners(pixels, np.hstack([rays * z_m, z_m]), np.zeros(len(pixels)),
                   np.ones(len(pixels)))


def _at(depth_m: NDArray[np.float32], pixels: NDArray[np.float32], shape: tuple[int, ...]
        ) -> Array:
    """Read depth (h, w) at pixels (N, 2) of an image of ``shape`` (H, W); (N,) float64."""
    centres = (pixels + 0.5) * (depth_m.shape[1] / shape[1], depth_m.shape[0] / shape[0])
    column, row = centres.astype(np.intp).T
    return depth_m[row.clip(0, depth_m.shape[0] - 1),
                   column.clip(0, depth_m.shape[1] - 1)].astype(np.float64)
