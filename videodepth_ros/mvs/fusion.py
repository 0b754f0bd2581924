# SPDX-License-Identifier: Apache-2.0
"""Agreement of depth maps of several views: the mode of their depths at each pixel.

Each depth map is splatted into the view (the rendering of Merrell et al., ICCV 2007); of the
depths that meet in a pixel the mode is kept, with the weight that agrees and the weight in all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit

from videodepth_ros.core.arrays import Float32Array
from videodepth_ros.mvs.matching import Match
from videodepth_ros.mvs.options import StereoOptions
from videodepth_ros.mvs.views import View, transfer

f4 = np.float32
LEAST_WEIGHT = f4(0.05)
"""Matches with less are not splatted, for the nearest surface of a view hides those behind it."""
OWN_WEIGHT = f4(0.01)
"""Least weight of the view's own match, which so counts where no other view does."""
LEAST_SHARE = f4(0.04)
"""Bilinear weight below which a point does not count in a pixel."""
SAME_SURFACE = f4(1.1)
"""Ratio of inverse depths up to which two points are of one surface."""


@dataclass(frozen=True)
class Fused:
    """Agreement of the views on the depth of one, all (H, W) float32.

    per_m     inverse depth of the mode in 1/m
    support   weight that agrees with it: about the number of views
    total     weight of all depths that met in the pixel
    """

    per_m: Float32Array
    support: Float32Array
    total: Float32Array

    @property
    def agreement(self) -> Float32Array:
        """Share of the weight that agrees, 0 to 1."""
        return (self.support / np.maximum(self.total, f4(1e-6))).astype(np.float32)


@njit(nogil=True, cache=True, fastmath=True)
def splat(
    per_m: Float32Array,
    weight: Float32Array,
    A: Float32Array,
    b: Float32Array,
    height: int,
    width: int,
) -> tuple[Float32Array, Float32Array]:
    """Render a depth map from another view; of several surfaces the nearest counts.

    per_m, weight  (h, w) float32, inverse depth and weight of the source; A, b: `transfer`
    returns        inverse depth and weight in the target, (height, width) float32; 0 where none
    """
    near = np.zeros((height, width), np.float32)
    kept = np.zeros((height, width), np.float32)
    share = np.zeros((height, width), np.float32)
    for y in range(per_m.shape[0]):
        for x in range(per_m.shape[1]):
            if weight[y, x] <= LEAST_WEIGHT:
                continue
            q = per_m[y, x]
            z = A[2, 0] * x + A[2, 1] * y + A[2, 2] + b[2] * q
            if z <= f4(1e-4):
                continue
            u = (A[0, 0] * x + A[0, 1] * y + A[0, 2] + b[0] * q) / z
            v = (A[1, 0] * x + A[1, 1] * y + A[1, 2] + b[1] * q) / z
            _put(near, kept, share, u, v, q / z, weight[y, x])
    return near, kept


@njit(nogil=True, cache=True, fastmath=True)
def _put(near, kept, share, u, v, q, weight):  # type: ignore[no-untyped-def]
    """Add a point to the four pixels around it; what is clearly nearer replaces what is there.

    Points of one surface are averaged with bilinear weights: the nearest of them would be biased.
    """
    height, width = near.shape
    left, top = int(np.floor(u)), int(np.floor(v))
    for i in range(max(top, 0), min(top + 2, height)):
        for j in range(max(left, 0), min(left + 2, width)):
            w = (f4(1) - abs(f4(i) - v)) * (f4(1) - abs(f4(j) - u))
            if w < LEAST_SHARE or q * SAME_SURFACE < near[i, j]:
                continue
            if q > near[i, j] * SAME_SURFACE:
                near[i, j], kept[i, j], share[i, j] = q, weight, w
            else:
                total = share[i, j] + w
                near[i, j] += (q - near[i, j]) * w / total
                kept[i, j] += (weight - kept[i, j]) * w / total
                share[i, j] = total


@njit(nogil=True, cache=True, fastmath=True)
def _kernel_sum(logs, weights, n, centre, tolerance):  # type: ignore[no-untyped-def]
    """Return weight and weighted log depth under the Epanechnikov kernel about ``centre``."""
    total, moment = f4(0), f4(0)
    for k in range(n):
        d = (logs[k] - centre) / tolerance
        w = weights[k] * max(f4(0), f4(1) - d * d)
        total += w
        moment += w * logs[k]
    return total, moment


@njit(nogil=True, cache=True, fastmath=True)
def _mode(logs, weights, n, tolerance):  # type: ignore[no-untyped-def]
    """Return the mode of n log depths by mean shift from the best of them, and its weight."""
    best, centre = f4(-1), logs[0]
    for k in range(n):
        total, _ = _kernel_sum(logs, weights, n, logs[k], tolerance)
        if total > best:
            best, centre = total, logs[k]
    for _ in range(2):
        total, moment = _kernel_sum(logs, weights, n, centre, tolerance)
        centre = moment / max(total, f4(1e-9))
    return centre, _kernel_sum(logs, weights, n, centre, tolerance)[0]


@njit(nogil=True, cache=True, fastmath=True)
def modes(
    per_m: Float32Array, weight: Float32Array, tolerance: np.float32
) -> tuple[Float32Array, Float32Array, Float32Array]:
    """Return mode, its weight and the weight in all at each pixel, (H, W) float32 each.

    per_m, weight  (M, H, W) float32, inverse depths of M layers; weight 0 where a layer has none
    """
    layers, height, width = per_m.shape
    mode = np.zeros((height, width), np.float32)
    support, total = np.zeros((height, width), np.float32), np.zeros((height, width), np.float32)
    logs, weights = np.empty(layers, np.float32), np.empty(layers, np.float32)
    for y in range(height):
        for x in range(width):
            n = 0
            for m in range(layers):
                if weight[m, y, x] > f4(0):
                    logs[n] = np.log(per_m[m, y, x])
                    weights[n] = weight[m, y, x]
                    total[y, x] += weights[n]
                    n += 1
            if n > 0:
                centre, support[y, x] = _mode(logs, weights, n, tolerance)
                mode[y, x] = np.exp(centre)
    return mode, support, total


def fuse(
    view: View, match: Match | None, others: Sequence[tuple[View, Match]], options: StereoOptions
) -> Fused:
    """Find on what depth the views agree, at each pixel of one of them.

    match   the view's own, None where it was not matched
    others  other views and their matches, by `views.choose_fused`
    """
    height, width = view.grey.shape
    layers = []
    if match is not None:
        layers.append((match.per_m, np.maximum(match.weight, OWN_WEIGHT)))
    measured = np.float32(options.prior_weight)
    if measured > 0:
        layers.append((view.prior_per_m, measured * view.known))
    for other, theirs in others:
        A, b = transfer(other, view)
        layers.append(splat(theirs.per_m, theirs.weight, A, b, height, width))
        if measured > 0:
            layers.append(splat(other.prior_per_m, measured * other.known, A, b, height, width))
    if not layers:
        nothing = np.zeros((height, width), np.float32)
        return Fused(view.prior_per_m, nothing, nothing)
    mode, support, total = modes(
        np.stack([layer[0] for layer in layers]),
        np.stack([layer[1] for layer in layers]),
        np.float32(options.tolerance),
    )
    return Fused(np.where(total > 0, mode, view.prior_per_m), support, total)
