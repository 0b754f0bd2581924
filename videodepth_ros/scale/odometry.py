# SPDX-License-Identifier: Apache-2.0
"""Scale from the translation of odometry against corners that are followed in the images.

With translation t [m] from a keyframe to a frame, a corner of ray r = (x, y, 1) and inverse depth
v of the network moves to the projection of R r + (v / s) t. The scale s and the rotation R are
estimated by Gauss-Newton from all corners; direction and length of t are those of the odometry.
The median over a window bears wheel slip and leaps.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

import cv2
import numpy as np

from videodepth_ros.core.arrays import Float32Array, Float64Array, UInt8Array
from videodepth_ros.frames import Frame, ScaleSource
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.geometry.robust import mad_sigma
from videodepth_ros.scale.measurement import ScaleMeasurement
from videodepth_ros.scale.options import OdometryScaleOptions
from videodepth_ros.stream.corner_tracking import (
    IDENTITY_POSE,
    Corners,
    detect_corners,
    downscaled_grey,
    track_corners,
)
from videodepth_ros.stream.options import CornerTrackingOptions

DEFAULTS = OdometryScaleOptions()


@dataclass(frozen=True)
class OdometryView:
    """A frame for the corners.

    grey           (H, W) uint8, and the intrinsics at that size
    inverse_depth  (h, w) float32 of the frame
    """

    stamp_ns: int
    frame_id: str
    grey: UInt8Array
    camera: Intrinsics
    inverse_depth: Float32Array


@dataclass(frozen=True)
class _Keyframe:
    """Corners of a keyframe and where they are in the newest image.

    T_odom_cam  (4, 4) at the keyframe
    """

    stamp_ns: int
    T_odom_cam: Float64Array
    grey: UInt8Array
    corners: Corners


class OdometryScale:
    """Odometry against followed corners of one stream; not thread-safe."""

    def __init__(
        self,
        options: OdometryScaleOptions = DEFAULTS,
        tracking: CornerTrackingOptions | None = None,
    ) -> None:
        self._options = options
        self._tracking = tracking or CornerTrackingOptions()
        self._key: _Keyframe | None = None
        self._logs: deque[tuple[int, float]] = deque(maxlen=options.window)  # stamp, log scale

    def restart(self) -> None:
        """Drop all state: the next frame starts another stream."""
        self.restart_motion()
        self._logs.clear()

    def restart_motion(self) -> None:
        """Make the next frame the keyframe, as after frames without odometry."""
        self._key = None

    def view(self, frame: Frame, inverse_depth: Float32Array) -> OdometryView:
        """Return what is kept of a frame and its inverse depth (h, w) float32."""
        grey, camera = downscaled_grey(frame, self._tracking)
        return OdometryView(frame.stamp_ns, frame.frame_id, grey, camera, inverse_depth)

    def measure(self, view: OdometryView, T_odom_cam: Float64Array) -> ScaleMeasurement | None:
        """Return the scale by the motion up to a frame; None without enough motion.

        T_odom_cam  (4, 4) of the frame by odometry
        """
        grey, camera, key = view.grey, view.camera, self._key
        if key is not None and key.grey.shape == grey.shape:
            corners = track_corners(key.corners, key.grey, grey, self._tracking)
            key = self._key = replace(key, grey=grey, corners=corners)
            log_scale = self._compare(key, camera, T_odom_cam)
            age_s = (view.stamp_ns - key.stamp_ns) * 1e-9
            lost = len(corners) < self._options.min_corners
            if log_scale is None and not lost and 0 <= age_s < self._options.max_keyframe_s:
                return None
            if log_scale is not None:
                self._logs.append((view.stamp_ns, log_scale))
        else:
            log_scale = None
        with np.errstate(divide='ignore'):
            depth = np.divide(1, view.inverse_depth, dtype=np.float32)
        corners = detect_corners(grey, depth, camera, IDENTITY_POSE, options=self._tracking)
        self._key = _Keyframe(view.stamp_ns, T_odom_cam, grey, corners)
        return None if log_scale is None else self._median(view.stamp_ns)

    def _compare(
        self, key: _Keyframe, camera: Intrinsics, T_odom_cam: Float64Array
    ) -> float | None:
        """Return the log scale since the keyframe; None while the motion is too small."""
        T_cam_key = np.linalg.inv(T_odom_cam) @ key.T_odom_cam
        moved_m = float(np.linalg.norm(T_cam_key[:3, 3]))
        if moved_m < self._options.min_baseline_m or len(key.corners) < self._options.min_corners:
            return None
        return fit_log_scale(key.corners, camera, T_cam_key, self._options)

    def _median(self, stamp_ns: int) -> ScaleMeasurement | None:
        options = self._options
        oldest_ns = stamp_ns - int(options.window_s * 1e9)
        logs = np.array([log for at_ns, log in self._logs if at_ns >= oldest_ns])
        if len(logs) < options.min_count:
            return None
        middle = float(np.median(logs))
        spread = mad_sigma(logs - middle)
        if spread > options.max_spread:
            return None
        single = max(spread, options.single_sigma / np.sqrt(len(logs)))
        sigma = float(np.hypot(single, options.least_sigma))
        return ScaleMeasurement(middle, sigma, stamp_ns, ScaleSource.ODOMETRY)


def fit_log_scale(
    corners: Corners,
    camera: Intrinsics,
    T_cam_key: Float64Array,
    options: OdometryScaleOptions = DEFAULTS,
) -> float | None:
    """Return log s such that depth [m] = s / inverse depth, by the motion of corners.

    corners    rays of the keyframe at depth 1 / inverse depth, and pixels in the newest image
    T_cam_key  (4, 4) of the motion from the keyframe [m]
    returns    None where translation moves the corners too little, or too few follow it
    """
    focal = np.array([camera.fx, camera.fy])
    places = (corners.pixels - (camera.cx, camera.cy)) / focal
    inverse = 1 / corners.rays_m[:, 2]
    rays = corners.rays_m * inverse[:, None]
    shift = inverse[:, None] * T_cam_key[:3, 3]
    rotation, turn = T_cam_key[:3, :3], np.zeros(3)  # turn: against the odometry
    per_scale, prior = _start(places, rays @ rotation.T, shift), _rotation_prior(rotation, options)
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
        weight = np.minimum(1, 1 / np.maximum(length, 1e-9)) / sigma_px**2  # Huber at one sigma
        weighted = (jacobian * weight[:, None, None]).reshape(-1, 4)
        step = np.linalg.lstsq(
            weighted.T @ jacobian.reshape(-1, 4) + prior,
            weighted.T @ error.ravel() - prior @ np.append(turn, 0),
            rcond=None,
        )[0]
        turn = turn + step[:3]
        rotation = np.asarray(cv2.Rodrigues(turn)[0]) @ T_cam_key[:3, :3]
        per_scale = max(per_scale + float(step[3]), per_scale / 3)
    inliers = length < options.inlier
    needed = max(options.min_corners, options.min_inlier_share * len(inliers))
    enough = np.count_nonzero(inliers) >= needed
    if not enough or np.median(flow_px[inliers]) < options.min_flow_px:
        return None
    return -float(np.log(per_scale))


def _rotation_prior(rotation: Float64Array, options: OdometryScaleOptions) -> Float64Array:
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
