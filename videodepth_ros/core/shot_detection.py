# SPDX-License-Identifier: Apache-2.0
"""Where a recording is cut: nothing is known of one shot from another."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]

THUMBNAIL = (32, 24)
BINS = 8
"""Of a histogram, for each colour."""
UNLIKE = 0.35
"""Both dissimilarities of two frames across a cut are above it, each from 0 to 1."""
USUAL = 3.0
"""A cut changes so many times more than the frames around it: a fast camera does not."""
AROUND = 6


def find_shots(images: Sequence[Image]) -> tuple[range, ...]:
    """Return the frames of each shot of ``images``, (N, H, W, 3) uint8 RGB, in order.

    A cut changes the colours (a histogram, which moves of the camera keep) and the layout (a
    thumbnail without its brightness) at once, and the frames on both sides of it stay changed:
    the second frame after it is not like the one before it, so that a flash is no cut.
    """
    if not len(images):
        return ()
    looks = [_Look(image) for image in images]
    change = np.array([a.unlike(b) for a, b in pairwise(looks)])
    starts = [0]
    for last in np.flatnonzero(change > UNLIKE).tolist():
        around = np.delete(change[max(0, last - AROUND) : last + AROUND + 1], min(last, AROUND))
        lasting = last + 2 >= len(looks) or looks[last].unlike(looks[last + 2]) > UNLIKE
        before = last == 0 or looks[last - 1].unlike(looks[last + 1]) > UNLIKE
        usual = float(np.median(around)) if len(around) else 0.0
        if lasting and before and change[last] > USUAL * usual:
            starts.append(last + 1)
    return tuple(
        range(start, end) for start, end in zip(starts, [*starts[1:], len(looks)], strict=True)
    )


class _Look:
    """What a frame looks like: its colours, and its layout."""

    def __init__(self, image: Image) -> None:
        small = cv2.resize(np.ascontiguousarray(image), THUMBNAIL, interpolation=cv2.INTER_AREA)
        colours = cv2.calcHist([small], [0, 1, 2], None, [BINS] * 3, [0, 256] * 3)
        self.colours: Floats = np.asarray(colours / colours.sum(), np.float32)
        grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
        self.layout: Floats = cv2.GaussianBlur(grey, (5, 5), 0) - grey.mean()

    def unlike(self, other: _Look) -> float:
        """Return the lesser of two dissimilarities, 0 to 1.

        Hellinger's distance of the histograms, and half of what correlation lacks from 1.
        """
        colours = np.sqrt(max(0.0, 1 - float(np.sqrt(self.colours * other.colours).sum())))
        norm = float(np.linalg.norm(self.layout) * np.linalg.norm(other.layout))
        correlation = float((self.layout * other.layout).sum()) / norm if norm > 0 else 0.0
        return min(colours, 1 - max(correlation, 0.0))
