# SPDX-License-Identifier: Apache-2.0
"""Pixels beside a jump of depth, whose depth may be a mean of both surfaces (flying pixels)."""

from __future__ import annotations

import cv2
import numpy as np

from videodepth_ros.core.arrays import Float32Array, MaskArray

EDGE_RATIO = 1.1
"""Depth ratio in a neighbourhood above which it has two surfaces: a floor seen from 1.5 m above by
a camera of 600 px focal length has it beyond 43 m only."""
EDGE_RADIUS_PX = 1


def beside_edges(
    depth_m: Float32Array, ratio: float = EDGE_RATIO, radius_px: int = EDGE_RADIUS_PX
) -> MaskArray:
    """Return the pixels with two surfaces in their neighbourhood, (H, W) bool.

    depth_m  (H, W) float32; NaN unknown, of no surface; +inf nothing hit, a surface of its own
    """
    unknown = ~(depth_m > 0)
    with np.errstate(divide='ignore', invalid='ignore'):
        per_m = np.reciprocal(depth_m)
    window = np.ones((2 * radius_px + 1,) * 2, np.uint8)
    least = cv2.erode(np.where(unknown, np.float32(np.inf), per_m), window)
    greatest = cv2.dilate(np.where(unknown, np.float32(0), per_m), window)
    with np.errstate(over='ignore'):
        return np.asarray(greatest > ratio * least, np.bool_)
