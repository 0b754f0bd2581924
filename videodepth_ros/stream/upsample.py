# SPDX-License-Identifier: Apache-2.0
"""Upsample inverse depth to the camera's size without interpolating across depth edges.

On a surface inverse depth is interpolated bilinearly, which is exact on planes: their inverse
depth is affine in the pixel. At a depth edge the nearest value is taken. Mixed pixels, whose depth
lies between the two sides of an edge, are marked unknown.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from videodepth_ros.core.arrays import Float32Array, MaskArray
from videodepth_ros.stream.scale import TINY_INVERSE_DEPTH

NEIGHBOURS = np.ones((3, 3), np.uint8)


@dataclass(frozen=True)
class DepthDiscontinuities:
    """Depth edges of an inverse depth map, in 3 x 3 neighbourhoods.

    mixed  (h, w) bool, mixed pixels: between the near and the far side of an edge
    edge   (h, w) bool, some neighbour belongs to another surface
    """

    mixed: MaskArray
    edge: MaskArray


def find_discontinuities(inverse_depth: Float32Array, edge_ratio: float) -> DepthDiscontinuities:
    """Find the depth edges of an inverse depth map (h, w) float32, finite and >= 0.

    edge_ratio  depth ratio of neighbours above which they are two surfaces; 1: no edges
    """
    if edge_ratio <= 1:
        nowhere = np.zeros(inverse_depth.shape, np.bool_)
        return DepthDiscontinuities(nowhere, nowhere)
    least = cv2.erode(inverse_depth, NEIGHBOURS)
    greatest = cv2.dilate(inverse_depth, NEIGHBOURS)
    mixed = (greatest > edge_ratio * inverse_depth) & (inverse_depth > edge_ratio * least)
    edge = greatest + TINY_INVERSE_DEPTH > edge_ratio * (least + TINY_INVERSE_DEPTH)
    return DepthDiscontinuities(mixed, edge)


def resize_nearest(values: NDArray[np.generic], width: int, height: int) -> NDArray[np.generic]:
    """Resize (h, w) of any dtype to (height, width) by the nearest pixel centre."""
    rows = ((np.arange(height) + 0.5) * (values.shape[0] / height)).astype(np.intp)
    columns = ((np.arange(width) + 0.5) * (values.shape[1] / width)).astype(np.intp)
    return values.take(columns, axis=1).take(rows, axis=0)


def upsample(
    inverse_depth: Float32Array, discontinuities: DepthDiscontinuities, width: int, height: int
) -> Float32Array:
    """Resize inverse depth (h, w) float32 to (height, width); NaN at mixed pixels."""
    known = inverse_depth
    if discontinuities.mixed.any():
        known = inverse_depth.copy()
        known[discontinuities.mixed] = np.nan
    if (height, width) == inverse_depth.shape:
        return known
    out = np.asarray(cv2.resize(inverse_depth, (width, height)), np.float32)  # bilinear
    if discontinuities.edge.any():
        at_edge = resize_nearest(discontinuities.edge, width, height)
        np.copyto(out, resize_nearest(known, width, height), where=at_edge)
    return out
