# SPDX-License-Identifier: Apache-2.0
"""Rounds of bundle adjustment, between which outliers leave and the noise is learned.

How far the depth prior is to be believed is read off its own errors: against points that enough
parallax has placed without it. A depth camera so keeps its say, and a network that bends whole
scenes loses it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.geometry.robust import mad_sigma
from videodepth_ros.sfm.bundle_adjustment import Bundle
from videodepth_ros.sfm.reprojection import Noise, Scene, Sightings, by_pixels_alone, residuals

Array = NDArray[np.float64]
Indices = NDArray[np.intp]
Mask = NDArray[np.bool_]

ITERATIONS = (12, 12, 20)
OUTLIER = 4.0
LEAST_PIXEL, LEAST_DEPTH, LEAST_SCALE = 0.15, 0.005, 0.003
MOST_DEPTH = 0.5
MEASURED_DEPTH = 0.03
"""Error of a log depth that was measured, before more is known."""
TOGETHER, MOST_TOGETHER = 0.8, 0.06
"""A prior is a measurement if its log depths are wrong by less than this in that share of the
parts of frames, each by the median of its points. It is not bent then, and frames have one scale.
On the reference sequences depth cameras have 0.01 to 0.04, the bundled network 0.09 to 0.25."""
PARTS = (4, 3)
FEWEST_IN_PART, FEWEST_PARTS = 6, 12
PLACED = 0.1
"""Standard deviation of a log depth below which parallax has placed a point."""
FEWEST = 50


@dataclass(frozen=True)
class Adjusted:
    """Cameras and points of a recording.

    seen   the sightings that agree with them
    spread (M,) standard deviation of each point's log depth by parallax alone
    """

    seen: Sightings
    scene: Scene
    noise: Noise
    spread: Array


def adjusted(seen: Sightings, scene: Scene, noise: Noise, group: int) -> Adjusted:
    """Adjust in rounds from a first ``scene``.

    noise  what is believed of pixels and, if it is not found to be a measurement, of the prior;
           group: frames that a track spans at most
    """
    first = replace(noise, depth=MEASURED_DEPTH, scale=LEAST_SCALE, measured=True)
    tried = Bundle(seen, group).adjusted(scene, first, ITERATIONS[0])
    if _learned(seen, tried, first).measured:
        noise, scene = first, tried
    return in_rounds(seen, scene, noise, group, ITERATIONS)


def in_rounds(
    seen: Sightings, scene: Scene, noise: Noise, group: int, rounds: Sequence[int]
) -> Adjusted:
    """Adjust so many times, with as many iterations each; as for `adjusted`."""
    for iterations in rounds:
        scene = Bundle(seen, group).adjusted(scene, noise, iterations)
        noise = _learned(seen, scene, noise)
        seen, scene = _without_outliers(seen, scene, noise)
    return Adjusted(seen, scene, noise, by_pixels_alone(seen, scene, noise)[1])


def _learned(seen: Sightings, scene: Scene, noise: Noise) -> Noise:
    """Return the noise as the errors show it."""
    errors, own = residuals(seen, scene, noise), seen.frame == seen.host
    pixel = noise.pixel
    if np.count_nonzero(~own) >= FEWEST:
        pixel *= mad_sigma(errors.pixel[~own])
    step, spread = (values[seen.track] for values in by_pixels_alone(seen, scene, noise))
    placed = (spread < PLACED) & ~np.isnan(seen.log_depth)
    depth, measured = noise.depth, False
    if np.count_nonzero(placed) >= FEWEST:
        error = noise.depth * errors.depth[placed] - step[placed]
        wide = mad_sigma(error)
        depth = float(np.sqrt(max(wide**2 - np.median(spread[placed]) ** 2, 0.0)))
        depth = float(np.clip(depth, LEAST_DEPTH, MOST_DEPTH))
        measured = _together(seen.frame[placed], seen.offset[placed], error) < MOST_TOGETHER
    return replace(
        noise,
        pixel=max(pixel, LEAST_PIXEL),
        depth=depth,
        measured=measured,
        scale=LEAST_SCALE if measured else depth,
    )


def _together(frame: Indices, offset: Array, error: Array) -> float:
    """Return how far errors (K,) go together in parts of frames; infinite where there are few."""
    reach = np.abs(offset).max(axis=0) + 1e-9
    column, row = np.minimum((offset / reach + 1) / 2 * PARTS, np.array(PARTS) - 1).astype(int).T
    part = (frame * PARTS[1] + row) * PARTS[0] + column
    order = np.argsort(part, kind='stable')
    parts = np.split(error[order], np.flatnonzero(np.diff(part[order])) + 1)
    medians = [np.median(one) for one in parts if len(one) >= FEWEST_IN_PART]
    if len(medians) < FEWEST_PARTS:
        return np.inf
    return float(np.quantile(np.abs(medians), TOGETHER))


def _without_outliers(seen: Sightings, scene: Scene, noise: Noise) -> tuple[Sightings, Scene]:
    """Leave out sightings far from where they should be, and tracks of which one is left."""
    error = np.linalg.norm(residuals(seen, scene, noise).pixel, axis=1)
    good = error < OUTLIER
    others = np.add.reduceat((good & (seen.frame != seen.host)).astype(int), seen.first)
    kept = good & (others > 0)[seen.track]
    return seen.among(kept), replace(scene, log_inverse=scene.log_inverse[others > 0])
