# SPDX-License-Identifier: Apache-2.0
"""One frame as the offline job hands it to those who write its results."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from videodepth_ros.geometry.camera import Intrinsics, backproject


@dataclass(frozen=True)
class RefinedFrame:
    """Depth and pose of one image, at the camera's size.

    stamp_ns    of the image, in the clock of the data
    frame_id    optical frame of the camera
    depth_m     (H, W) float32, Z in metres (or in the recording's unit, where nothing measures
                metres); NaN unknown, +inf nothing hit (REP-117, REP-118)
    confidence  (H, W) float32 in [0, 1], 0 where depth is unknown
    moving      (H, W) bool, things that move by themselves; None where nobody looked for them
    camera      intrinsics at the size of ``depth_m``
    T_map_cam   (4, 4) float64, rigid; camera optical frame in a common world
    image       (H, W, 3) uint8, red green blue
    """

    stamp_ns: int
    frame_id: str
    depth_m: NDArray[np.float32]
    confidence: NDArray[np.float32]
    moving: NDArray[np.bool_] | None
    camera: Intrinsics
    T_map_cam: NDArray[np.float64]
    image: NDArray[np.uint8]

    def points(self, stride: int, counts: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return the points of some pixels in the map, (N, 3) float64.

        stride  every stride-th row and column is looked at
        counts  bool at the size of ``depth_m[::stride, ::stride]``, which pixels: with depth
        """
        seen = backproject(self.depth_m[::stride, ::stride], self.camera.strided(stride))[counts]
        if not len(seen):
            return np.empty((0, 3))
        # unlike a product of matrices it gives the same bits on any number of threads
        moved = cv2.transform(seen.astype(np.float64)[:, None], self.T_map_cam[:3])
        return np.asarray(moved, np.float64)[:, 0]
