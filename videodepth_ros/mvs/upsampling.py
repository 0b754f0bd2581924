# SPDX-License-Identifier: Apache-2.0
"""Depth edges of the image: weighted median, at the working size and up to the full one."""

from __future__ import annotations

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from videodepth_ros.core.arrays import Float32Array, UInt8Array
from videodepth_ros.mvs.options import StereoOptions

f4 = np.float32
FLAT = 0.03
"""Where log depth changes by less within the window, it is interpolated: there is no edge."""
CLUSTER = f4(0.04)
"""Log depths so near to the median are averaged with it."""
LEAST_CERTAINTY = f4(0.2)
"""Weight of the least certain depth in the median; that of the most certain is 1 more."""
FULL_RADIUS = 2
SPREAD_OF_RADIUS = 0.8
"""Standard deviation of the spatial weight over the radius of the window."""


@njit(nogil=True, cache=True, fastmath=True)
def _insert(values, weights, n, value, weight):  # type: ignore[no-untyped-def]
    """Insert into arrays that are sorted by value."""
    k = n
    while k > 0 and values[k - 1] > value:
        values[k] = values[k - 1]
        weights[k] = weights[k - 1]
        k -= 1
    values[k] = value
    weights[k] = weight


@njit(nogil=True, cache=True, fastmath=True)
def _median_cluster(values, weights, n, total):  # type: ignore[no-untyped-def]
    """Return the mean of the values near to the weighted median."""
    half, k = weights[0], 0
    while k < n - 1 and half < f4(0.5) * total:
        k += 1
        half += weights[k]
    centre = values[k]
    mass, moment = f4(0), f4(0)
    for m in range(n):
        if abs(values[m] - centre) < CLUSTER:
            mass += weights[m]
            moment += weights[m] * values[m]
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
def weighted_median(
    log_depth: Float32Array,
    weight: Float32Array,
    colours: UInt8Array,
    flat: NDArray[np.bool_],
    image: UInt8Array,
    radius: int,
    spread_px: np.float32,
    colour_scale: np.float32,
) -> Float32Array:
    """Return log depth at the size of an image, (H, W) float32, with edges where the image's are.

    log_depth, weight, flat  (h, w), flat: where it is only interpolated
    colours  (h, w, 3) uint8, the image at the size of the depth; image (H, W, 3) uint8
    radius, spread_px        of the window, in pixels of the depth
    """
    h, w = log_depth.shape
    height, width = image.shape[:2]
    count = (2 * radius + 1) * (2 * radius + 1)
    values, weights = np.empty(count, np.float32), np.empty(count, np.float32)
    nearness = f4(1) / (f4(2) * spread_px * spread_px)
    closeness = f4(1) / colour_scale
    out = np.empty((height, width), np.float32)
    for y in range(height):
        v = f4((y + 0.5) * h / height - 0.5)
        row = min(max(int(np.rint(v)), 0), h - 1)
        for x in range(width):
            u = f4((x + 0.5) * w / width - 0.5)
            column = min(max(int(np.rint(u)), 0), w - 1)
            if flat[row, column]:
                out[y, x] = _bilinear(log_depth, u, v)
                continue
            n, total = 0, f4(0)
            red, green, blue = image[y, x, 0], image[y, x, 1], image[y, x, 2]
            for i in range(max(row - radius, 0), min(row + radius + 1, h)):
                for j in range(max(column - radius, 0), min(column + radius + 1, w)):
                    apart = (
                        abs(f4(colours[i, j, 0]) - f4(red))
                        + abs(f4(colours[i, j, 1]) - f4(green))
                        + abs(f4(colours[i, j, 2]) - f4(blue))
                    )
                    distance = (f4(j) - u) * (f4(j) - u) + (f4(i) - v) * (f4(i) - v)
                    share = weight[i, j] * np.exp(-(distance * nearness + apart * closeness))
                    _insert(values, weights, n, log_depth[i, j], share)
                    n += 1
                    total += share
            out[y, x] = _median_cluster(values, weights, n, total)
    return out


def _flat(log_depth: Float32Array, radius: int) -> NDArray[np.bool_]:
    """Return where log depth changes little within a square window, (h, w) bool."""
    window = np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)
    return cv2.dilate(log_depth, window) - cv2.erode(log_depth, window) < FLAT


def snap_edges(
    per_m: Float32Array, certainty: Float32Array, colours: UInt8Array, options: StereoOptions
) -> Float32Array:
    """Return inverse depth with its edges moved onto those of the image of the same size."""
    radius = options.edge_radius
    return _filtered(per_m, certainty, colours, colours, radius, options)


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
    if image.shape == colours.shape:
        return per_m
    return _filtered(per_m, certainty, colours, image, FULL_RADIUS, options)


def _filtered(
    per_m: Float32Array,
    certainty: Float32Array,
    colours: UInt8Array,
    image: UInt8Array,
    radius: int,
    options: StereoOptions,
) -> Float32Array:
    log_depth = np.log(per_m)
    return np.exp(
        weighted_median(
            log_depth,
            certainty + LEAST_CERTAINTY,
            colours,
            _flat(log_depth, radius),
            image,
            radius,
            f4(SPREAD_OF_RADIUS * radius),
            f4(options.edge_colour_scale),
        )
    )
