# SPDX-License-Identifier: Apache-2.0
"""Masks of pixels: what moves by itself, where flow is not what the camera makes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.geometry.camera import Intrinsics, backproject

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

THRESHOLD = 0.35
NOISE_PX = 3.0


def ego_flow(
    depth: Array, camera: Intrinsics, T_other_cam: NDArray[np.float64], other: Intrinsics
) -> Array:
    """Return how the pixels of a still scene move into another view.

    depth (h, w) float32; T_other_cam (4, 4) float64 in the same unit
    returns  (h, w, 2) float32, pixels; NaN where the scene is behind the other camera
    """
    moved = T_other_cam.astype(np.float32)
    points = backproject(depth, camera) @ moved[:3, :3].T + moved[:3, 3]
    z = np.where(points[..., 2] > 0, points[..., 2], np.float32(np.nan))
    columns = points[..., 0] / z * np.float32(other.fx) + np.float32(other.cx)
    rows = points[..., 1] / z * np.float32(other.fy) + np.float32(other.cy)
    here_y, here_x = np.mgrid[: depth.shape[0], : depth.shape[1]].astype(np.float32)
    return np.stack([columns - here_x, rows - here_y], axis=-1)


def moving(errors_px: Sequence[Array]) -> Mask:
    """Return the pixels of one frame that move by themselves, (h, w) bool.

    errors_px  of each flow that leaves the frame, (h, w) float32: length of what the camera's
               motion does not explain, pixels; NaN unknown
    MonST3R (arXiv 2410.03825, section 3.3) divides each map by its own range and thresholds the
    mean. A range below ``NOISE_PX`` is that of noise: in a still scene nothing moves.
    """
    shares = []
    for error in errors_px:
        known = np.where(np.isfinite(error), error, 0)
        shares.append((known - known.min()) / max(float(np.ptp(known)), NOISE_PX))
    mask: Mask = np.mean(shares, axis=0) > THRESHOLD
    return mask
