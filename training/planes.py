# SPDX-License-Identifier: Apache-2.0
"""How flat planes are: what a fitted plane leaves of the depth where the truth is one.

The inverse depth of a plane is linear in the pixel. So tiles of the image are planes where the
true inverse depth is linear, and a prediction is as flat there as its own is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from videodepth_ros.evaluation.depth import DepthPair

Array = NDArray[np.float32]
SIZE_PX = 256, 192
TILE_PX = 64, 48
TRUE_RMS = 0.005
"""The truth of a tile is a plane where a fitted one leaves less, as a share of depth."""


def plane_rms(pairs: Sequence[DepthPair]) -> float:
    """Return the median over plane tiles of the RMS of the fit, a share of depth; NaN of none."""
    errors = [
        fit_rms(predicted)
        for pair in pairs
        for truth, predicted in zip(tiles(pair.truth_m), tiles(pair.predicted_m), strict=True)
        if (np.isfinite(truth) & (truth > 0)).all() and fit_rms(truth) < TRUE_RMS
    ]
    return float(np.median(errors)) if errors else np.nan


def tiles(depth_m: Array) -> Iterator[Array]:
    """Yield the tiles of a depth map (H, W), brought to one size by its nearest pixels."""
    shown = cv2.resize(depth_m, SIZE_PX, interpolation=cv2.INTER_NEAREST_EXACT)
    width, height = TILE_PX
    for top in range(0, SIZE_PX[1], height):
        for left in range(0, SIZE_PX[0], width):
            yield shown[top : top + height, left : left + width]


def fit_rms(depth_m: Array) -> float:
    """Return the RMS of inverse depth (h, w) about its linear fit, relative to its mean."""
    inverse = (1 / np.maximum(depth_m, 1e-6)).astype(np.float64)
    rows, columns = np.indices(inverse.shape)
    base = np.stack((rows, columns, np.ones_like(rows)), axis=-1).reshape(-1, 3).astype(np.float64)
    fitted, *_ = np.linalg.lstsq(base, inverse.ravel(), rcond=None)
    residual = inverse.ravel() - base @ fitted
    return float(np.sqrt(np.mean(residual**2)) / max(inverse.mean(), 1e-9))
