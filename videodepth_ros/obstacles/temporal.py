# SPDX-License-Identifier: Apache-2.0
"""Vote of the last frames on what the present one has: phantoms come and go.

A point is projected into the frames before. One that has an obstacle there, within a tolerance
that grows with distance, confirms it; one that sees beyond it denies it; one that does not see its
place abstains. A point that all frames before deny is a phantom.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import cv2
import numpy as np

from videodepth_ros.core.arrays import Float32Array, Float64Array, MaskArray
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.geometry.pose import invert_poses
from videodepth_ros.obstacles.options import TemporalOptions

DEFAULTS = TemporalOptions()
_Bounds = tuple[Float32Array, Float32Array]


@dataclass(frozen=True)
class ObstacleView:
    """What one frame has seen.

    depth_m     (h, w) float32, NaN unknown; camera: its intrinsics
    is_claimed  (h, w) bool, pixels of obstacles
    T_odom_cam  (4, 4) float64; None: not known
    """

    stamp_ns: int
    depth_m: Float32Array
    is_claimed: MaskArray
    camera: Intrinsics
    T_odom_cam: Float64Array | None


class TemporalFilter:
    """The last frames of one camera."""

    def __init__(self, options: TemporalOptions = DEFAULTS) -> None:
        self._options = options
        self._views: deque[tuple[ObstacleView, _Bounds]] = deque(maxlen=options.frames)

    def clear(self) -> None:
        """Forget the frames before."""
        self._views.clear()

    def confirm(self, points_m: Float32Array, view: ObstacleView) -> MaskArray:
        """Return which points (P, 3) of the present frame are no phantoms, (P,) bool."""
        options = self._options
        while self._views and not (
            0 < view.stamp_ns - self._views[0][0].stamp_ns <= options.max_age_s * 1e9
        ):
            self._views.popleft()
        denials = np.zeros(len(points_m), np.intp)
        for before, bounds in self._views:
            denials += self._denies(before, bounds, points_m, view.T_odom_cam)
        is_still = view.T_odom_cam is None
        radius_px = options.still_radius_px if is_still else options.radius_px
        self._views.append((view, _bounds(view, radius_px)))
        return denials < options.frames

    def _denies(
        self,
        before: ObstacleView,
        bounds: _Bounds,
        points_m: Float32Array,
        T_odom_cam: Float64Array | None,
    ) -> MaskArray:
        """Return which points (P, 3) a frame before denies."""
        T: Float64Array = np.eye(4)
        if T_odom_cam is not None and before.T_odom_cam is not None:
            T = np.asarray(invert_poses(before.T_odom_cam) @ T_odom_cam)
        x, y, z = (points_m @ T[:3, :3].T.astype(np.float32) + T[:3, 3].astype(np.float32)).T
        camera, depth_m = before.camera, before.depth_m
        with np.errstate(divide='ignore', invalid='ignore'):
            columns = np.rint(camera.fx * x / z + camera.cx)
            rows = np.rint(camera.fy * y / z + camera.cy)
        seen = (z > 0) & (columns >= 0) & (columns < camera.width)
        seen &= (rows >= 0) & (rows < camera.height)
        place = rows[seen].astype(np.intp), columns[seen].astype(np.intp)
        near_m, far_m = bounds
        tolerance = self._options.range_tolerance
        confirmed = (near_m[place] <= z[seen] * (1 + tolerance)) & (
            far_m[place] >= z[seen] * (1 - tolerance)
        )
        denied = np.zeros(len(points_m), np.bool_)
        denied[seen] = ~confirmed & (depth_m[place] >= z[seen] * (1 - tolerance))
        return denied


def _bounds(view: ObstacleView, radius_px: int) -> _Bounds:
    """Return the nearest and farthest depth of obstacles about each pixel; +inf and 0: none."""
    window = np.ones((2 * radius_px + 1,) * 2, np.uint8)
    near = np.where(view.is_claimed, view.depth_m, np.float32(np.inf))
    far = np.where(view.is_claimed, view.depth_m, np.float32(0))
    return (
        np.asarray(cv2.erode(near, window), np.float32),
        np.asarray(cv2.dilate(far, window), np.float32),
    )
