# SPDX-License-Identifier: Apache-2.0
"""Shot boundary detection: abrupt cuts by color histogram and layout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

from videodepth_ros.core.arrays import Float32Array, UInt8Array


@dataclass(frozen=True)
class ShotDetectionOptions:
    """Options of `detect_shots`."""

    # Size of the thumbnails that are compared [px].
    thumbnail: tuple[int, int] = (32, 24)
    # Histogram bins of each color channel.
    bins: int = 8
    # Least dissimilarity across a cut, of histogram and of layout alike, 0 to 1.
    min_dissimilarity: float = 0.35
    # Least ratio to the median dissimilarity nearby: fast camera motion stays below it.
    min_contrast: float = 3.0
    # Frames before and after a cut that the median is taken of.
    neighborhood: int = 6


def detect_shots(
    images: Sequence[UInt8Array], options: ShotDetectionOptions = ShotDetectionOptions()
) -> tuple[range, ...]:
    """Return the frames of each shot of ``images``, (N, H, W, 3) uint8 RGB, in order.

    A cut changes colors (histogram, invariant to camera motion) and layout (thumbnail without
    brightness) at once and for good: the second frame after a cut differs from the last one
    before it too, so that a flash is not a cut.
    """
    if not len(images):
        return ()
    frames = [_FrameSignature(image, options) for image in images]
    change = np.array([a.dissimilarity(b) for a, b in pairwise(frames)])
    limit, reach = options.min_dissimilarity, options.neighborhood
    starts = [0]
    for last in np.flatnonzero(change > limit).tolist():
        around = np.delete(change[max(0, last - reach) : last + reach + 1], min(last, reach))
        lasting = last + 2 >= len(frames) or frames[last].dissimilarity(frames[last + 2]) > limit
        before = last == 0 or frames[last - 1].dissimilarity(frames[last + 1]) > limit
        usual = float(np.median(around)) if len(around) else 0.0
        if lasting and before and change[last] > options.min_contrast * usual:
            starts.append(last + 1)
    return tuple(
        range(start, end) for start, end in zip(starts, [*starts[1:], len(frames)], strict=True)
    )


class _FrameSignature:
    """Color histogram and layout of a frame.

    colors  (bins, bins, bins) float32, sum 1
    layout  (h, w) float32, blurred gray thumbnail less its mean
    """

    def __init__(self, image: UInt8Array, options: ShotDetectionOptions) -> None:
        small = cv2.resize(
            np.ascontiguousarray(image), options.thumbnail, interpolation=cv2.INTER_AREA
        )
        colors = cv2.calcHist([small], [0, 1, 2], None, [options.bins] * 3, [0, 256] * 3)
        self.colors: Float32Array = np.asarray(colors / colors.sum(), np.float32)
        gray = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
        self.layout: Float32Array = cv2.GaussianBlur(gray, (5, 5), 0) - gray.mean()

    def dissimilarity(self, other: _FrameSignature) -> float:
        """Return the lesser of two dissimilarities, 0 to 1.

        Hellinger distance of the histograms; 1 less the correlation of the layouts.
        """
        colors = np.sqrt(max(0.0, 1 - float(np.sqrt(self.colors * other.colors).sum())))
        norm = float(np.linalg.norm(self.layout) * np.linalg.norm(other.layout))
        correlation = float((self.layout * other.layout).sum()) / norm if norm > 0 else 0.0
        return min(colors, 1 - max(correlation, 0.0))
