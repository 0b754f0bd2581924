# SPDX-License-Identifier: Apache-2.0
"""From the network's inverse depth to metres: the one seam for every metric source."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.frames import ScaleSource
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.models.catalogue import InverseDepthUnit

Array = NDArray[np.float32]

TINY_INVERSE_DEPTH = 1e-3
"""Below this nothing was hit: 100 km in the nominal unit, past any depth that a network knows."""

ASSUMED_FOCAL_WIDTHS = 0.8
"""fx / width of a camera that nobody has calibrated: a field of view of 64 degrees."""


def metres_times_inverse_depth(unit: InverseDepthUnit, camera: Intrinsics | None,
                               factor: float) -> tuple[float, ScaleSource]:
    """Return k of Z = k / v, in metres times the network's unit, and where it comes from.

    unit    NOMINAL v = 100 / Z; CANONICAL v = 100 fx / (width Z) (Depth Pro, arXiv 2410.02073,
            section 3.1: canonical inverse depth C = fx / (width Z))
    camera  of the image at any size, for fx / width does not change with it; None if not known
    factor  what the operator multiplies every depth with, > 0
    """
    if unit is InverseDepthUnit.NOMINAL:
        return factor * 100.0, ScaleSource.MODEL
    if camera is None:
        return factor * 100.0 * ASSUMED_FOCAL_WIDTHS, ScaleSource.MODEL
    return factor * 100.0 * camera.fx / camera.width, ScaleSource.INTRINSICS


def depth_from_inverse(inverse_depth: Array, unit: InverseDepthUnit, camera: Intrinsics | None,
                       factor: float) -> tuple[Array, ScaleSource]:
    """Turn inverse depth into depth.

    inverse_depth  (h, w) float32, >= 0, in ``unit``; NaN where unknown
    camera, factor see ``metres_times_inverse_depth``
    returns        (h, w) float32, Z in metres, +inf where nothing was hit, NaN where unknown;
                   and where the metres come from
    """
    k, source = metres_times_inverse_depth(unit, camera, factor)
    with np.errstate(divide='ignore'):
        depth_m = np.divide(np.float32(k), inverse_depth, dtype=np.float32)
    depth_m[inverse_depth <= TINY_INVERSE_DEPTH] = np.inf
    return depth_m, source
