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
def _warp_row(source, A, b, base, ratio, y, out, seen):  # type: ignore[no-untyped-def]
    """Sample ``source`` bilinearly where the pixels of row y fall on it."""
    height, width = source.shape
    ax = A[0, 1] * f4(y) + A[0, 2]
    ay = A[1, 1] * f4(y) + A[1, 2]
    az = A[2, 1] * f4(y) + A[2, 2]
    last_x, last_y = f4(width - 1), f4(height - 1)
    most_x, most_y = f4(width - 1.001), f4(height - 1.001)
    for x in range(out.shape[0]):
        q = base[y, x] * ratio
        z = A[2, 0] * f4(x) + az + b[2] * q
        inverse = f4(1) / max(z, f4(1e-6))
        u = (A[0, 0] * f4(x) + ax + b[0] * q) * inverse
        v = (A[1, 0] * f4(x) + ay + b[1] * q) * inverse
        inside = z > f4(1e-3) and u >= f4(0) and v >= f4(0) and u <= last_x and v <= last_y
        seen[x] = f4(1) if inside else f4(0)
        u = min(max(u, f4(0)), most_x)
        v = min(max(v, f4(0)), most_y)
        i, j = np.int32(v), np.int32(u)
        du, dv = u - f4(j), v - f4(i)
        top = source[i, j] + (source[i, j + 1] - source[i, j]) * du
        bottom = source[i + 1, j] + (source[i + 1, j + 1] - source[i + 1, j]) * du
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
def _zncc(total, squares, products, n, mean, variance, noise):  # type: ignore[no-untyped-def]
    """Return the correlation of two windows of which the sums are known."""
    m = total * n
    v = max(squares * n - m * m, f4(0))
    return (products * n - m * mean) / np.sqrt((v + noise) * (variance + noise))


@njit(nogil=True, cache=True, fastmath=True)
def _cost_row(sums, s0, s1, s2, seen, statistics, y, noise, texture, out):  # type: ignore[no-untyped-def]
    """Write the cost of one row: the small window counts by the texture that it has."""
    mean3, var3, mean7, var7 = statistics
    for x in range(out.shape[0]):
        large = _zncc(
            sums[0, x], sums[1, x], sums[2, x], f4(1 / 49), mean7[y, x], var7[y, x], noise
        )
        small = _zncc(
            s0[0, x] + s1[0, x] + s2[0, x],
            s0[1, x] + s1[1, x] + s2[1, x],
            s0[2, x] + s1[2, x] + s2[2, x],
            f4(1 / 9),
            mean3[y, x],
            var3[y, x],
            noise,
        )
        share = var3[y, x] / (var3[y, x] + texture)
        cost = f4(1) - (share * small + (f4(1) - share) * large)
        out[x] = min(max(cost, f4(0)), f4(1)) if seen[x] > f4(0) else OUTSIDE


@njit(nogil=True, cache=True, fastmath=True)
def _sweep_one(grey, statistics, source, A, b, base, ratio, noise, texture, out):  # type: ignore[no-untyped-def]
    """Write the cost of one label in one neighbour, (H, W) float32; rows stream through rings."""
    height, width = grey.shape
    small = np.zeros((ROWS, 3, width), np.float32)
    large = np.zeros((ROWS, 3, width), np.float32)
    seen = np.zeros((ROWS, width), np.float32)
    sums = np.zeros((3, width), np.float32)
    padded = np.zeros((3, width + 2 * R), np.float32)
    row = np.zeros(width, np.float32)
    for y in range(-R, height + R):
        k = (y + ROWS) % ROWS
        inside = min(max(y, 0), height - 1)
        if y > R:
            for c in range(3):
                for x in range(width):
                    sums[c, x] -= large[k, c, x]
        if y == -R or 0 < y < height:  # other rows repeat the one before
            _warp_row(source, A, b, base, ratio, inside, row, seen[k])
            _products(row, grey[inside], padded)
        elif y <= 0:
            seen[k] = seen[(k + ROWS - 1) % ROWS]
        _add_row(padded, small[k], large[k], sums)
        if y >= R:
            i = (y - R + ROWS) % ROWS
            before, after = (i + ROWS - 1) % ROWS, (i + 1) % ROWS
            _cost_row(
                sums,
                small[before],
                small[i],
                small[after],
                seen[i],
                statistics,
                y - R,
                noise,
                texture,
                out[y - R],
            )


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
    statistics = (mean3, var3, mean7, var7)
    volume = np.empty((height, width, ratios.shape[0]), np.float32)
    cost = np.empty((height, width), np.float32)
    best = np.empty((3, height, width), np.float32)
    for k in range(ratios.shape[0]):
        best[:] = OUTSIDE
        for n in range(sources.shape[0]):
            _sweep_one(
                grey, statistics, sources[n], A[n], b[n], base, ratios[k], noise, texture, cost
            )
            _keep_best(cost, best)
        _mean_of_best(best, count, volume, k)
    return volume
