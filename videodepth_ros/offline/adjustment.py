# SPDX-License-Identifier: Apache-2.0
"""Rounds of bundle adjustment, between which outliers leave and the noise is learned.

How far the depth prior is to be believed is read off its own errors: against points that enough
parallax has placed without it. A depth camera so keeps its say, and a network that bends whole
scenes loses it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.offline.bundle import Bundle
from videodepth_ros.offline.reprojection import (
    Noise,
    Scene,
    Sightings,
    pixel_curvature,
    residuals,
)

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

ITERATIONS = (12, 12, 20)
NORMAL = 1.4826
"""Standard deviation of a normal distribution whose median deviation is 1."""
OUTLIER = 4.0
LEAST_PIXEL, LEAST_DEPTH, LEAST_SCALE = 0.15, 0.005, 0.003
MOST_DEPTH = 0.5
MEASURED = 0.08
"""A prior whose log depths err by less is a measurement: it is not bent, frames have one scale,
and every depth counts for itself. Networks err by more, and together."""
NETWORK_SHARE = 0.05
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

    noise  what is believed at first; group: frames that a track spans at most
    """
    for iterations in ITERATIONS:
        scene = Bundle(seen, group).adjusted(scene, noise, iterations)
        noise = _learned(seen, scene, noise)
        seen, scene = _without_outliers(seen, scene, noise)
    return Adjusted(seen, scene, noise, 1 / np.sqrt(pixel_curvature(seen, scene, noise) + 1e-9))


def _learned(seen: Sightings, scene: Scene, noise: Noise) -> Noise:
    """Return the noise as the errors show it."""
    errors, own = residuals(seen, scene, noise), seen.frame == seen.host
    pixel = noise.pixel
    if np.count_nonzero(~own) >= FEWEST:
        pixel *= NORMAL * float(np.median(np.abs(errors.pixel[~own])))
    spread = 1 / np.sqrt(pixel_curvature(seen, scene, noise) + 1e-9)
    placed = (spread < PLACED)[seen.track] & ~np.isnan(seen.log_depth)
    depth = noise.depth
    if np.count_nonzero(placed) >= FEWEST:
        error = noise.depth * errors.depth[placed]
        wide = NORMAL * float(np.median(np.abs(error)))
        own_share = float(np.median(spread[seen.track[placed]]))
        depth = np.sqrt(max(wide**2 - own_share**2, 0.0))
    depth = float(np.clip(depth, LEAST_DEPTH, MOST_DEPTH))
    measured = depth < MEASURED
    return replace(noise, pixel=max(pixel, LEAST_PIXEL), depth=depth,
                   scale=LEAST_SCALE if measured else depth,
                   share=1.0 if measured else NETWORK_SHARE)


def _without_outliers(seen: Sightings, scene: Scene, noise: Noise) -> tuple[Sightings, Scene]:
    """Leave out sightings far from where they should be, and tracks of which one is left."""
    error = np.linalg.norm(residuals(seen, scene, noise).pixel, axis=1)
    good = error < OUTLIER
    others = np.add.reduceat((good & (seen.frame != seen.host)).astype(int), seen.first)
    kept = good & (others > 0)[seen.track]
    return seen.among(kept), replace(scene, log_inverse=scene.log_inverse[others > 0])
