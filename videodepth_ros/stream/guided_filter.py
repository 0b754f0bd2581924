# SPDX-License-Identifier: Apache-2.0
"""Sharper edges than the network's, where the image has them.

A small network knows roughly where a thing ends, and its image knows exactly. In every window of
the network's map inverse depth is fitted as an affine function of grey, and the mean of the fits
that see a pixel is evaluated with the grey of the camera's own pixel: the guided filter (He et al.
2013, IEEE TPAMI 35(6), equations 5, 6 and 8), its fits made at the small size (He and Sun 2015,
arXiv 1505.00996). Where grey tells nothing the fit is the mean, which leaves a plane a plane.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Grey = NDArray[np.uint8]

RADIUS = 3  # pixels of the network's map from the middle of a window to its side
WINDOW = (2 * RADIUS + 1, 2 * RADIUS + 1)
MARGIN = 2 * RADIUS  # a fit sees so far, and is seen so far
FINER = 3  # times finer than the network's map: of finer edges its fits know little
FAINT = (0.05 * 255) ** 2  # variance of grey: what varies less is noise rather than an edge


def guided_filter(inverse_depth: Array, image: NDArray[np.uint8], size: tuple[int, int]) -> Array:
    """Return inverse depth (h, w) float32 with the edges of ``image`` (H, W, 3) uint8 RGB.

    It comes at ``size`` (height, width), but at no more than ``FINER`` times the network's, for
    the cost would grow with it and the gain would not. An image that is no finer than the
    network's map has nothing to tell. No pixel leaves the range of the network's values around
    it: what grey fits too well would come out nearer than anything there, or behind the horizon.
    """
    if image[..., 0].size <= inverse_depth.size:
        return inverse_depth
    height, width = (
        min(FINER * side, wanted) for side, wanted in zip(inverse_depth.shape, size, strict=True)
    )
    grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
    if grey.shape != (height, width):
        grey = _shrunk(grey, width, height)
    slope, offset = _fits(inverse_depth, grey)
    full = _resized(slope, grey)
    full *= grey
    full += _resized(offset, grey)
    window = np.ones(WINDOW, np.uint8)
    least, greatest = cv2.erode(inverse_depth, window), cv2.dilate(inverse_depth, window)
    np.maximum(full, _resized(least, grey), out=full)
    np.minimum(full, _resized(greatest, grey), out=full)
    return full


def _shrunk(grey: Grey, width: int, height: int) -> Grey:
    """Return grey at another size: means of whole blocks, then bilinear.

    Means of any size take OpenCV ten times as long, which at two megapixels is half of all this.
    """
    by = max(1, min(grey.shape[0] // height, grey.shape[1] // width))
    blocks = cv2.resize(
        grey, (grey.shape[1] // by, grey.shape[0] // by), interpolation=cv2.INTER_AREA
    )
    return np.asarray(cv2.resize(blocks, (width, height)), np.uint8)


def _fits(inverse_depth: Array, grey: Grey) -> tuple[Array, Array]:
    """Return slope and offset (h, w) float32 of inverse depth over grey, in [0, 255]."""
    height, width = inverse_depth.shape
    small = cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA)
    x = np.pad(np.asarray(small, np.float32), MARGIN, mode='symmetric')
    y = np.pad(inverse_depth, MARGIN, mode='reflect', reflect_type='odd')  # a plane goes on
    mean_x, mean_y = _mean(x), _mean(y)
    slope = (_mean(x * y) - mean_x * mean_y) / (_mean(x * x) - mean_x * mean_x + FAINT)
    inside = np.s_[MARGIN:-MARGIN, MARGIN:-MARGIN]
    return _mean(slope)[inside], _mean(mean_y - slope * mean_x)[inside]


def _mean(values: NDArray[Any]) -> Array:
    return np.asarray(cv2.blur(values, WINDOW), np.float32)


def _resized(values: NDArray[Any], grey: Grey) -> Array:
    return np.asarray(cv2.resize(values, grey.shape[::-1]), np.float32)  # bilinear
