# SPDX-License-Identifier: Apache-2.0
"""One refined frame, as it is written."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from videodepth_ros.core.arrays import Float32Array, Float64Array, MaskArray, UInt8Array
from videodepth_ros.geometry.camera import Intrinsics, backproject


@dataclass(frozen=True)
class RefinedFrame:
    """Depth and pose of one image, at the camera's size.

    stamp_ns    of the image, in the clock of the data
    frame_id    optical frame of the camera
    depth_m     (H, W) float32, Z in metres, or in the recording's unit where the scale is
                arbitrary; NaN unknown, +inf nothing hit (REP-117, REP-118)
    confidence  (H, W) float32 in [0, 1], 0 where depth is unknown
    moving      (H, W) bool, independently moving objects; None: not segmented
    camera      intrinsics at the size of ``depth_m``
    T_map_cam   (4, 4) float64, rigid; camera optical frame in a common world frame
    image       (H, W, 3) uint8, red green blue
    in_map      whether cloud and mesh are made of it, among others
    prior_m     (h, w) float32 of any size, depth before stereo, for the report; None: no stereo
    """

    stamp_ns: int
    frame_id: str
    depth_m: Float32Array
    confidence: Float32Array
    moving: MaskArray | None
    camera: Intrinsics
    T_map_cam: Float64Array
    image: UInt8Array
    in_map: bool = True
    prior_m: Float32Array | None = None

    def points(self, stride: int, mask: MaskArray) -> Float64Array:
        """Return the points of some pixels in the map, (N, 3) float64.

        stride  rows and columns between pixels
        mask    bool, of the size of ``depth_m[::stride, ::stride]``: pixels with depth
        """
        points = backproject(self.depth_m[::stride, ::stride], self.camera.strided(stride))[mask]
        if not len(points):
            return np.empty((0, 3))
        # unlike a matrix product it gives the same bits with any number of threads
        transformed = cv2.transform(points.astype(np.float64)[:, None], self.T_map_cam[:3])
        return np.asarray(transformed, np.float64)[:, 0]
