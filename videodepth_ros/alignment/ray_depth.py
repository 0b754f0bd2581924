# SPDX-License-Identifier: Apache-2.0
"""Depth of every pixel when the cameras stand: a weighted median along its ray.

With y = u k + q, q orthogonal to the ray k, one point map says |d k - y|^2 = |k|^2 (d - u)^2 +
|q|^2. The sum of such norms over the point maps is convex in d, and re-weighting (Weiszfeld,
Tohoku Math. J. 43, 1937) descends it in a few passes over (M, P) arrays.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

TINY = 1e-12
AGREES = 0.05
FLOOR = 1e-5
"""Smallest distance, against the depth, that a weight tells from zero."""


def squared_norm_floor(depth: Array) -> Array:
    """Return what is added to a squared distance at ``depth``, so that its inverse is finite."""
    square: Array = np.square(np.float32(FLOOR) * depth) + np.float32(TINY**2)
    return square


def weiszfeld_depth(
    rays: Array, seen: Array, weight: Array, passes: int, start: Array | None = None
) -> Array:
    """Return the depths (P,) float32 with the least weighted sum of distances to the points.

    rays    (3, P) float32, third row 1
    seen    (M, 3, P) float32, points in the camera; weight (M, P) float32
    start   (P,) float32, depths to start from; the weighted mean where None
    Pixels of no weight keep their start, or get NaN.
    """
    square = np.einsum('dp,dp->p', rays, rays)
    along = np.einsum('dp,mdp->mp', rays, seen) / square
    across = seen - along[:, None] * rays
    off_ray = np.einsum('mdp,mdp->mp', across, across) + squared_norm_floor(along)
    depth = start
    for _ in range(passes):
        if depth is None:
            gain = weight
        else:
            gain = weight / np.sqrt(square * np.square(depth - along) + off_ray)
        total = gain.sum(axis=0)
        mean = np.einsum('mp,mp->p', gain, along) / np.maximum(total, np.float32(TINY))
        unknown = np.nan if depth is None else depth
        depth = np.where(total > 0, mean, unknown).astype(np.float32)
    assert depth is not None
    return depth


def depth_confidence(depth: Array, rays: Array, seen: Array, weight: Array) -> Array:
    """Return how far a depth can be trusted, (P,) float32 in [0, 1]: the point maps' mean say.

    depth   (P,) float32; rays, seen and weight as for `weiszfeld_depth`
    A point map of confidence C, whose weight is log C, says 1 - 1 / C where its point is no
    further away than `AGREES` of the depth, and 0 elsewhere.
    """
    with np.errstate(invalid='ignore'):  # an unknown depth has no point near it
        away = seen - depth * rays
        near = np.einsum('mdp,mdp->mp', away, away) <= np.square(np.float32(AGREES) * depth)
    said: Array = np.where(near, -np.expm1(-weight), np.float32(0)).mean(axis=0)
    return said
