# SPDX-License-Identifier: Apache-2.0
"""Frames that show nothing, black or of one color: no network can see their depth."""

from __future__ import annotations

import cv2
import numpy as np

from videodepth_ros.core.arrays import MaskArray, UInt8Array
from videodepth_ros.core.errors import InputError
from videodepth_ros.refine.options import BLANK, BlankOptions
from videodepth_ros.sfm.odometry import name_frames


def find_blank_frames(images: UInt8Array, options: BlankOptions = BLANK) -> MaskArray:
    """Return which images (N, H, W, 3) uint8 RGB have no contrast beyond noise, (N,) bool.

    Pixel noise vanishes in the mean of a cell; a lamp in the dark, and shading, remain.

    raises  InputError where all are blank
    """
    is_blank = np.array([_spread(image, options) < options.max_spread for image in images])
    if is_blank.all():
        raise InputError(
            f'all {len(images)} images are black or without texture: there is no depth to '
            'estimate; choose other frames, or --prior bag if the recording holds depth'
        )
    return is_blank


def blank_notes(is_blank: MaskArray) -> tuple[str, ...]:
    """Return a note on the blank frames, (N,) bool."""
    if not is_blank.any():
        return ()
    return (
        f'nothing is visible at {name_frames(np.flatnonzero(is_blank))}: the images are black or '
        'without texture; their depth is unknown (NaN)',
    )


def _spread(image: UInt8Array, options: BlankOptions) -> float:
    """Return the difference of the brightest and the darkest cell of an image, 0 to 255."""
    cells = cv2.resize(image, options.cells, interpolation=cv2.INTER_AREA)
    return float(np.ptp(cells.astype(np.float32), axis=(0, 1)).max())
