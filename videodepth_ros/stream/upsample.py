# SPDX-License-Identifier: Apache-2.0
"""From the network's size to the camera's, without inventing surfaces between two surfaces.

On one surface inverse depth is interpolated linearly, which is exact on planes: their inverse
depth is affine in the pixel. Across a jump the nearest value is taken, for a mean of near and far
is a point in mid-air. A network blurs its own edges too; what hangs between the two sides of a
jump in the network's answer is unknown.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from videodepth_ros.stream.scale import TINY_INVERSE_DEPTH

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

NEIGHBOURS = np.ones((3, 3), np.uint8)


@dataclass(frozen=True)
class DepthDiscontinuities:
    """How an inverse depth map varies from each pixel to its eight neighbours.

    smoothness  (h, w) float32 in (0, 1], least over greatest inverse depth there: 1 on a wall
    between     (h, w) bool, neither on the near nor on the far side of a jump but in between
    jump        (h, w) bool, some neighbour belongs to another surface
    """

    smoothness: Array
    between: Mask
    jump: Mask


def find_discontinuities(inverse_depth: Array, edge_ratio: float) -> DepthDiscontinuities:
    """Find the jumps of a map (h, w) float32, finite and >= 0.

    edge_ratio  neighbouring depths whose ratio exceeds this belong to two surfaces; 1: none do
    """
    least = cv2.erode(inverse_depth, NEIGHBOURS)
    greatest = cv2.dilate(inverse_depth, NEIGHBOURS)
    smoothness = np.divide(
        least + TINY_INVERSE_DEPTH, greatest + TINY_INVERSE_DEPTH, dtype=np.float32
    )
    if edge_ratio <= 1:
        nowhere = np.zeros(inverse_depth.shape, np.bool_)
        return DepthDiscontinuities(smoothness, nowhere, nowhere)
    between = (greatest > edge_ratio * inverse_depth) & (inverse_depth > edge_ratio * least)
    return DepthDiscontinuities(smoothness, between, smoothness * edge_ratio < 1)


def resize_nearest(values: NDArray[np.generic], width: int, height: int) -> NDArray[np.generic]:
    """Resize (h, w) to (height, width) by the nearest pixel centre, any dtype."""
    rows = ((np.arange(height) + 0.5) * (values.shape[0] / height)).astype(np.intp)
    columns = ((np.arange(width) + 0.5) * (values.shape[1] / width)).astype(np.intp)
    return values.take(columns, axis=1).take(rows, axis=0)


def upsample(inverse_depth: Array, jumps: DepthDiscontinuities, width: int, height: int) -> Array:
    """Resize inverse depth (h, w) float32 to (height, width), NaN between two surfaces."""
    known = inverse_depth
    if jumps.between.any():
        known = inverse_depth.copy()
        known[jumps.between] = np.nan
    if (height, width) == inverse_depth.shape:
        return known
    out = np.asarray(cv2.resize(inverse_depth, (width, height)), np.float32)  # bilinear
    if jumps.jump.any():
        at_jump = resize_nearest(jumps.jump, width, height)
        np.copyto(out, resize_nearest(known, width, height), where=at_jump)
    return out


def confidence_map(jumps: DepthDiscontinuities, inverse_depth: Array) -> Array:
    """Return how far a depth can be trusted, at the size of ``inverse_depth`` (H, W) float32.

    It is the smoothness of the network's answer: 1 on a wall, low at a jump, where the place of
    the edge is uncertain by a pixel, and 0 where ``inverse_depth`` is NaN. It is a heuristic that
    orders pixels, not a probability: nothing here measures how wrong the network is on a wall.
    """
    height, width = inverse_depth.shape
    trust = resize_nearest(jumps.smoothness, width, height).astype(np.float32, copy=False)
    if jumps.between.any():
        trust[np.isnan(inverse_depth)] = 0
    return trust
