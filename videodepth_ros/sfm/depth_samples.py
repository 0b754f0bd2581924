# SPDX-License-Identifier: Apache-2.0
"""What a depth prior says at single pixels, where it says something clear."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Array64 = NDArray[np.float64]
Mask = NDArray[np.bool_]

EDGE_RATIO = 1.1
"""Where the depths of neighbours differ by more, there are two surfaces, and the prior of neither
is sure."""


class Samples(NamedTuple):
    """log_depth (P,) float64, NaN unknown; far (P,) bool, where all around is the sky."""

    log_depth: Array64
    far: Mask


def log_depth_at(depth: Array, pixel: NDArray[np.floating]) -> Samples:
    """Look at a prior (h, w) float32 at pixels (P, 2), NaN unknown, +inf sky."""
    h, w = depth.shape
    column, row = np.clip(np.rint(pixel).astype(np.intp), 0, [w - 1, h - 1]).T
    padded = np.pad(depth, 1, mode='edge')
    around = np.stack(
        [padded[row + down, column + across] for down in range(3) for across in range(3)]
    )
    least, most = around.min(axis=0), around.max(axis=0)
    with np.errstate(invalid='ignore', divide='ignore', over='ignore'):
        smooth = (least > 0) & (most < EDGE_RATIO * least) & np.isfinite(most)
        log_depth = np.where(smooth, np.log(around[4], dtype=np.float64), np.nan)
    return Samples(log_depth, np.isposinf(least))
