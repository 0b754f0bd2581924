# SPDX-License-Identifier: Apache-2.0
"""Matching cost of a plane sweep along a depth prior: zero-mean normalised cross-correlation.

The sweep does not run over planes of constant depth: label k is the surface whose inverse depth is
``base * ratios[k]``. So windows slant as the prior does, and a smooth labelling keeps its shape
(compare the surface orientation priors of Scharstein et al., 3DV 2017).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from videodepth_ros.core.arrays import Float32Array

f4 = np.float32
OUTSIDE = f4(2.0)
"""Cost of a pixel that a neighbour does not see; seen ones are between 0 and 1."""
UNSEEN_COST = f4(0.7)
UNSEEN_PENALTY = f4(0.1)
"""Cost where no view sees a pixel, and what a missing second view adds to the first's."""
GREY_OFFSET = f4(128)
"""Taken off the grey levels, so that float32 sums of squares stay exact."""
R = 3
ROWS = 7
"""Radius and rows of the large window."""


@njit(nogil=True, cache=True, fastmath=True)
def window_statistics(grey: Float32Array, radius: int) -> tuple[Float32Array, Float32Array]:
    """Return mean and variance of square windows, both (H, W) float32; borders replicated."""
    height, width = grey.shape
    n = f4(1.0 / ((2 * radius + 1) * (2 * radius + 1)))
    mean = np.empty((height, width), np.float32)
    variance = np.empty((height, width), np.float32)
    for y in range(height):
        for x in range(width):
            total, squares = f4(0), f4(0)
            for dy in range(-radius, radius + 1):
                row = grey[min(max(y + dy, 0), height - 1)]
                for dx in range(-radius, radius + 1):
                    value = row[min(max(x + dx, 0), width - 1)] - GREY_OFFSET
                    total += value
                    squares += value * value
            mean[y, x] = total * n
            variance[y, x] = max(squares * n - total * n * total * n, f4(0))
    return mean, variance


@njit(nogil=True, cache=True, fastmath=True)
def _project_row(A, b, base, ratio, y, u, v, seen, last_x, last_y):  # type: ignore[no-untyped-def]
    """Write where the pixels of row y fall in a neighbour, and 1 where that is inside."""
    ax = A[0, 1] * f4(y) + A[0, 2]
    ay = A[1, 1] * f4(y) + A[1, 2]
    az = A[2, 1] * f4(y) + A[2, 2]
    a0, a1, a2 = A[0, 0], A[1, 0], A[2, 0]
    b0, b1, b2 = b[0] * ratio, b[1] * ratio, b[2] * ratio
    for x in range(base.shape[0]):
        q = base[x]
        z = a2 * f4(x) + az + b2 * q
        inverse = f4(1) / max(z, f4(1e-6))
        right = (a0 * f4(x) + ax + b0 * q) * inverse
        down = (a1 * f4(x) + ay + b1 * q) * inverse
        inside = (right >= f4(0)) & (down >= f4(0)) & (right <= last_x) & (down <= last_y)
        seen[x] = f4(1) if inside & (z > f4(1e-3)) else f4(0)
        u[x] = min(max(right, f4(0)), last_x - f4(0.001))
        v[x] = min(max(down, f4(0)), last_y - f4(0.001))


@njit(nogil=True, cache=True, fastmath=True)
def _sample_row(source, u, v, out):  # type: ignore[no-untyped-def]
    """Sample ``source`` bilinearly; indices without sign need no check for negative ones."""
    one = np.uintp(1)
    for x in range(out.shape[0]):
        i, j = np.uintp(v[x]), np.uintp(u[x])
        du, dv = u[x] - f4(j), v[x] - f4(i)
        top = source[i, j] + (source[i, j + one] - source[i, j]) * du
        bottom = source[i + one, j] + (source[i + one, j + one] - source[i + one, j]) * du
        out[x] = top + (bottom - top) * dv


@njit(nogil=True, cache=True, fastmath=True)
def _products(row, grey_row, padded):  # type: ignore[no-untyped-def]
    """Write J, J^2 and I J of one row, with R replicated columns on both sides."""
    width = row.shape[0]
    for x in range(width):
        value = row[x] - GREY_OFFSET
        padded[0, x + R] = value
        padded[1, x + R] = value * value
        padded[2, x + R] = value * (grey_row[x] - GREY_OFFSET)
    for c in range(3):
        for d in range(R):
            padded[c, d] = padded[c, R]
            padded[c, width + R + d] = padded[c, width + R - 1]


@njit(nogil=True, cache=True, fastmath=True)
def _add_row(padded, small, large, column_sums):  # type: ignore[no-untyped-def]
    """Write horizontal sums over 3 and 7 columns, and add the latter to the columns' sums."""
    width = column_sums.shape[1]
    for c in range(3):
        p, s, t, total = padded[c], small[c], large[c], column_sums[c]
        for x in range(width):
            three = p[x + 2] + p[x + 3] + p[x + 4]
            seven = three + p[x] + p[x + 1] + p[x + 5] + p[x + 6]
            s[x] = three
            t[x] = seven
            total[x] += seven


@njit(nogil=True, cache=True, fastmath=True)
def _zncc_row(total, squares, products, n, mean, scale, noise, out):  # type: ignore[no-untyped-def]
    """Write the correlation of the windows of a row; scale: 1 / deviation of the view's own.

    A loop over few arrays: compilers give up on vectors where many may overlap.
    """
    for x in range(out.shape[0]):
        m = total[x] * n
        v = max(squares[x] * n - m * m, f4(0)) + noise
        out[x] = (products[x] * n - m * mean[x]) * scale[x] / np.sqrt(v)


@njit(nogil=True, cache=True, fastmath=True)
def _add_three(a, b, c, out):  # type: ignore[no-untyped-def]
    for x in range(out.shape[0]):
        out[x] = a[x] + b[x] + c[x]


@njit(nogil=True, cache=True, fastmath=True)
def _cost_row(small, large, share, seen, out):  # type: ignore[no-untyped-def]
    """Write the cost of one row: the small window counts by the texture that it has."""
    for x in range(out.shape[0]):
        cost = f4(1) - (large[x] + share[x] * (small[x] - large[x]))
        out[x] = min(max(cost, f4(0)), f4(1)) if seen[x] > f4(0) else OUTSIDE


@njit(nogil=True, cache=True, fastmath=True)
def _sweep_one(grey, statistics, source, A, b, base, ratio, noise, out):  # type: ignore[no-untyped-def]
    """Write the cost of one label in one neighbour, (H, W) float32; rows stream through rings.

    statistics  mean and 1 / deviation of the small and of the large windows, share of the small
    """
    mean3, scale3, mean7, scale7, share = statistics
    height, width = grey.shape
    last_x, last_y = f4(source.shape[1] - 1), f4(source.shape[0] - 1)
    small = np.zeros((ROWS, 3, width), np.float32)
    large = np.zeros((ROWS, 3, width), np.float32)
    seen = np.zeros((ROWS, width), np.float32)
    sums, three = np.zeros((3, width), np.float32), np.zeros((3, width), np.float32)
    padded = np.zeros((3, width + 2 * R), np.float32)
    row, u, v = np.zeros(width, np.float32), np.zeros(width, np.float32), np.zeros(width, f4)
    for y in range(-R, height + R):
        k = (y + ROWS) % ROWS
        if y > R:
            for c in range(3):
                for x in range(width):
                    sums[c, x] -= large[k, c, x]
        if y == -R or 0 < y < height:  # other rows repeat the one before
            inside = max(y, 0)
            _project_row(A, b, base[inside], ratio, inside, u, v, seen[k], last_x, last_y)
            _sample_row(source, u, v, row)
            _products(row, grey[inside], padded)
        elif y <= 0:
            seen[k] = seen[(k + ROWS - 1) % ROWS]
        _add_row(padded, small[k], large[k], sums)
        if y >= R:
            i, at = (y - R + ROWS) % ROWS, y - R
            before, after = small[(i + ROWS - 1) % ROWS], small[(i + 1) % ROWS]
            for c in range(3):
                _add_three(before[c], small[i, c], after[c], three[c])
            _zncc_row(three[0], three[1], three[2], f4(1 / 9), mean3[at], scale3[at], noise, u)
            _zncc_row(sums[0], sums[1], sums[2], f4(1 / 49), mean7[at], scale7[at], noise, v)
            _cost_row(u, v, share[at], seen[i], out[at])


@njit(nogil=True, cache=True, fastmath=True)
def _keep_best(cost, best):  # type: ignore[no-untyped-def]
    """Insert the cost of a further view into the three least of each pixel."""
    height, width = cost.shape
    for y in range(height):
        for x in range(width):
            value = cost[y, x]
            first, second = best[0, y, x], best[1, y, x]
            best[0, y, x] = min(first, value)
            value = max(first, value)
            best[1, y, x] = min(second, value)
            best[2, y, x] = min(best[2, y, x], max(second, value))


@njit(nogil=True, cache=True, fastmath=True)
def _mean_of_best(best, count, volume, k):  # type: ignore[no-untyped-def]
    """Write the mean of the least costs into label k of the volume."""
    _, height, width = best.shape
    for y in range(height):
        for x in range(width):
            first, second, third = best[0, y, x], best[1, y, x], best[2, y, x]
            first = first if first < OUTSIDE else UNSEEN_COST
            total = first + (second if second < OUTSIDE else first + UNSEEN_PENALTY)
            n = f4(2)
            if count > 2 and third < OUTSIDE:
                total += third
                n = f4(3)
            volume[y, x, k] = min(total / n, f4(1))


@njit(nogil=True, cache=True, fastmath=True)
def cost_volume(
    grey: Float32Array,
    sources: Float32Array,
    A: Float32Array,
    b: Float32Array,
    base: Float32Array,
    ratios: Float32Array,
    noise: np.float32,
    texture: np.float32,
    count: int,
) -> Float32Array:
    """Return the matching costs, (H, W, K) float32 in [0, 1].

    grey     (H, W) float32, the view; sources (N, h, w) float32, its neighbours
    A, b     (N, 3, 3) and (N, 3) float32: pixel x of inverse depth q falls on A x + b q
    base     (H, W) float32, inverse depth of label ratio 1; ratios (K,) float32
    noise, texture, count   `noise_variance`, `small_window_variance`, `best_views` of the options
    """
    height, width = grey.shape
    mean3, var3 = window_statistics(grey, 1)
    mean7, var7 = window_statistics(grey, R)
    scale3, scale7 = f4(1) / np.sqrt(var3 + noise), f4(1) / np.sqrt(var7 + noise)
    statistics = (mean3, scale3, mean7, scale7, var3 / (var3 + texture))
    volume = np.empty((height, width, ratios.shape[0]), np.float32)
    cost = np.empty((height, width), np.float32)
    best = np.empty((3, height, width), np.float32)
    for k in range(ratios.shape[0]):
        best[:] = OUTSIDE
        for n in range(sources.shape[0]):
            _sweep_one(grey, statistics, sources[n], A[n], b[n], base, ratios[k], noise, cost)
            _keep_best(cost, best)
        _mean_of_best(best, count, volume, k)
    return volume
