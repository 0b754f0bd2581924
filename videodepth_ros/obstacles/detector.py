# SPDX-License-Identifier: Apache-2.0
"""Obstacles in a band of heights above the ground, voxel by voxel, from the depth of one camera.

The plane of the ground is fitted about the direction of down (geometry/ground_plane.py), and
followed over slopes (ground_profile.py). A cell of the ground has an obstacle where enough of its
pixels lie in the band; flying pixels are none. The frames before deny phantoms (temporal.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numba import njit

from videodepth_ros.core.arrays import Float32Array, Float64Array, MaskArray
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.geometry.depth_edges import beside_edges
from videodepth_ros.geometry.ground_plane import GroundPlane, fit_ground_plane
from videodepth_ros.geometry.pose import invert_poses
from videodepth_ros.obstacles.ground_profile import ground_profile, height_above, max_across_of
from videodepth_ros.obstacles.options import ObstacleOptions, ObstacleParameters
from videodepth_ros.obstacles.temporal import ObstacleView, TemporalFilter
from videodepth_ros.obstacles.voxels import thin, with_support
from videodepth_ros.scale.mount import CameraMount

DEFAULTS = ObstacleOptions()


@dataclass(frozen=True)
class Obstacles:
    """Obstacles of one frame.

    points_m      (P, 3) float32 in the optical frame, one of each voxel
    pixels_m      (N, 3) float32, all of them; is_doubtful: (N,) bool, denied by the frames before
    plane         of the ground [m]; T_ground_cam: pose (4, 4) float64 of the camera in a frame on
                  it: x ahead, y left, z up, origin below the camera
    depth_m       (h, w) float32, the averaged depth that they are of; camera: its intrinsics
    """

    points_m: Float32Array
    pixels_m: Float32Array
    is_doubtful: MaskArray
    plane: GroundPlane
    T_ground_cam: Float64Array
    depth_m: Float32Array
    camera: Intrinsics


class ObstacleDetector:
    """Obstacles of the frames of one camera."""

    def __init__(self, options: ObstacleOptions = DEFAULTS) -> None:
        self._options = options
        self._temporal = TemporalFilter()

    def clear(self) -> None:
        """Forget the frames before."""
        self._temporal.clear()

    def step(
        self,
        depth_m: Float32Array,
        camera: Intrinsics,
        stamp_ns: int,
        mount: CameraMount | None,
        parameters: ObstacleParameters,
        T_odom_cam: Float64Array | None = None,
        confidence: Float32Array | None = None,
    ) -> Obstacles | None:
        """Return the obstacles of a frame; None where no ground is known.

        depth_m     (H, W) float32 [m], NaN unknown, +inf nothing hit; camera: its intrinsics
        mount       of the camera; None: it looks ahead, at an unknown height
        T_odom_cam  (4, 4), the camera in a frame that does not move; None: it stands still
        confidence  (H, W) float32; None: every pixel counts
        """
        if confidence is not None and parameters.obstacles_confidence > 0:
            doubtful = (confidence < parameters.obstacles_confidence) & ~np.isinf(depth_m)
            depth_m = np.where(doubtful, np.nan, depth_m)
        depth_m, camera = average(depth_m, camera, self._options.max_width_px)
        plane = find_ground(depth_m, camera, mount, self._options)
        if plane is None:
            self._temporal.clear()
            return None
        T_ground_cam = ground_frame(plane)
        points_m = _points(depth_m, camera, T_ground_cam)
        heights_m = self._heights(points_m, camera, T_ground_cam, parameters)
        is_obstacle = self._in_band(depth_m, points_m, heights_m, parameters)
        pixels_m = points_m[is_obstacle]
        if parameters.obstacles_negative:
            holes = heights_m < -self._options.min_hole_m
            rims = _rims(points_m[holes], plane.height, parameters.obstacles_max_range_m)
            pixels_m = np.concatenate([pixels_m, rims])
        found_m, voxel = thin(pixels_m, parameters.obstacles_voxel_m)
        T_cam_ground = invert_poses(T_ground_cam)
        found_m, pixels_m = (_transformed(each, T_cam_ground) for each in (found_m, pixels_m))
        kept = np.ones(len(found_m), np.bool_)
        if parameters.obstacles_temporal:
            view = ObstacleView(stamp_ns, depth_m, is_obstacle, camera, T_odom_cam)
            kept = self._temporal.confirm(found_m, view)
        return Obstacles(
            found_m[kept], pixels_m, ~kept[voxel], plane, T_ground_cam, depth_m, camera
        )

    def _heights(
        self,
        points_m: Float32Array,
        camera: Intrinsics,
        T_ground_cam: Float64Array,
        parameters: ObstacleParameters,
    ) -> Float32Array:
        """Return the heights (h, w) of points above the ground, whose slopes are followed."""
        profile = self._options.profile
        corners = [(x, y, 1.0) for x in (0, camera.width - 1) for y in (0, camera.height - 1)]
        rays = np.array(corners) @ np.linalg.inv(camera.matrix).T @ T_ground_cam[:3, :3].T
        across = max_across_of(rays)
        ground_m = ground_profile(points_m, parameters.obstacles_max_range_m, across, profile)
        return height_above(points_m, ground_m, across, profile.ring_m)

    def _in_band(
        self,
        depth_m: Float32Array,
        points_m: Float32Array,
        heights_m: Float32Array,
        parameters: ObstacleParameters,
    ) -> MaskArray:
        """Return the pixels (h, w) of obstacles."""
        options = self._options
        reach_m = parameters.obstacles_max_range_m
        near = (points_m[..., 0] ** 2 + points_m[..., 1] ** 2) < reach_m**2
        below = near & (heights_m < parameters.obstacles_max_height_m)
        band = below & (heights_m > parameters.obstacles_min_height_m)
        band &= ~_is_flying(depth_m, options)
        return with_support(
            points_m,
            below,
            band,
            parameters.obstacles_voxel_m,
            reach_m,
            options.min_points,
            options.min_share,
        )


def average(
    depth_m: Float32Array, camera: Intrinsics, max_width_px: int
) -> tuple[Float32Array, Intrinsics]:
    """Return depth of at most a width, each pixel the mean of those that it covers."""
    factor = math.ceil(camera.width / max_width_px)
    if factor == 1:
        return depth_m.astype(np.float32, copy=False), camera
    size = camera.width // factor, camera.height // factor
    cut = depth_m[: size[1] * factor, : size[0] * factor].astype(np.float32, copy=False)
    small = np.asarray(cv2.resize(cut, size, interpolation=cv2.INTER_AREA), np.float32)
    covered = Intrinsics(
        size[0] * factor, size[1] * factor, camera.fx, camera.fy, camera.cx, camera.cy
    )
    return small, covered.scaled_to(*size)


def find_ground(
    depth_m: Float32Array,
    camera: Intrinsics,
    mount: CameraMount | None,
    options: ObstacleOptions = DEFAULTS,
) -> GroundPlane | None:
    """Return the plane of the ground: fitted, else that of the mount; None: neither.

    Where the ground is known to be out of view, the plane is that of the mount.
    """
    of_mount = None
    if mount is not None and mount.height_m:
        of_mount = GroundPlane(mount.down, mount.height_m, 0.0, 0.0)
        if not mount.sees_ground:
            return of_mount
    down = np.array([0.0, 1.0, 0.0]) if mount is None else mount.down
    sigma_deg = options.free_tilt_sigma_deg if mount is None else options.tilt_sigma_deg
    with np.errstate(divide='ignore'):
        per_m = np.reciprocal(depth_m)
    plane = fit_ground_plane(per_m, camera, down, math.radians(sigma_deg), options.plane)
    return of_mount if plane is None else plane


def ground_frame(plane: GroundPlane) -> Float64Array:
    """Return T_ground_cam (4, 4): x ahead on the plane, y left, z up, origin below the camera."""
    up = -plane.normal
    ahead = next(
        axis
        for axis in (np.array([0.0, 0.0, 1.0]), np.array([0.0, -1.0, 0.0]))
        if abs(axis @ up) < 0.99
    )
    x = ahead - ahead @ up * up
    x /= np.linalg.norm(x)
    T = np.eye(4)
    T[:3, :3] = x, np.cross(up, x), up
    T[2, 3] = plane.height
    return T


def _points(depth_m: Float32Array, camera: Intrinsics, T: Float64Array) -> Float32Array:
    """Return the points (h, w, 3) float32 of a depth map under T (4, 4)."""
    points_m: Float32Array = np.empty((*depth_m.shape, 3), np.float32)
    turned = (T[:3, :3] @ np.linalg.inv(camera.matrix)).astype(np.float32)
    _fill_points(depth_m, turned, T[:3, 3].astype(np.float32), points_m)
    return points_m


@njit(cache=True, nogil=True)
def _fill_points(depth, turned, moved, points):  # type: ignore[no-untyped-def]
    """Fill points (h, w, 3) with depth * turned @ (column, row, 1) + moved."""
    for row in range(depth.shape[0]):
        for column in range(depth.shape[1]):
            z = depth[row, column]
            for k in range(3):
                ray = turned[k, 0] * column + turned[k, 1] * row + turned[k, 2]
                points[row, column, k] = z * ray + moved[k]


def _transformed(points_m: Float32Array, T: Float64Array) -> Float32Array:
    """Return points (..., 3) under T (4, 4)."""
    with np.errstate(invalid='ignore'):  # of infinity
        moved = points_m.reshape(-1, 3) @ T[:3, :3].T.astype(np.float32)
    moved += T[:3, 3].astype(np.float32)
    return moved.reshape(points_m.shape)


def _is_flying(depth_m: Float32Array, options: ObstacleOptions) -> MaskArray:
    """Return pixels beside a jump of depth that are not of the surface in front of it."""
    known = np.where(depth_m > 0, depth_m, np.float32(np.inf))
    nearest = cv2.erode(known, np.ones((3, 3), np.uint8))
    with np.errstate(over='ignore'):
        behind = depth_m > options.surface_ratio * nearest
    return np.asarray(beside_edges(depth_m, options.edge_ratio) & behind, np.bool_)


def _rims(below_m: Float32Array, height_m: float, reach_m: float) -> Float32Array:
    """Return where the rays to points (N, 3) below the ground cross it, (M, 3)."""
    crossing = below_m * (height_m / (height_m - below_m[:, 2:]))
    crossing[:, 2] = 0.0
    return np.asarray(crossing[(crossing[:, :2] ** 2).sum(axis=1) < reach_m**2])
