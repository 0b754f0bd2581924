# SPDX-License-Identifier: Apache-2.0
"""Ego-motion flow, and masks of independently moving pixels (MonST3R, arXiv 2410.03825)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from videodepth_ros.core.arrays import Float32Array, Float64Array, MaskArray
from videodepth_ros.geometry.camera import Intrinsics, backproject


@dataclass(frozen=True)
class MotionMaskOptions:
    """Options of `segment_motion`."""

    # Normalized flow error above which a pixel moves (MonST3R, section 3.3).
    threshold: float = 0.35
    # Least range that an error map is divided by [px]: below it the range is that of noise.
    min_range_px: float = 3.0


def ego_flow(
    depth: Float32Array, camera: Intrinsics, T_other_cam: Float64Array, other: Intrinsics
) -> Float32Array:
    """Return the optical flow of a static scene caused by camera motion.

    depth        (h, w) float32, Z
    T_other_cam  (4, 4) float64, in the unit of ``depth``
    returns      (h, w, 2) float32, pixels; NaN where the scene is behind the other camera
    """
    T = T_other_cam.astype(np.float32)
    points = backproject(depth, camera) @ T[:3, :3].T + T[:3, 3]
    z = np.where(points[..., 2] > 0, points[..., 2], np.float32(np.nan))
    columns = points[..., 0] / z * np.float32(other.fx) + np.float32(other.cx)
    rows = points[..., 1] / z * np.float32(other.fy) + np.float32(other.cy)
    from_y, from_x = np.mgrid[: depth.shape[0], : depth.shape[1]].astype(np.float32)
    return np.stack([columns - from_x, rows - from_y], axis=-1)


def segment_motion(
    errors_px: Sequence[Float32Array], options: MotionMaskOptions = MotionMaskOptions()
) -> MaskArray:
    """Return the pixels of one frame that move independently of the camera, (h, w) bool.

    errors_px  one map (h, w) float32 for each flow from the frame: length of its difference to
               `ego_flow`, pixels; NaN unknown
    MonST3R (section 3.3) divides each map by its own range and thresholds the mean.
    """
    shares = []
    for error in errors_px:
        known = np.where(np.isfinite(error), error, 0)
        shares.append((known - known.min()) / max(float(np.ptp(known)), options.min_range_px))
    mask: MaskArray = np.mean(shares, axis=0) > options.threshold
    return mask
