# SPDX-License-Identifier: Apache-2.0
"""Uncertainty of the motion from frame to frame, from the residuals of the bundle adjustment."""

from __future__ import annotations

import numpy as np

from videodepth_ros.core.arrays import Float64Array
from videodepth_ros.geometry.trajectory import StepSigmas
from videodepth_ros.sfm.reconstruction import Reconstruction

INFLATION = 8.0
"""Ratio of the errors of steps to what independent points would give: rotation and translation are
coupled, and points that are near each other err alike. Measured on a synthetic living room, over
1 to 30 steps, of which the errors grow as those of a random walk."""


def step_sigmas(found: Reconstruction, depth_m: Float64Array) -> StepSigmas:
    """Return standard deviations of the motion into each frame.

    depth_m  (N,) float64, median depth of each frame [m]

    P independent points with residuals of ``sigma`` radians fix a rotation to sigma / sqrt(P), and
    a translation to that times their depth; see `INFLATION`.
    """
    sigma_rad = found.reprojection_sigma * found.camera.width / found.camera.fx
    points = np.maximum(found.tracked_points, 1).astype(np.float64)
    points[0] = points[1:].max(initial=1.0)
    rotation_rad = INFLATION * sigma_rad / np.sqrt(points)
    return StepSigmas(rotation_rad * depth_m, rotation_rad)
