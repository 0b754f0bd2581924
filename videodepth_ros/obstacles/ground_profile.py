# SPDX-License-Identifier: Apache-2.0
"""Height of the ground about a plane, by sector of the view and distance.

The ground is followed outwards, ring by ring, from the plane below the camera: the next ring's is
the median of the heights that a slope reaches from the last one. The top of a box is a step, which
no slope reaches, and the ground below it stays.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from videodepth_ros.core.arrays import Float32Array, Float64Array
from videodepth_ros.obstacles.options import GroundProfileOptions


def ground_profile(
    points_m: Float32Array, max_range_m: float, max_across: float, options: GroundProfileOptions
) -> Float32Array:
    """Return the height of the ground, (sectors, rings) float32, in metres.

    points_m     (H, W, 3) float32 in a frame on the ground: x ahead, y left, z up; may be NaN
    max_range_m  of the last ring along x
    max_across   |y / x| at the border of the view
    """
    rings = math.ceil(max_range_m / options.ring_m)
    bins = 2 * round(options.extent_m / options.bin_m)
    counts = np.zeros((options.sectors, rings, bins), np.int32)
    _count(points_m, max_across, options.ring_m, options.bin_m, counts)
    return np.asarray(
        _follow(
            counts,
            options.bin_m,
            options.max_slope * options.ring_m,
            options.tolerance_m,
            options.min_points,
        )
    )


@njit(cache=True, nogil=True)
def _count(points, max_across, ring_m, bin_m, counts):  # type: ignore[no-untyped-def]
    """Count the heights of each ring of each sector."""
    sectors, rings, bins = counts.shape
    for row in range(points.shape[0]):
        for column in range(points.shape[1]):
            x, y, z = points[row, column]
            if not (x > 0.0 and x < rings * ring_m):  # NaN too
                continue
            level = math.floor(z / bin_m) + bins // 2
            sector = int((y / x / max_across + 1.0) / 2.0 * sectors)
            if 0 <= level < bins and 0 <= sector < sectors:
                counts[sector, int(x / ring_m), level] += 1


@njit(cache=True, nogil=True)
def _follow(counts, bin_m, rise_m, tolerance_m, min_points):  # type: ignore[no-untyped-def]
    """Follow the ground of each sector outwards."""
    sectors, rings, bins = counts.shape
    ground = np.zeros((sectors, rings), np.float32)
    for sector in range(sectors):
        height, unseen = 0.0, 1
        for ring in range(rings):
            reach = min(unseen, 4) * rise_m + tolerance_m
            low = max(0, math.floor((height - reach) / bin_m) + bins // 2)
            high = min(bins, math.floor((height + reach) / bin_m) + bins // 2 + 1)
            total = 0
            for level in range(low, high):
                total += counts[sector, ring, level]
            if total >= min_points:
                below = 0
                for level in range(low, high):
                    below += counts[sector, ring, level]
                    if 2 * below >= total:
                        height = (level - bins // 2 + 0.5) * bin_m
                        break
                unseen = 1
            else:
                unseen += 1
            ground[sector, ring] = height
    return ground


def height_above(
    points_m: Float32Array, ground_m: Float32Array, max_across: float, ring_m: float
) -> Float32Array:
    """Return the heights (H, W) float32 of points (H, W, 3) above a profile; NaN of NaN."""
    heights: Float32Array = np.empty(points_m.shape[:2], np.float32)
    _subtract(points_m, ground_m, max_across, ring_m, heights)
    return heights


@njit(cache=True, nogil=True)
def _subtract(points, ground, max_across, ring_m, heights):  # type: ignore[no-untyped-def]
    """Subtract the ground, linear in distance between the middles of rings."""
    sectors, rings = ground.shape
    for row in range(points.shape[0]):
        for column in range(points.shape[1]):
            x, y, z = points[row, column]
            if not (x > 0.0 and x < np.inf):
                heights[row, column] = np.nan
                continue
            sector = int((y / x / max_across + 1.0) / 2.0 * sectors)
            sector = min(max(sector, 0), sectors - 1)
            place = min(max(x / ring_m - 0.5, 0.0), rings - 1.0)
            near = int(place)
            share = place - near
            far = min(near + 1, rings - 1)
            level = (1.0 - share) * ground[sector, near] + share * ground[sector, far]
            heights[row, column] = z - level


def max_across_of(points_ahead: Float64Array) -> float:
    """Return the greatest |y / x| of rays (N, 3) in a frame on the ground, at most 3."""
    ahead = points_ahead[points_ahead[:, 0] > 0.05]
    if not len(ahead):
        return 3.0
    return float(np.clip(np.abs(ahead[:, 1] / ahead[:, 0]).max() * 1.001, 0.05, 3.0))
