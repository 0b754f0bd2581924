# SPDX-License-Identifier: Apache-2.0
"""Bend the prior onto what stereo found: the log ratio of both, smooth up to image edges."""

from __future__ import annotations

import numpy as np
from numba import njit

from videodepth_ros.core.arrays import Float32Array
from videodepth_ros.mvs.fusion import Fused
from videodepth_ros.mvs.options import StereoOptions
from videodepth_ros.mvs.views import View

f4 = np.float32
AGREEMENT_OF_NONE, AGREEMENT_OF_FULL, FULL_SUPPORT = 0.45, 0.9, 2.0
"""Certainty of a fused depth grows from 0 to 1 between these shares of agreeing weight, and up to
so much weight: with both, 95 % are within 3 % on the test sequences."""
LEAST_WEIGHT, LEAST_COARSE_WEIGHT = 0.05, 1e-3
"""Weight of the least certain stereo depths in the two smoothers: they are better than none."""
COARSE_WEIGHT = 0.1
"""Weight of the coarsely smoothed field in the fine one: it fills what has no stereo near by."""
NO_WEIGHT = 1e-6
FAILED = 0.12
"""Mean certainty, outside the sky, below which a view keeps its prior: where the poses are wrong,
stereo fails as a whole, and what little agrees is wrong too."""
SURE = 0.8
"""Certainty from which stereo depth is kept as it is."""
ITERATIONS = 3


@njit(nogil=True, cache=True, fastmath=True)
def _solve_line(stiffness, a, b, c):  # type: ignore[no-untyped-def]
    """Solve (1 + stiffness Laplacian) x = r along a line for two right sides a and b in place."""
    n = a.shape[0]
    before = f4(0)
    for i in range(n):
        after = stiffness[i] if i < n - 1 else f4(0)
        diagonal = f4(1) + before + after
        if i == 0:
            scale = f4(1) / diagonal
            a[0] *= scale
            b[0] *= scale
        else:
            scale = f4(1) / (diagonal + before * c[i - 1])
            a[i] = (a[i] + before * a[i - 1]) * scale
            b[i] = (b[i] + before * b[i - 1]) * scale
        c[i] = -after * scale
        before = after
    for i in range(n - 2, -1, -1):
        a[i] -= c[i] * a[i + 1]
        b[i] -= c[i] * b[i + 1]


@njit(nogil=True, cache=True, fastmath=True)
def _smooth_rows(a, b, guide, strength, scale):  # type: ignore[no-untyped-def]
    """Smooth two images along their rows, in place, less where the guide has edges."""
    height, width = a.shape
    stiffness, c = np.zeros(width, np.float32), np.zeros(width, np.float32)
    for y in range(height):
        for x in range(width - 1):
            stiffness[x] = strength * np.exp(-abs(guide[y, x + 1] - guide[y, x]) / scale)
        _solve_line(stiffness, a[y], b[y], c)


def fast_global_smooth(
    values: Float32Array,
    weight: Float32Array,
    guide: Float32Array,
    smoothness: float,
    grey_scale: float,
) -> Float32Array:
    """Return the weighted least squares smoothing of ``values`` up to edges of the guide, (H, W).

    Separable, in rows and columns by turns (fast global smoother, Min et al., TIP 2014).

    values, weight, guide  (H, W) float32
    smoothness, grey_scale   lambda, and difference of the guide at which it falls to 1/e
    """
    a, b = values * weight, weight.copy()
    across = np.ascontiguousarray(guide.T)
    for iteration in range(ITERATIONS):
        share = 1.5 * 4.0 ** (ITERATIONS - iteration - 1) / (4.0**ITERATIONS - 1)
        strength, scale = f4(share * smoothness), f4(grey_scale)
        _smooth_rows(a, b, guide, strength, scale)
        a, b = np.ascontiguousarray(a.T), np.ascontiguousarray(b.T)
        _smooth_rows(a, b, across, strength, scale)
        a, b = np.ascontiguousarray(a.T), np.ascontiguousarray(b.T)
    return (a / np.maximum(b, f4(1e-12))).astype(np.float32)


def certainty_of(fused: Fused) -> Float32Array:
    """Return how sure a fused depth is, (H, W) float32 in [0, 1]."""
    share = (fused.agreement - AGREEMENT_OF_NONE) / (AGREEMENT_OF_FULL - AGREEMENT_OF_NONE)
    certainty = np.clip(share, 0, 1) * np.clip(fused.support / FULL_SUPPORT, 0, 1)
    return certainty.astype(np.float32)


def has_failed(view: View, certainty: Float32Array) -> bool:
    """Return whether hardly any of a view is certain, outside the sky."""
    ground = ~view.sky
    return not ground.any() or float(certainty[ground].mean()) < FAILED


def bend_prior(
    view: View, fused: Fused, certainty: Float32Array, options: StereoOptions
) -> Float32Array:
    """Return inverse depth: stereo where it is sure, the prior bent onto it elsewhere, (H, W).

    The two are blended by certainty, and the bent prior runs into the stereo around it, so that
    there is no seam.
    """
    log_ratio = np.log(fused.per_m / view.prior_per_m)
    seen = fused.total > 0
    scale = options.smoothness_grey_scale
    weight = certainty + np.where(seen, f4(LEAST_COARSE_WEIGHT), f4(NO_WEIGHT))
    coarse = fast_global_smooth(log_ratio, weight, view.grey, options.coarse_smoothness, scale)
    weight = certainty + np.where(seen, f4(LEAST_WEIGHT), f4(NO_WEIGHT))
    total = weight + f4(COARSE_WEIGHT)
    field = (weight * log_ratio + f4(COARSE_WEIGHT) * coarse) / total
    bent = fast_global_smooth(field, total, view.grey, options.smoothness, scale)
    share = np.minimum(certainty / f4(SURE), f4(1))
    blended = share * log_ratio + (1 - share) * bent
    return (view.prior_per_m * np.exp(blended)).astype(np.float32)
