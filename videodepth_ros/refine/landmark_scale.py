# SPDX-License-Identifier: Apache-2.0
"""Scale of a reconstruction by measured depth beside its landmarks.

A prior corrected by landmarks is right at these, and as wrong as the network between them: sparse
returns of a lidar that fall elsewhere would measure the network.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from videodepth_ros.core.arrays import Float32Array, Float64Array, IndexArray
from videodepth_ros.geometry.camera import Intrinsics, project_to_pixels
from videodepth_ros.refine.options import LIDAR, LidarOptions
from videodepth_ros.sfm.depth_correction import Landmarks


def landmark_scale(
    measured_m: Float32Array,
    landmarks: Landmarks,
    T_world_cam: Float64Array,
    cameras: Sequence[Intrinsics],
    options: LidarOptions = LIDAR,
) -> float:
    """Return metres per unit of a reconstruction; NaN where too few returns are near landmarks.

    measured_m   (N, h, w) float32, NaN where nothing is measured
    T_world_cam  (N, 4, 4) in the unit of the reconstruction; cameras at (h, w)
    """
    ratios = [np.empty(0)]
    for frame, depth_m in enumerate(measured_m):
        seen = (landmarks.first <= frame) & (landmarks.last >= frame)
        seen &= landmarks.log_depth_sigma < options.max_landmark_sigma
        T = T_world_cam[frame]
        points = np.einsum('pi,ij->pj', landmarks.world[seen] - T[:3, 3], T[:3, :3])
        rows, columns, z = project_to_pixels(points, cameras[frame], 0.0)
        nearby = _nearby_depth(depth_m, rows, columns, options)
        known = np.isfinite(nearby)
        ratios.append(np.log(nearby[known] / z[known]))
    all_ratios = np.concatenate(ratios)
    if len(all_ratios) < options.min_landmarks:
        return float('nan')
    return float(np.exp(np.median(all_ratios)))


def _nearby_depth(
    depth_m: Float32Array, rows: IndexArray, columns: IndexArray, options: LidarOptions
) -> Float64Array:
    """Return the median of the returns around each pixel, (P,); rows and columns (P,).

    NaN where there is none, or where they lie on several surfaces.
    """
    reach = options.landmark_reach_px
    padded = np.pad(depth_m, reach, constant_values=np.nan)
    offsets = np.arange(2 * reach + 1)
    near_rows, near_columns = rows[:, None] + offsets, columns[:, None] + offsets
    window = padded[near_rows[:, :, None], near_columns[:, None, :]]
    window = window.reshape(len(rows), offsets.size**2)
    found = np.full(len(rows), np.nan)
    hit = np.isfinite(window).any(axis=1)
    least, most = np.nanmin(window[hit], axis=1), np.nanmax(window[hit], axis=1)
    one_surface = most < options.max_surface_ratio * least
    found[hit] = np.where(one_surface, np.nanmedian(window[hit], axis=1), np.nan)
    return found
