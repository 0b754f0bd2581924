# SPDX-License-Identifier: Apache-2.0
"""Intrinsics that change from frame to frame: a zoom lens, or a region of interest that moves.

Pinholes at one place differ by an affine map of the pixels, whatever the depth. Observations are
mapped to one common camera, so that bundle adjustment has a single one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from videodepth_ros.core.arrays import Float64Array, FloatArray, IndexArray, UInt8Array
from videodepth_ros.geometry.camera import Intrinsics


@dataclass(frozen=True)
class Zoom:
    """Intrinsics of N frames, relative to those of a common camera at any image size.

    focal_ratio   (N, 2) float64, fx and fy of each frame / those of the common camera
    centre_shift  (N, 2) float64, principal point of each frame less that of the common camera, as
                  shares of the image's width and height
    """

    focal_ratio: Float64Array
    centre_shift: Float64Array

    @classmethod
    def constant(cls, frames: int) -> Zoom:
        """Return that of frames that all have the common camera."""
        return cls(np.ones((frames, 2)), np.zeros((frames, 2)))

    @classmethod
    def relative_to(cls, common: Intrinsics, intrinsics: Float64Array) -> Zoom:
        """Return that of frames with ``intrinsics`` (N, 4), fx fy cx cy at the common size."""
        size = np.array([common.width, common.height])
        return cls(
            intrinsics[:, :2] / [common.fx, common.fy],
            (intrinsics[:, 2:] - [common.cx, common.cy]) / size,
        )

    @property
    def is_constant(self) -> bool:
        """Whether all frames have the common camera."""
        return bool((self.focal_ratio == 1).all() and not self.centre_shift.any())

    def camera_of(self, frame: int, common: Intrinsics) -> Intrinsics:
        """Return the intrinsics of a frame at the size of the common ones."""
        ratio, shift = self.focal_ratio[frame].tolist(), self.centre_shift[frame].tolist()
        return replace(
            common,
            fx=common.fx * ratio[0],
            fy=common.fy * ratio[1],
            cx=common.cx + shift[0] * common.width,
            cy=common.cy + shift[1] * common.height,
        )

    def cameras(self, common: Intrinsics) -> list[Intrinsics]:
        """Return the intrinsics of all frames at the size of the common ones."""
        return [self.camera_of(frame, common) for frame in range(len(self.focal_ratio))]

    def to_common(self, pixel: FloatArray, frame: IndexArray, common: Intrinsics) -> Float64Array:
        """Map pixels (K, 2) of ``frame`` (K,) to pixels from the common principal point.

        common  at the size of the images
        """
        shift = self.centre_shift[frame] * [common.width, common.height]
        offset: Float64Array = (pixel - [common.cx, common.cy] - shift).astype(np.float64)
        return offset / self.focal_ratio[frame]

    def resample(self, image: UInt8Array, frame: int, common: Intrinsics) -> UInt8Array:
        """Return the view of the common camera, (H, W, 3); its borders repeat where unknown.

        image   (H, W, 3) of ``frame``; ``common`` at its size
        """
        own = self.camera_of(frame, common)
        return np.asarray(
            cv2.warpAffine(
                np.ascontiguousarray(image),
                (common.matrix @ np.linalg.inv(own.matrix))[:2],
                (common.width, common.height),
                flags=cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            ),
            np.uint8,
        )


class CommonViews(Sequence[UInt8Array]):
    """Images (H, W, 3) uint8 of a zooming camera, each in the view of the common one."""

    def __init__(
        self, images: Sequence[UInt8Array] | UInt8Array, zoom: Zoom, common: Intrinsics
    ) -> None:
        """Keep the images; each is resampled on demand. ``common`` is at their size."""
        self._images, self._zoom, self._common = images, zoom, common

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: Any) -> Any:
        """Return the image of one frame."""
        return self._zoom.resample(self._images[index], index, self._common)


def common_views(
    images: Sequence[UInt8Array] | UInt8Array, zoom: Zoom, common: Intrinsics
) -> Sequence[UInt8Array] | UInt8Array:
    """Return the images in the view of the common camera, which is at their size."""
    return images if zoom.is_constant else CommonViews(images, zoom, common)
