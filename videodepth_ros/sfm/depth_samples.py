# SPDX-License-Identifier: Apache-2.0
"""Samples of a depth map at single pixels, away from depth discontinuities, and its median."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from videodepth_ros.core.arrays import Float32Array, Float64Array, FloatArray, MaskArray
from videodepth_ros.core.errors import InputError

MAX_NEIGHBOR_RATIO = 1.1
"""Ratio of the depths of 3 x 3 neighbors above which they are on two surfaces: no sample."""


class DepthSamples(NamedTuple):
    """Samples of a depth map at P pixels.

    log_depth    (P,) float64, NaN unknown
    at_infinity  (P,) bool, all neighbors are sky
    """

    log_depth: Float64Array
    at_infinity: MaskArray


def sample_log_depth(
    depth: Float32Array, pixel: FloatArray, max_neighbor_ratio: float = MAX_NEIGHBOR_RATIO
) -> DepthSamples:
    """Sample a depth map at the nearest pixels.

    depth  (h, w) float32; NaN unknown, +inf sky
    pixel  (P, 2), column and row
    """
    h, w = depth.shape
    column, row = np.clip(np.rint(pixel).astype(np.intp), 0, [w - 1, h - 1]).T
    padded = np.pad(depth, 1, mode='edge')
    around = np.stack(
        [padded[row + down, column + across] for down in range(3) for across in range(3)]
    )
    least, most = around.min(axis=0), around.max(axis=0)
    with np.errstate(invalid='ignore', divide='ignore', over='ignore'):
        smooth = (least > 0) & (most < max_neighbor_ratio * least) & np.isfinite(most)
        log_depth = np.where(smooth, np.log(around[4], dtype=np.float64), np.nan)
    return DepthSamples(log_depth, np.isposinf(least))


def median_log_depths(depth: Float32Array) -> Float64Array:
    """Return the log of the median depth of every frame, (N,), NaN where all is unknown.

    raises  InputError where all frames are unknown
    """
    log_depth = np.full(len(depth), np.nan)
    for frame, one in enumerate(depth):
        known = one[np.isfinite(one) & (one > 0)]
        if known.size:
            log_depth[frame] = np.log(np.median(known))
    if np.isnan(log_depth).all():
        raise InputError(
            f'the depth prior has no depth in any of {len(depth)} frames; choose another prior'
        )
    return log_depth
