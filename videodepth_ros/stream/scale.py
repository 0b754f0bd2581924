# SPDX-License-Identifier: Apache-2.0
"""From the network's inverse depth to metres: the one seam for every metric source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.frames import Frame, ScaleSource
from videodepth_ros.geometry.camera import DEFAULT_FOCAL_LENGTH_FACTOR, Intrinsics
from videodepth_ros.models.catalogue import InverseDepthUnit

Array = NDArray[np.float32]

TINY_INVERSE_DEPTH = 1e-3
"""Below this nothing was hit: 100 km in the nominal unit, past any depth that a network knows."""


@dataclass(frozen=True)
class Scale:
    """Depth in metres is ``metres`` over the network's inverse depth.

    source  where those metres come from
    """

    metres: float
    source: ScaleSource

    def depth_m(self, inverse_depth: Array) -> Array:
        """Turn inverse depth (h, w) float32 into Z in metres; 0 becomes +inf, NaN stays NaN."""
        with np.errstate(divide='ignore'):
            return np.divide(np.float32(self.metres), inverse_depth, dtype=np.float32)

    def without_far(self, inverse_depth: Array, max_range_m: float) -> Array:
        """Return the inverse depth (h, w) float32 with 0, nothing hit, beyond a range.

        max_range_m  in metres; 0: only what no network can tell from nothing
        """
        least = self.metres / max_range_m if max_range_m > 0 else 0.0
        beyond = inverse_depth < max(least, TINY_INVERSE_DEPTH)
        return np.where(beyond, np.float32(0), inverse_depth)


class Anchor(Protocol):
    """Knows more of the metres of a stream than the network does."""

    def metres(self, stamp_ns: int) -> float | None:
        """Return what is to be divided by the inverse depth of the next frame, which has this
        stamp; None while not known.
        """

    def offer(self, frame: Frame, inverse_depth: Array) -> None:
        """Be shown a frame and the network's inverse depth of it (h, w)."""

    def restart(self) -> None:
        """Begin another stream."""


def scale_of(unit: InverseDepthUnit, camera: Intrinsics | None, factor: float) -> Scale:
    """Return the scale of a network's answer.

    unit    NOMINAL v = 100 / Z; CANONICAL v = 100 fx / (width Z) (Depth Pro, arXiv 2410.02073,
            section 3.1: canonical inverse depth C = fx / (width Z))
    camera  of the image at any size, for fx / width does not change with it; None if not known
    factor  what the operator multiplies every depth with, > 0
    """
    if unit is InverseDepthUnit.NOMINAL:
        return Scale(factor * 100.0, ScaleSource.MODEL)
    if camera is None:
        return Scale(factor * 100.0 * DEFAULT_FOCAL_LENGTH_FACTOR, ScaleSource.MODEL)
    return Scale(factor * 100.0 * camera.fx / camera.width, ScaleSource.INTRINSICS)
