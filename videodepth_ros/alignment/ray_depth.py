# SPDX-License-Identifier: Apache-2.0
"""Depth of every pixel at fixed cameras: a weighted geometric median along its ray.

With y = u k + q, q orthogonal to the ray k, the distance to a point y is |d k - y|^2 = |k|^2
(d - u)^2 + |q|^2. The sum of such distances over the point maps is convex in d, and Weiszfeld
iterations (Tohoku Math. J. 43, 1937) descend it in a few passes over (M, P) arrays.
"""

from __future__ import annotations

import numpy as np

from videodepth_ros.alignment.options import PUBLISHED_OPTIONS
from videodepth_ros.core.arrays import Float32Array

MIN_WEIGHT = 1e-12
"""Keeps divisions by a sum of weights finite."""
NORM_FLOOR = 1e-5
"""Least distance of a residual, against the depth: keeps re-weighting finite."""


def squared_norm_floor(depth: Float32Array) -> Float32Array:
    """Return the term added to a squared distance at ``depth``, so that its inverse is finite."""
    square: Float32Array = np.square(np.float32(NORM_FLOOR) * depth) + np.float32(MIN_WEIGHT**2)
    return square


def weiszfeld_depth(
    rays: Float32Array,
    points: Float32Array,
    weight: Float32Array,
    iterations: int,
    initial: Float32Array | None = None,
) -> Float32Array:
    """Return the depths (P,) float32 of the least weighted sum of distances to the points.

    rays     (3, P) float32, third row 1
    points   (M, 3, P) float32, in the camera; weight (M, P) float32
    initial  (P,) float32, depths to start from; None: the weighted mean
    Pixels of no weight keep their initial depth, or get NaN.
    """
    square = np.einsum('dp,dp->p', rays, rays)
    along = np.einsum('dp,mdp->mp', rays, points) / square
    across = points - along[:, None] * rays
    off_ray = np.einsum('mdp,mdp->mp', across, across) + squared_norm_floor(along)
    depth = initial
    for _ in range(iterations):
        if depth is None:
            gain = weight
        else:
            gain = weight / np.sqrt(square * np.square(depth - along) + off_ray)
        total = gain.sum(axis=0)
        mean = np.einsum('mp,mp->p', gain, along) / np.maximum(total, np.float32(MIN_WEIGHT))
        unknown = np.nan if depth is None else depth
        depth = np.where(total > 0, mean, unknown).astype(np.float32)
    assert depth is not None
    return depth


def depth_confidence(
    depth: Float32Array,
    rays: Float32Array,
    points: Float32Array,
    weight: Float32Array,
    support_ratio: float = PUBLISHED_OPTIONS.ray_depth.support_ratio,
) -> Float32Array:
    """Return the confidence of a depth, (P,) float32 in [0, 1]: mean support by the point maps.

    depth          (P,) float32; rays, points and weight as for `weiszfeld_depth`
    support_ratio  a point map supports the depth within this distance [share of depth]
    A point map of confidence C, whose weight is log C, contributes 1 - 1 / C, or 0 without
    support.
    """
    with np.errstate(invalid='ignore'):  # an unknown depth has no support
        offset = points - depth * rays
        near = np.einsum('mdp,mdp->mp', offset, offset) <= np.square(
            np.float32(support_ratio) * depth
        )
    support: Float32Array = np.where(near, -np.expm1(-weight), np.float32(0)).mean(axis=0)
    return support
