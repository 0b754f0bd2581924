# SPDX-License-Identifier: Apache-2.0
"""Values that packages exchange: a camera image and its depth."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.geometry.camera import Intrinsics


class ScaleSource(str, Enum):
    """Source of the metric scale of a depth map."""

    MODEL = 'model'  # unit of the network times scale.factor: relative depth
    INTRINSICS = 'intrinsics'  # canonical inverse depth and a known focal length
    SENSOR = 'sensor'  # measured by a depth camera
    PRIOR = 'prior'  # a metric network that processes occasional frames
    FIXED = 'fixed'  # scale.factor alone
    CAMERA_HEIGHT = 'camera_height'  # height of the camera above the ground
    LIDAR = 'lidar'  # points of a lidar
    DEPTH = 'depth'  # a reference depth image
    ODOMETRY = 'odometry'  # translation of the camera by odometry

    @property
    def is_metric(self) -> bool:
        """Whether depth is in metres; relative depth has the unit of its network."""
        return self is not ScaleSource.MODEL


@dataclass(frozen=True)
class Frame:
    """One rectified camera image.

    stamp_ns  acquisition time in the clock of the data
    frame_id  optical frame of the camera
    image     (H, W, 3) uint8, red green blue; read-only by agreement
    camera    intrinsics at the size of ``image``; None if uncalibrated
    """

    stamp_ns: int
    frame_id: str
    image: NDArray[np.uint8]
    camera: Intrinsics | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.image.shape[1], self.image.shape[0]


@dataclass(frozen=True)
class DepthMap:
    """Depth of one frame; stamp and frame are those of the image that it was computed from.

    depth_m     (h, w) float32, Z in metres; NaN unknown, +inf nothing hit (REP-117, REP-118)
    confidence  (h, w) float32 in [0, 1], 0 where depth is unknown; None if not requested
    camera      intrinsics at the size of ``depth_m``; None if uncalibrated
    """

    stamp_ns: int
    frame_id: str
    depth_m: NDArray[np.float32]
    confidence: NDArray[np.float32] | None
    camera: Intrinsics | None
    scale_source: ScaleSource
