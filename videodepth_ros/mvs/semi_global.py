# SPDX-License-Identifier: Apache-2.0
"""Semi-global matching over a cost volume, eight paths (Hirschmueller, TPAMI 2008)."""

from __future__ import annotations

import numpy as np
from numba import njit

from videodepth_ros.core.arrays import Float32Array

f4 = np.float32
BORDER = f4(1e9)
LEAST_P2 = f4(1.2)
"""p2 at an image edge is at least so many times p1."""
NEAR_LABELS = 2
"""Labels so near to the best one do not count as its rivals."""


@njit(nogil=True, cache=True, fastmath=True)
def _step(cost, before, before_min, p1, p2, after):  # type: ignore[no-untyped-def]
    """Advance one path by one pixel; return the least cost. Arrays have a border on both ends."""
    jump = before_min + p2
    least = BORDER
    for k in range(cost.shape[0]):
        step = min(before[k], before[k + 2]) + p1
        value = min(min(before[k + 1], jump), step) - before_min + cost[k]
        after[k + 1] = value
        least = min(least, value)
    return least


@njit(nogil=True, cache=True, fastmath=True)
def _jump_cost(p1, p2, scale, grey, other):  # type: ignore[no-untyped-def]
    """Return p2 between two neighbouring pixels: depth jumps where the image has edges."""
    return max(p2 / (f4(1) + abs(grey - other) / scale), p1 * LEAST_P2)


@njit(nogil=True, cache=True, fastmath=True)
def _add(path, total):  # type: ignore[no-untyped-def]
    for k in range(total.shape[0]):
        total[k] += path[k + 1]


@njit(nogil=True, cache=True, fastmath=True)
def _aggregate_half(volume, grey, p1, p2, scale, backwards, total):  # type: ignore[no-untyped-def]
    """Add four of the paths: along the row, and three from the row before."""
    height, width, labels = volume.shape
    before = np.full((3, width, labels + 2), BORDER, np.float32)
    after = np.full((3, width, labels + 2), BORDER, np.float32)
    before_min, after_min = np.zeros((3, width), np.float32), np.zeros((3, width), np.float32)
    start = np.full(labels + 2, BORDER, np.float32)
    start[1:-1] = f4(0)
    along = np.full((2, labels + 2), BORDER, np.float32)
    back = 1 if backwards else -1
    for row in range(height):
        y = height - 1 - row if backwards else row
        along[0, 1:-1] = f4(0)
        along_min = f4(0)
        for column in range(width):
            x = width - 1 - column if backwards else column
            jump = p2
            if column > 0:
                jump = _jump_cost(p1, p2, scale, grey[y, x], grey[y, x + back])
            now = (column + 1) % 2
            along_min = _step(volume[y, x], along[1 - now], along_min, p1, jump, along[now])
            _add(along[now], total[y, x])
            for d in range(3):
                other = x + d - 1
                if row > 0 and 0 <= other < width:
                    jump = _jump_cost(p1, p2, scale, grey[y, x], grey[y + back, other])
                    after_min[d, x] = _step(
                        volume[y, x], before[d, other], before_min[d, other], p1, jump, after[d, x]
                    )
                else:
                    after_min[d, x] = _step(volume[y, x], start, f4(0), p1, p2, after[d, x])
                _add(after[d, x], total[y, x])
        before, after = after, before
        before_min, after_min = after_min, before_min


@njit(nogil=True, cache=True, fastmath=True)
def aggregate(
    volume: Float32Array, grey: Float32Array, p1: np.float32, p2: np.float32, scale: np.float32
) -> Float32Array:
    """Return the sum over eight paths, (H, W, K) float32.

    volume  (H, W, K) float32, matching costs; grey (H, W) float32, the view
    p1, p2  costs of a change by one label, and of a jump; scale: `p2_grey_scale`
    """
    total = np.zeros(volume.shape, np.float32)
    _aggregate_half(volume, grey, p1, p2, scale, False, total)
    _aggregate_half(volume, grey, p1, p2, scale, True, total)
    return total


@njit(nogil=True, cache=True, fastmath=True)
def _best_label(costs):  # type: ignore[no-untyped-def]
    """Return the best label to a fraction of one, and by how much every rival is worse."""
    best = 0
    for k in range(costs.shape[0]):
        if costs[k] < costs[best]:
            best = k
    rival = BORDER
    for k in range(costs.shape[0]):
        if abs(k - best) > NEAR_LABELS:
            rival = min(rival, costs[k])
    fraction = f4(0)
    if 0 < best < costs.shape[0] - 1:
        bend = costs[best - 1] - f4(2) * costs[best] + costs[best + 1]
        if bend > f4(1e-6):
            fraction = f4(0.5) * (costs[best - 1] - costs[best + 1]) / bend
    return f4(best) + min(max(fraction, f4(-0.5)), f4(0.5)), rival - costs[best]


@njit(nogil=True, cache=True, fastmath=True)
def best_labels(total: Float32Array) -> tuple[Float32Array, Float32Array]:
    """Return the best label of each pixel with its fraction, and its margin, both (H, W) float32.

    The margin is the cost of the best rival, more than two labels away, less the label's own.
    """
    height, width, _ = total.shape
    label = np.empty((height, width), np.float32)
    margin = np.empty((height, width), np.float32)
    for y in range(height):
        for x in range(width):
            label[y, x], margin[y, x] = _best_label(total[y, x])
    return label, margin
