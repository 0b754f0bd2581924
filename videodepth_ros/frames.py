# SPDX-License-Identifier: Apache-2.0
"""Values that packages exchange: a camera image and its depth."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

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


class ImageRectifier(Protocol):
    """Removes a lens' distortion from images of one size."""

    def rectify(self, image: NDArray[np.uint8], halvings: int = 0) -> NDArray[np.uint8]:
        """Return the pinhole view of a raw image (H, W, 3) uint8 that is halved so many times."""


@dataclass(frozen=True)
class Frame:
    """One camera image, rectified on demand.

    stamp_ns   acquisition time in the clock of the data
    frame_id   optical frame of the camera
    raw        (H, W, 3) uint8, red green blue; read-only by agreement
    camera     intrinsics of ``image``; None if uncalibrated
    rectifier  of ``raw``; None if that is rectified
    """

    stamp_ns: int
    frame_id: str
    raw: NDArray[np.uint8]
    camera: Intrinsics | None = None
    rectifier: ImageRectifier | None = None
    _views: dict[int, NDArray[np.uint8]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.raw.shape[1], self.raw.shape[0]

    @property
    def image(self) -> NDArray[np.uint8]:
        """The rectified image, (H, W, 3) uint8; read-only by agreement."""
        return self.at_least(*self.size)

    def at_least(self, width: int, height: int) -> NDArray[np.uint8]:
        """Return the rectified image, whole or smaller but at least of ``width`` x ``height``.

        A raw image is halved before it is rectified: at 1920x1080 the whole takes three times as
        long.
        """
        if self.rectifier is None:
            return self.raw
        halvings = 0
        while self.size[0] >> halvings + 1 >= width and self.size[1] >> halvings + 1 >= height:
            halvings += 1
        if halvings not in self._views:
            self._views[halvings] = self.rectifier.rectify(self.raw, halvings)
        return self._views[halvings]


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
