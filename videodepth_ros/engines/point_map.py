# SPDX-License-Identifier: Apache-2.0
"""Depth of an affine point map: its shift along the viewing axis from the pinhole model."""

from __future__ import annotations

import numpy as np

from videodepth_ros.core.arrays import Float32Array, MaskArray
from videodepth_ros.engines.options import PointMapOptions

DEFAULTS = PointMapOptions()


def depth_of_points(
    points: Float32Array, hit: MaskArray, options: PointMapOptions = DEFAULTS
) -> Float32Array:
    """Return the depth Z (H, W) float32 of a point map whose Z has an unknown shift.

    points  (H, W, 3) float32: X, Y, Z - shift of each pixel, in one unit; the camera has square
            pixels and its principal point in the centre
    hit     (H, W) bool, where there is a point; without any the shift is 0

    The shift minimises the distance between the pixels and the projections f (X, Y) / Z, with the
    focal length f that fits best for each shift (MoGe, arXiv 2410.19115, section 3.1). The first
    grid of candidates spans all shifts with positive depth; each further one refines the best.
    """
    samples, pixels = _samples(points, hit, options.samples_per_side)
    if len(samples) < 2:
        return points[..., 2]
    nearest = float(samples[:, 2].min())
    span = max(float(np.median(samples[:, 2])) - nearest, options.least_span * abs(nearest), 1e-6)
    low, high = np.log(options.least_offset * span), np.log(options.most_offset * span)
    best = low
    for _ in range(options.grids):
        logs = np.linspace(low, high, options.candidates)
        best = logs[np.argmin([_misfit(samples, pixels, np.exp(log) - nearest) for log in logs])]
        step = logs[1] - logs[0]
        low, high = best - step, best + step
    return points[..., 2] + np.float32(np.exp(best) - nearest)


def _samples(
    points: Float32Array, hit: MaskArray, per_side: int
) -> tuple[Float32Array, Float32Array]:
    """Return points (n, 3) on a grid of pixels, and these from the image's centre (n, 2) [px]."""
    height, width = hit.shape
    rows = np.unique(np.linspace(0, height - 1, per_side).astype(int))
    columns = np.unique(np.linspace(0, width - 1, per_side).astype(int))
    grid = np.ix_(rows, columns)
    x, y = np.meshgrid(columns - (width - 1) / 2, rows - (height - 1) / 2)
    chosen = points[grid]
    is_used = hit[grid] & np.isfinite(chosen).all(-1)
    return chosen[is_used], np.stack([x, y], -1).astype(np.float32)[is_used]


def _misfit(samples: Float32Array, pixels: Float32Array, shift: float) -> float:
    """Return the squared distance of pixels and projections, less that of the pixels from 0."""
    projected = samples[:, :2] / (samples[:, 2:] + shift)
    return -(float(np.sum(projected * pixels)) ** 2) / max(float(np.sum(projected**2)), 1e-30)
