# SPDX-License-Identifier: Apache-2.0
"""Scale from the translation of odometry against corners that are followed in the images.

From a keyframe to a frame, corners move by their depth and the motion (parallax.py). The median
over a window bears wheel slip and leaps.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

import numpy as np

from videodepth_ros.core.arrays import Float32Array, Float64Array, UInt8Array
from videodepth_ros.frames import Frame, ScaleSource
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.geometry.depth_edges import beside_edges
from videodepth_ros.geometry.ground_plane import GroundPlane
from videodepth_ros.geometry.robust import mad_sigma
from videodepth_ros.scale.measurement import ScaleMeasurement
from videodepth_ros.scale.options import OdometryScaleOptions
from videodepth_ros.scale.parallax import ParallaxFit, fit_log_scale
from videodepth_ros.scale.plane_parallax import PlaneParallax
from videodepth_ros.stream.corner_tracking import (
    IDENTITY_POSE,
    Corners,
    detect_corners,
    downscaled_grey,
    track_corners,
)
from videodepth_ros.stream.options import CornerTrackingOptions

DEFAULTS = OdometryScaleOptions()
TRACKING = CornerTrackingOptions(max_image_width_px=320, max_corners=250, corner_distance_px=10)
"""The options above are in pixels of such images."""


@dataclass(frozen=True)
class OdometryView:
    """A frame for the corners.

    grey           (H, W) uint8, and the intrinsics at that size
    inverse_depth  (h, w) float32 of the frame
    plane          below the camera, in the unit 1 / inverse depth; None: none was seen
    """

    stamp_ns: int
    frame_id: str
    grey: UInt8Array
    camera: Intrinsics
    inverse_depth: Float32Array
    plane: GroundPlane | None = None


@dataclass(frozen=True)
class _Keyframe:
    """Corners of a keyframe and where they are in the newest image.

    T_odom_cam  (4, 4) at the keyframe; plane: below the camera there
    """

    stamp_ns: int
    T_odom_cam: Float64Array
    grey: UInt8Array
    corners: Corners
    plane: GroundPlane | None


class OdometryScale:
    """Odometry against followed corners of one stream; not thread-safe.

    plane  scale of the plane below the camera
    """

    def __init__(
        self,
        options: OdometryScaleOptions = DEFAULTS,
        tracking: CornerTrackingOptions = TRACKING,
        plane: PlaneParallax | None = None,
    ) -> None:
        self._options = options
        self._tracking = tracking
        self.plane = plane or PlaneParallax()
        self._key: _Keyframe | None = None
        self._logs: deque[tuple[int, float]] = deque(maxlen=options.window)  # stamp, log scale

    def restart(self) -> None:
        """Drop all state: the next frame starts another stream."""
        self.restart_motion()
        self._logs.clear()
        self.plane.restart()

    def restart_motion(self) -> None:
        """Make the next frame the keyframe, as after frames without odometry."""
        self._key = None

    def view(
        self, frame: Frame, inverse_depth: Float32Array, plane: GroundPlane | None = None
    ) -> OdometryView:
        """Return what is kept of a frame, its inverse depth (h, w) float32 and its plane."""
        grey, camera = downscaled_grey(frame, self._tracking)
        return OdometryView(frame.stamp_ns, frame.frame_id, grey, camera, inverse_depth, plane)

    def measure(self, view: OdometryView, T_odom_cam: Float64Array) -> ScaleMeasurement | None:
        """Return the scale by the motion up to a frame; None without enough motion.

        T_odom_cam  (4, 4) of the frame by odometry
        """
        grey, camera, key = view.grey, view.camera, self._key
        fit = None
        if key is not None and key.grey.shape == grey.shape:
            corners = track_corners(key.corners, key.grey, grey, self._tracking)
            key = self._key = replace(key, grey=grey, corners=corners)
            fit = self._compare(key, view, T_odom_cam)
            age_s = (view.stamp_ns - key.stamp_ns) * 1e-9
            lost = len(corners) < self._options.fit.min_corners
            far = fit is not None and fit.flow_px >= self._options.min_flow_px
            if not far and not lost and 0 <= age_s < self._options.max_keyframe_s:
                return None if fit is None else self._first(fit, view.stamp_ns)
            if fit is not None and far:
                self._logs.append((view.stamp_ns, fit.log_scale))
        with np.errstate(divide='ignore'):
            depth = np.divide(1, view.inverse_depth, dtype=np.float32)
        depth = np.where(beside_edges(depth, self._options.edge_ratio), np.float32(np.nan), depth)
        corners = detect_corners(grey, depth, camera, IDENTITY_POSE, options=self._tracking)
        self._key = _Keyframe(view.stamp_ns, T_odom_cam, grey, corners, view.plane)
        if fit is None:
            return None
        return self._median(view.stamp_ns) or self._first(fit, view.stamp_ns)

    def _compare(
        self, key: _Keyframe, view: OdometryView, T_odom_cam: Float64Array
    ) -> ParallaxFit | None:
        """Return the scale since the keyframe; None while the motion is too small."""
        T_cam_key = np.linalg.inv(T_odom_cam) @ key.T_odom_cam
        moved_m = float(np.linalg.norm(T_cam_key[:3, 3]))
        fit = self._options.fit
        if moved_m < self._options.min_baseline_m or len(key.corners) < fit.min_corners:
            return None
        if key.plane is not None:
            self.plane.add(view.stamp_ns, key.corners, key.plane, view.camera, T_cam_key)
        return fit_log_scale(key.corners, view.camera, T_cam_key, fit)

    def _first(self, fit: ParallaxFit, stamp_ns: int) -> ScaleMeasurement | None:
        """Return what a keyframe shows before enough of them give a median.

        Frames of one keyframe share their errors, so each counts little.
        """
        options = self._options
        if len(self._logs) >= options.min_count or fit.sigma > options.max_first_sigma:
            return None
        sigma = float(np.hypot(options.first_sigma, fit.sigma))
        return ScaleMeasurement(fit.log_scale, sigma, stamp_ns, ScaleSource.ODOMETRY)

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
