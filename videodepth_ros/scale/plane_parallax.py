# SPDX-License-Identifier: Apache-2.0
"""Metric height of the camera above the plane in view, by odometry and the corners on the plane.

Where no floor is in view a bed or a table passes for the ground, and is nearer to the camera than
the ground is. Inverse depth of a plane is that of its fit, so the parallax of its corners gives
its own distance, whatever contrast of depth a network makes between it and the rest.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import replace

import numpy as np

from videodepth_ros.core.arrays import Float64Array
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.geometry.ground_plane import GroundPlane
from videodepth_ros.scale.options import PlaneParallaxOptions
from videodepth_ros.scale.parallax import fit_log_scale
from videodepth_ros.stream.corner_tracking import Corners

DEFAULTS = PlaneParallaxOptions()


class PlaneParallax:
    """Scale of the plane in view of one stream; not thread-safe."""

    def __init__(self, options: PlaneParallaxOptions = DEFAULTS) -> None:
        self._options = options
        self._logs: deque[tuple[int, float]] = deque(maxlen=options.window)  # stamp, log scale

    def restart(self) -> None:
        """Start another stream."""
        self._logs.clear()

    def add(
        self,
        stamp_ns: int,
        corners: Corners,
        plane: GroundPlane,
        camera: Intrinsics,
        T_cam_key: Float64Array,
    ) -> None:
        """Measure the plane of a keyframe by the motion to a frame, if it shows enough of it.

        corners    rays of the keyframe at depth 1 / inverse depth, and pixels in the frame
        plane      in the unit 1 / inverse depth of the keyframe
        T_cam_key  (4, 4) of the motion [m]
        """
        options = self._options
        rays = corners.rays_m / corners.rays_m[:, 2:]
        inverse = rays @ (plane.normal / plane.height)
        on_plane = np.abs(1 - inverse * corners.rays_m[:, 2]) < options.inlier
        if np.count_nonzero(on_plane) < options.fit.min_corners:
            return
        flat = replace(corners.select(on_plane), rays_m=(rays / inverse[:, None])[on_plane])
        fit = fit_log_scale(flat, camera, T_cam_key, options.fit)
        if fit is not None and fit.sigma < options.max_sigma:
            self._logs.append((stamp_ns, fit.log_scale))

    def log_scale(self, stamp_ns: int) -> float | None:
        """Return the log scale [m] of the plane, the median of a window; None: not measured."""
        oldest_ns = stamp_ns - int(self._options.window_s * 1e9)
        logs = [log for at_ns, log in self._logs if at_ns >= oldest_ns]
        return float(np.median(logs)) if logs else None

    def is_raised(self, plane: GroundPlane, height_m: float, stamp_ns: int) -> bool:
        """Return whether a plane is nearer than the ground, which is ``height_m`` away.

        plane  in the unit 1 / inverse depth
        """
        log_scale = self.log_scale(stamp_ns)
        if log_scale is None or height_m <= 0:
            return False
        own_m = math.exp(log_scale) * plane.height
        return own_m < self._options.raised_share * height_m
