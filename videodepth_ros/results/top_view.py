# SPDX-License-Identifier: Apache-2.0
"""The top-down map: the path of the camera, and the points below its height."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from videodepth_ros.core.arrays import Float64Array
from videodepth_ros.geometry.trajectory import Trajectory
from videodepth_ros.pictures import BACKGROUND, Image
from videodepth_ros.results.frame import RefinedFrame
from videodepth_ros.results.options import TOP_DOWN, TopDownOptions

PATH, CAMERA, GRID = (255, 170, 40), (255, 255, 255), (60, 60, 60)
"""Colours of the path, the camera and the grid, RGB."""


class TopDownMap:
    """An orthographic image of the map, updated frame by frame; x to the right, y up."""

    def __init__(
        self,
        trajectory: Trajectory,
        first: RefinedFrame,
        options: TopDownOptions = TOP_DOWN,
        min_confidence: float = 0.0,
    ) -> None:
        """Choose a window with the trajectory and the space ahead of it.

        min_confidence  pixels are drawn whose confidence is greater than 0, and at least this
        """
        self._min_confidence = min_confidence
        size_px = options.size_px
        xy = trajectory.positions_m[:, :2]
        known = first.depth_m[np.isfinite(first.depth_m)]
        ahead = float(np.percentile(known, options.depth_percentile)) if known.size else 0.0
        seen = np.vstack([xy, xy + ahead * trajectory.T_map_cam[:, :2, 2]])
        low, high = seen.min(axis=0), seen.max(axis=0)
        self.extent_m = max(float((high - low).max()) + ahead, 1e-3)
        self._centre = (low + high) / 2
        self._scale = size_px / self.extent_m
        self._size, self._options = size_px, options
        self._points = np.full((size_px, size_px, 3), BACKGROUND, np.uint8)
        self._height = np.full((size_px, size_px), -np.inf)
        self._path = self._pixels(xy)
        self._draw_grid()

    def add(self, frame: RefinedFrame) -> None:
        """Draw the points of a frame; the highest point of a pixel is visible."""
        options = self._options
        stride = max(1, round((frame.depth_m.size / options.pixels_per_frame) ** 0.5))
        grid = (slice(None, None, stride),) * 2
        confidence = frame.confidence[grid]
        shown = np.isfinite(frame.depth_m[grid])
        shown &= (confidence > 0) & (confidence >= self._min_confidence)
        points, colours = frame.points(stride, shown), frame.image[grid][shown]
        column, row = self._pixels(points[:, :2]).T
        inside = (column >= 0) & (column < self._size) & (row >= 0) & (row < self._size)
        inside &= points[:, 2] < frame.T_map_cam[2, 3] + options.headroom * self.extent_m
        at, height = (row * self._size + column)[inside], points[inside, 2]
        colours = colours[inside]
        order = np.argsort(height, kind='stable')  # the highest is written last
        at, height, colours = at[order], height[order], colours[order]
        higher = height >= self._height.ravel()[at]
        self._height.ravel()[at[higher]] = height[higher]
        self._points.reshape(-1, 3)[at[higher]] = colours[higher]

    def picture(self, frames: int, T_map_cam: Float64Array | None = None) -> Image:
        """Return the map with the path of the first ``frames``, and the camera if it is given."""
        picture = self._points.copy()
        path = self._path[:frames].reshape(-1, 1, 2).astype(np.int32)
        cv2.polylines(picture, [path], False, PATH, max(1, self._size // 200), cv2.LINE_AA)
        if T_map_cam is not None:
            cone = np.array([[-0.5, 0.5], [0, 0], [1, 1]]) * self.extent_m / 14
            ahead = T_map_cam[:2, :3] @ cone
            corners = np.vstack([T_map_cam[:2, 3], T_map_cam[:2, 3] + ahead.T])
            cv2.polylines(
                picture,
                [self._pixels(corners).reshape(-1, 1, 2).astype(np.int32)],
                True,
                CAMERA,
                max(1, self._size // 300),
                cv2.LINE_AA,
            )
        return picture

    @property
    def grid_m(self) -> float:
        """Distance of the grid lines: 1, 2 or 5 times a power of ten."""
        power = 10.0 ** np.floor(np.log10(self.extent_m / 4))
        steps = (power * digit for digit in (1, 2, 5))
        return float(max(step for step in steps if 3 * step <= self.extent_m))

    def _pixels(self, xy: Float64Array) -> NDArray[np.int64]:
        """Return column and row (N, 2) of positions in the map (N, 2)."""
        shifted = (xy - self._centre) * [self._scale, -self._scale] + self._size / 2
        return np.clip(np.floor(shifted), -(1 << 20), 1 << 20).astype(np.int64)

    def _draw_grid(self) -> None:
        half = self.extent_m / 2
        for axis in (0, 1):
            first = np.ceil((self._centre[axis] - half) / self.grid_m)
            last = np.floor((self._centre[axis] + half) / self.grid_m)
            for k in np.arange(first, last + 1):
                position = self._centre.copy()
                position[axis] = k * self.grid_m
                at = int(np.clip(self._pixels(position[None])[0, axis], 0, self._size - 1))
                line = (slice(None), at) if axis == 0 else (at, slice(None))
                self._points[line] = GRID
