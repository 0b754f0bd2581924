# SPDX-License-Identifier: Apache-2.0
"""16-bit samples as 8-bit ones."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]

BITS = (8, 10, 12, 14, 16)
"""Resolutions of cameras that send 16-bit samples [bit]."""


def to_8bit(image: NDArray[Any], bits: int = 16) -> Bytes:
    """Return uint8 samples as they are, uint16 ones as round(255 v / (2^bits - 1))."""
    if image.dtype == np.uint8:
        return image
    aligned = np.ascontiguousarray(image)  # OpenCV refuses rows of 16 bits with an odd step
    return np.asarray(cv2.convertScaleAbs(aligned, alpha=255.0 / ((1 << bits) - 1)), np.uint8)


class SampleScale:
    """Convert the 16-bit images of one camera by the bits that they use.

    Cameras of 10, 12 or 14 bits send them as the low bits of 16-bit samples. The bits only
    increase over a stream: no frame is stretched by its own content, which would flicker.
    bits  in use so far; 0 before the first 16-bit image
    """

    def __init__(self) -> None:
        self.bits = 0

    @property
    def note(self) -> str:
        """The bits in use, in words; empty if they are all."""
        if self.bits in (0, BITS[-1]):
            return ''
        return f'16-bit images use {self.bits} bits and are scaled by these'

    def __call__(self, image: NDArray[Any]) -> Bytes:
        """Return the image as uint8."""
        if image.dtype == np.uint8:
            return image
        largest = int(image.max())
        self.bits = max(self.bits, next(bits for bits in BITS if largest < 1 << bits))
        return to_8bit(image, self.bits)
