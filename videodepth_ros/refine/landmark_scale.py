# SPDX-License-Identifier: Apache-2.0
"""Scale of a reconstruction by measured depth beside its landmarks.

A prior corrected by landmarks is right at these, and as wrong as the network between them: sparse
returns of a lidar that fall elsewhere would measure the network.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from videodepth_ros.core.arrays import Float32Array, Float64Array, IndexArray
from videodepth_ros.geometry.camera import Intrinsics
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
        pixel, z = _project(landmarks.world[seen], T_world_cam[frame], cameras[frame])
        nearby = _nearby_depth(depth_m, pixel, options)
        known = np.isfinite(nearby)
        ratios.append(np.log(nearby[known] / z[known]))
    all_ratios = np.concatenate(ratios)
    if len(all_ratios) < options.min_landmarks:
        return float('nan')
    return float(np.exp(np.median(all_ratios)))


def _project(
    world: Float64Array, T_world_cam: Float64Array, camera: Intrinsics
) -> tuple[IndexArray, Float64Array]:
    """Return the pixels (P, 2), row and column, and depths (P,) of points within the image."""
    points = np.einsum('pi,ij->pj', world - T_world_cam[:3, 3], T_world_cam[:3, :3])
    x, y, z = points[points[:, 2] > 0].T
    row = np.rint(y / z * camera.fy + camera.cy)
    column = np.rint(x / z * camera.fx + camera.cx)
    inside = (row >= 0) & (row < camera.height) & (column >= 0) & (column < camera.width)
    return np.stack([row, column], axis=1)[inside].astype(np.intp), z[inside]


def _nearby_depth(depth_m: Float32Array, pixel: IndexArray, options: LidarOptions) -> Float64Array:
    """Return the median of the returns around each pixel (P, 2), row and column.

    NaN where there is none, or where they lie on several surfaces.
    """
    reach = options.landmark_reach_px
    padded = np.pad(depth_m, reach, constant_values=np.nan)
    offsets = np.arange(2 * reach + 1)
    rows, columns = pixel[:, :1] + offsets, pixel[:, 1:] + offsets
    window = padded[rows[:, :, None], columns[:, None, :]].reshape(len(pixel), offsets.size**2)
    found = np.full(len(pixel), np.nan)
    hit = np.isfinite(window).any(axis=1)
    least, most = np.nanmin(window[hit], axis=1), np.nanmax(window[hit], axis=1)
    one_surface = most < options.max_surface_ratio * least
    found[hit] = np.where(one_surface, np.nanmedian(window[hit], axis=1), np.nan)
    return found
