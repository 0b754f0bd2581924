# SPDX-License-Identifier: Apache-2.0
"""Depth edges of the image: weighted median, at the working size and up to the full one."""

from __future__ import annotations

import cv2
import numpy as np
from numba import njit

from videodepth_ros.core.arrays import Float32Array, MaskArray, UInt8Array
from videodepth_ros.mvs.options import StereoOptions

f4 = np.float32
FLAT = 0.02
"""Where inverse depth is so near to its mean over the window, as a share, there is no edge: it is
linear on a plane. There it is only interpolated."""
CLUSTER = f4(0.04)
"""Log depths so near to the median are averaged with it."""
LEAST_CERTAINTY = f4(3.0)
"""Weight of the least certain depth in the median; that of the most certain is 1 more."""
EDGE_STEP = 3
"""Every third column and row of the large window is sampled: a ninth of the time."""
FULL_RADIUS = 2
SHARP_RADIUS, SHARP_STEP = 6, 2
"""Windows of the interpolation to full size, and of the last filter there."""
BINS = 48
SPREAD_OF_RADIUS = 0.8
"""Standard deviation of the spatial weight over the radius of the window."""


@njit(nogil=True, cache=True, fastmath=True)
def _median_cluster(values, weights, n, total, low, high, bins):  # type: ignore[no-untyped-def]
    """Return the mean of the values near to the weighted median, which a histogram finds."""
    bin_width = (high - low) / f4(BINS - 1)
    per_width = f4(1) / bin_width
    bins[:] = f4(0)
    for k in range(n):
        bins[min(int((values[k] - low) * per_width), BINS - 1)] += weights[k]
    below, median = bins[0], 0
    while median < BINS - 1 and below < f4(0.5) * total:
        median += 1
        below += bins[median]
    centre = low + (f4(median) + f4(0.5)) * bin_width
    reach = max(CLUSTER, bin_width)
    mass, moment = f4(0), f4(0)
    for k in range(n):
        if abs(values[k] - centre) < reach:
            mass += weights[k]
            moment += weights[k] * values[k]
    return moment / mass if mass > f4(1e-20) else centre


@njit(nogil=True, cache=True, fastmath=True)
def _bilinear(image, x, y):  # type: ignore[no-untyped-def]
    u = min(max(x, f4(0)), f4(image.shape[1] - 1.001))
    v = min(max(y, f4(0)), f4(image.shape[0] - 1.001))
    i, j = int(v), int(u)
    du, dv = f4(u - j), f4(v - i)
    top = image[i, j] + (image[i, j + 1] - image[i, j]) * du
    bottom = image[i + 1, j] + (image[i + 1, j + 1] - image[i + 1, j]) * du
    return top + (bottom - top) * dv


@njit(nogil=True, cache=True, fastmath=True)
def _nearness(weights, first, step, place, spread):  # type: ignore[no-untyped-def]
    """Write the spatial weights of samples along one axis."""
    for k in range(weights.shape[0]):
        d = (f4(first + k * step) - place) / spread
        weights[k] = np.exp(f4(-0.5) * d * d)


@njit(nogil=True, cache=True, fastmath=True)
def _apart(one, other):  # type: ignore[no-untyped-def]
    """Return the sum of absolute differences of two colours, 0 to 765."""
    red = abs(np.int32(one[0]) - np.int32(other[0]))
    green = abs(np.int32(one[1]) - np.int32(other[1]))
    return red + green + abs(np.int32(one[2]) - np.int32(other[2]))


@njit(nogil=True, cache=True, fastmath=True)
def _window_median(  # type: ignore[no-untyped-def]
    log_depth, weight, colours, colour, window, closeness, values, weights, bins
):
    """Return the weighted median of a window of which the first sample is at (top, left)."""
    top, left, step, down, across = window
    n = 0
    low, high = f4(1e9), f4(-1e9)
    mass, moment = f4(0), f4(0)
    for a in range(down.shape[0]):
        i = top + a * step
        if i < 0 or i >= log_depth.shape[0]:
            continue
        for b in range(across.shape[0]):
            j = left + b * step
            if j < 0 or j >= log_depth.shape[1]:
                continue
            near = down[a] * across[b] * closeness[_apart(colours[i, j], colour)]
            value, share = log_depth[i, j], near * weight[i, j]
            values[n], weights[n] = value, share
            low, high = min(low, value), max(high, value)
            mass += share
            moment += share * value
            n += 1
    if high - low < CLUSTER:  # all of them are near to the median
        return moment / mass if mass > f4(1e-20) else f4(0.5) * (low + high)
    return _median_cluster(values, weights, n, mass, low, high, bins)


@njit(nogil=True, cache=True, fastmath=True)
def weighted_median(
    log_depth: Float32Array,
    weight: Float32Array,
    colours: UInt8Array,
    flat: MaskArray,
    image: UInt8Array,
    radius: int,
    step: int,
    closeness: Float32Array,
) -> Float32Array:
    """Return log depth at the size of an image, (H, W) float32, with edges where the image's are.

    log_depth, weight, flat  (h, w), flat: where it is only interpolated
    colours       (h, w, 3) uint8, the image at the size of the depth; image (H, W, 3) uint8
    radius, step  of the samples of the window, in pixels of the depth
    closeness     (766,) float32, weight by the sum of absolute differences of two colours
    """
    h, w = log_depth.shape
    height, width = image.shape[:2]
    side = 2 * (radius // step) + 1
    values, weights = np.empty(side * side, np.float32), np.empty(side * side, np.float32)
    bins = np.empty(BINS, np.float32)
    down, across = np.empty(side, np.float32), np.empty(side, np.float32)
    spread = f4(SPREAD_OF_RADIUS * radius)
    out = np.empty((height, width), np.float32)
    for y in range(height):
        v = f4((y + 0.5) * h / height - 0.5)
        row = min(max(int(np.rint(v)), 0), h - 1)
        top = row - side // 2 * step
        _nearness(down, top, step, v, spread)
        for x in range(width):
            u = f4((x + 0.5) * w / width - 0.5)
            column = min(max(int(np.rint(u)), 0), w - 1)
            if flat[row, column]:
                out[y, x] = _bilinear(log_depth, u, v)
                continue
            left = column - side // 2 * step
            _nearness(across, left, step, u, spread)
            window = (top, left, step, down, across)
            out[y, x] = _window_median(
                log_depth, weight, colours, image[y, x], window, closeness, values, weights, bins
            )
    return out


def _flat(per_m: Float32Array, radius: int) -> MaskArray:
    """Return where inverse depth is linear within a square window, (h, w) bool."""
    side = 2 * radius + 1
    bent = np.abs(cv2.blur(per_m, (side, side)) / per_m - 1)
    return cv2.dilate(bent, np.ones((side, side), np.uint8)) < FLAT


def snap_edges(
    per_m: Float32Array, certainty: Float32Array, colours: UInt8Array, options: StereoOptions
) -> Float32Array:
    """Return inverse depth with its edges moved onto those of the image of the same size."""
    radius = options.edge_radius
    return _filtered(per_m, certainty, colours, colours, radius, EDGE_STEP, options)


def upsample(
    per_m: Float32Array,
    certainty: Float32Array,
    colours: UInt8Array,
    image: UInt8Array,
    options: StereoOptions,
) -> Float32Array:
    """Return inverse depth at the size of the image, (H, W) float32, with sharp edges.

    per_m, certainty  (h, w) float32; colours (h, w, 3) uint8, the image at that size
    """
    if image.shape != colours.shape:
        per_m = _filtered(per_m, certainty, colours, image, FULL_RADIUS, 1, options)
    alike = np.ones(per_m.shape, np.float32)
    return _filtered(per_m, alike, image, image, SHARP_RADIUS, SHARP_STEP, options)


def _filtered(
    per_m: Float32Array,
    certainty: Float32Array,
    colours: UInt8Array,
    image: UInt8Array,
    radius: int,
    step: int,
    options: StereoOptions,
) -> Float32Array:
    closeness = np.exp(-np.arange(766) / options.edge_colour_scale).astype(np.float32)
    log_depth = weighted_median(
        np.log(per_m),
        certainty + LEAST_CERTAINTY,
        colours,
        _flat(per_m, radius),
        image,
        radius,
        step,
        closeness,
    )
    return np.exp(log_depth)
