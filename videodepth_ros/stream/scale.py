# SPDX-License-Identifier: Apache-2.0
"""Conversion of the network's inverse depth to metres."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from videodepth_ros.core.arrays import Float32Array
from videodepth_ros.frames import Frame, ScaleSource
from videodepth_ros.geometry.camera import DEFAULT_FOCAL_LENGTH_FACTOR, Intrinsics
from videodepth_ros.models.catalogue import InverseDepthUnit

TINY_INVERSE_DEPTH = 1e-3
"""Inverse depth below which nothing was hit: 100 km in the nominal unit."""

TRAINED_ASPECT = 4 / 3
"""Width / height of the images that a network of unit CANONICAL_AREA was trained on."""


@dataclass(frozen=True)
class Scale:
    """Scale of a frame: depth [m] = metres / inverse depth.

    source  origin of the scale
    """

    metres: float
    source: ScaleSource

    def depth_m(self, inverse_depth: Float32Array) -> Float32Array:
        """Convert inverse depth (h, w) float32 to Z [m]; 0 becomes +inf, NaN stays NaN."""
        with np.errstate(divide='ignore'):
            return np.divide(np.float32(self.metres), inverse_depth, dtype=np.float32)

    def without_far(self, inverse_depth: Float32Array, max_range_m: float) -> Float32Array:
        """Return inverse depth (h, w) float32 with 0 (nothing hit) beyond a range.

        max_range_m  [m]; 0: only TINY_INVERSE_DEPTH limits the range
        """
        least = self.metres / max_range_m if max_range_m > 0 else 0.0
        beyond = inverse_depth < max(least, TINY_INVERSE_DEPTH)
        return np.where(beyond, np.float32(0), inverse_depth)


class Anchor(Protocol):
    """Measured scale of a stream."""

    @property
    def source(self) -> ScaleSource | None:
        """Source of the scale; None while unknown."""

    def metres(self, stamp_ns: int) -> float | None:
        """Return the scale of the next frame, stamped ``stamp_ns``; None while unknown."""

    def needs(self, camera_frame: str) -> bool:
        """Return whether frames of a camera should be offered."""

    def offer(self, frame: Frame, inverse_depth: Float32Array) -> None:
        """Receive a frame and the network's inverse depth (h, w) float32 of it."""

    def restart(self) -> None:
        """Start another stream."""


def fixed_scale(unit: InverseDepthUnit, factor: float) -> Scale:
    """Return the scale by ``factor`` alone, whatever the camera; see `scale_of`."""
    focal = DEFAULT_FOCAL_LENGTH_FACTOR if unit.is_canonical else 1.0
    return Scale(factor * 100.0 * focal, ScaleSource.FIXED)


def scale_of(unit: InverseDepthUnit, camera: Intrinsics | None, factor: float) -> Scale:
    """Return the scale of a network's output.

    unit    NOMINAL v = 100 / Z; CANONICAL v = 100 fx / (width Z) (Depth Pro, arXiv 2410.02073,
            section 3.1: canonical inverse depth C = fx / (width Z)); CANONICAL_AREA the same at
            4:3, else by the width of a 4:3 image of the same area: a network that has seen but
            4:3 gives a wide image, and the 4:3 image with the same pixels to a metre, one depth
    camera  intrinsics at any size: fx / width is invariant; None where uncalibrated
    factor  multiplier of every depth, > 0
    """
    if unit is InverseDepthUnit.NOMINAL:
        return Scale(factor * 100.0, ScaleSource.MODEL)
    if camera is None:
        return Scale(factor * 100.0 * DEFAULT_FOCAL_LENGTH_FACTOR, ScaleSource.MODEL)
    width = float(camera.width)
    if unit is InverseDepthUnit.CANONICAL_AREA:
        width = math.sqrt(TRAINED_ASPECT * camera.width * camera.height)
    return Scale(factor * 100.0 * camera.fx / width, ScaleSource.INTRINSICS)
