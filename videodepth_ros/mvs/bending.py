# SPDX-License-Identifier: Apache-2.0
"""Bend the prior onto what stereo found: the log ratio of both, smooth up to image edges."""

from __future__ import annotations

import numpy as np
from numba import njit

from videodepth_ros.core.arrays import Float32Array
from videodepth_ros.mvs.fusion import Fused
from videodepth_ros.mvs.options import StereoOptions
from videodepth_ros.mvs.trust import Trust
from videodepth_ros.mvs.views import View

f4 = np.float32
LEAST_WEIGHT, LEAST_COARSE_WEIGHT = 0.05, 1e-3
"""Weight of the least certain stereo depths in the two smoothers: they are better than none."""
COARSE_WEIGHT = 0.1
"""Weight of the coarsely smoothed field in the fine one: it fills what has no stereo near by."""
NO_WEIGHT = 1e-6
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


def bend_prior(
    view: View, fused: Fused, certainty: Float32Array, trust: Trust, options: StereoOptions
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
    total = weight + f4(COARSE_WEIGHT) + f4(options.prior_pull * (1 - trust.fill))
    field = (weight * log_ratio + f4(COARSE_WEIGHT) * coarse) / total
    bent = fast_global_smooth(field, total, view.grey, options.smoothness, scale)
    share = np.minimum(certainty / f4(SURE), f4(1))
    blended = share * log_ratio + (1 - share) * bent
    return (view.prior_per_m * np.exp(f4(trust.stereo) * blended)).astype(np.float32)
