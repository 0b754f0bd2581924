# SPDX-License-Identifier: Apache-2.0
"""Sharpen depth edges with the image: fast guided filter, then a shock filter.

In each window inverse depth is fitted as an affine function of grey; the mean of the fits that
cover a pixel is evaluated with the camera image's grey (He et al. 2013, IEEE TPAMI 35(6),
equations 5, 6 and 8), with the fits at the network's size (He and Sun 2015, arXiv 1505.00996).
In uniform regions the fit is the mean, so planes stay planes.

The remaining ramps are steepened: at an edge, values move towards the least or greatest value of
the window, whichever is nearer (Kramer and Bruckner 1975; Osher and Rudin 1990). A plane is in the
middle of its windows everywhere and does not move.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from videodepth_ros.core.arrays import Float32Array, UInt8Array
from videodepth_ros.stream.options import GuidedFilterOptions

DEFAULTS = GuidedFilterOptions()

TINY = 1e-12
"""Added to a divisor that may be 0, where the quotient does not matter."""


def guided_filter(
    inverse_depth: Float32Array,
    image: UInt8Array,
    size: tuple[int, int],
    options: GuidedFilterOptions = DEFAULTS,
) -> Float32Array:
    """Return inverse depth (h, w) float32 with the edges of ``image`` (H, W, 3) uint8 RGB.

    inverse_depth  of the network; returned unchanged where the image has no more pixels
    size           largest height and width of the result; ``max_upscale`` limits it too

    Values are clamped to the range of the network's values in the window, which the affine
    extrapolation may leave.
    """
    if image[..., 0].size <= inverse_depth.size:
        return inverse_depth
    height, width = guided_size(inverse_depth, size, options)
    grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
    if grey.shape != (height, width):
        grey = _shrunk(grey, width, height)
    radius_px = options.radius_px(width / inverse_depth.shape[1])
    slope, offset = _fits(inverse_depth, grey, radius_px, options)
    full = _resized(slope, grey)
    full *= grey
    full += _resized(offset, grey)
    window = np.ones((2 * radius_px + 1,) * 2, np.uint8)
    least, greatest = cv2.erode(inverse_depth, window), cv2.dilate(inverse_depth, window)
    middle = _resized((least + greatest) / 2, grey)
    full -= middle
    half_range = _resized((greatest - least) / 2, grey)
    steeper = full * full
    steeper *= _resized(_edge_gain(least, greatest, radius_px, options), grey)
    steeper += 1
    full *= steeper
    np.minimum(full, half_range, out=full)
    np.maximum(full, np.negative(half_range, out=half_range), out=full)
    full += middle
    return full


def _edge_gain(
    least: NDArray[Any], greatest: NDArray[Any], radius_px: int, options: GuidedFilterOptions
) -> Float32Array:
    """Return the gain of the shock filter (h, w) float32 per square of inverse depth.

    0 without an edge, and at the border, where windows are cut and a plane is not in their middle.
    """
    begin, whole = options.edge_ratios
    share = np.clip((greatest - begin * least) / ((whole - begin) * least + TINY), 0, 1)
    share[greatest > options.max_edge_ratio * least] = 0
    gain = np.zeros(share.shape, np.float32)
    margin = radius_px + 1  # a bilinear sample reaches one further
    inside = np.s_[margin:-margin]
    half_range = (greatest - least)[inside, inside] / 2
    gain[inside, inside] = options.edge_gain * share[inside, inside] / (half_range**2 + TINY)
    return gain


def guided_size(
    inverse_depth: Float32Array, size: tuple[int, int], options: GuidedFilterOptions = DEFAULTS
) -> tuple[int, int]:
    """Return height and width of the result of ``guided_filter``; a larger image is shrunk."""
    height, width = (
        min(options.max_upscale * side, limit)
        for side, limit in zip(inverse_depth.shape, size, strict=True)
    )
    return height, width


def _shrunk(grey: UInt8Array, width: int, height: int) -> UInt8Array:
    """Shrink grey by means of whole blocks, then bilinearly: ten times as fast as area means."""
    by = max(1, min(grey.shape[0] // height, grey.shape[1] // width))
    blocks = cv2.resize(
        grey, (grey.shape[1] // by, grey.shape[0] // by), interpolation=cv2.INTER_AREA
    )
    return np.asarray(cv2.resize(blocks, (width, height)), np.uint8)


def _fits(
    inverse_depth: Float32Array, grey: UInt8Array, radius_px: int, options: GuidedFilterOptions
) -> tuple[Float32Array, Float32Array]:
    """Return mean slope and offset (h, w) float32 of inverse depth over grey in 0..255."""
    height, width = inverse_depth.shape
    margin = 2 * radius_px  # reach of two box filters
    small = cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA)
    x = np.pad(np.asarray(small, np.float32), margin, mode='symmetric')
    y = np.pad(inverse_depth, margin, mode='reflect', reflect_type='odd')  # continues a plane
    mean = partial(_mean, window_px=(2 * radius_px + 1,) * 2)
    mean_x, mean_y = mean(x), mean(y)
    variance = mean(x * x) - mean_x * mean_x
    slope = (mean(x * y) - mean_x * mean_y) / (variance + options.grey_variance)
    inside = np.s_[margin:-margin, margin:-margin]
    return mean(slope)[inside], mean(mean_y - slope * mean_x)[inside]


def _mean(values: NDArray[Any], window_px: tuple[int, int]) -> Float32Array:
    return np.asarray(cv2.blur(values, window_px), np.float32)


def _resized(values: NDArray[Any], grey: UInt8Array) -> Float32Array:
    return np.asarray(cv2.resize(values, grey.shape[::-1]), np.float32)  # bilinear
