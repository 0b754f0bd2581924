# SPDX-License-Identifier: Apache-2.0
"""Sky that a prior finds for a frame or two: an error of the network, not a sight of the sky."""

from __future__ import annotations

import numpy as np

from videodepth_ros.core.arrays import Float32Array, MaskArray
from videodepth_ros.refine.options import PASSING_SKY, PassingSkyOptions
from videodepth_ros.sfm.odometry import name_frames


def find_passing_sky(depth: Float32Array, options: PassingSkyOptions = PASSING_SKY) -> MaskArray:
    """Return the frames (N,) bool that have far more sky than most frames around them.

    depth  (N, h, w) float32, +inf nothing hit
    """
    share = np.array([np.isposinf(one).mean() for one in depth])
    start = np.clip(np.arange(len(share)) - options.window // 2, 0, None)
    start = np.minimum(start, max(len(share) - options.window, 0))
    usual = np.array([np.median(share[first : first + options.window]) for first in start])
    return np.asarray((share > options.min_share) & (share > options.max_ratio * usual))


def passing_sky_notes(is_passing: MaskArray) -> tuple[str, ...]:
    """Return a note on the frames (N,) bool whose sky is left out."""
    if not is_passing.any():
        return ()
    return (
        f'the prior finds sky at {name_frames(np.flatnonzero(is_passing))}, which the frames '
        'around do not have: it is left out, and depth there is filled from around or unknown',
    )
