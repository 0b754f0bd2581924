# SPDX-License-Identifier: Apache-2.0
"""Points followed from frame to frame through a recording.

Corners (Shi and Tomasi, CVPR 1994) are followed by pyramidal Lucas-Kanade and kept while the way
back ends where it began (Kalal et al., ICPR 2010). Wherever none is left, new ones are sought.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Indices = NDArray[np.intp]
Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Images = Sequence[Image] | Image

WINDOW_PX = 13
LEVELS = 4
CONTRAST = 3.0
BACK_PX, BACK_SHARE = 0.4, 1 / 800
"""How far from its start a point may come out on the way back: pixels, or of the width if more."""
SPACING_SHARE = 1 / 36
"""Of the width: how far apart corners are sought."""
CORNERS = 600
LEAST_QUALITY = 0.002
LEAST_RESPONSE = 2e-5
"""Of a corner, in grey levels squared over 255 squared: below it is the noise of a camera."""
LONGEST = 24
"""Frames that one track may have; what is seen longer is another track after that. It bounds how
far apart two frames can be that share a track, and with that the width of the equations."""


@dataclass(frozen=True)
class Tracks:
    """Sightings of points, sorted by track and then by frame; every track has two or more.

    track  (K,) intp, 0, 0, 1, 1, 1, ... ; frame (K,) intp
    pixel  (K, 2) float32, column and row in the image that was tracked
    """

    track: Indices
    frame: Indices
    pixel: Array

    @property
    def count(self) -> int:
        """How many tracks there are."""
        return int(self.track[-1]) + 1 if len(self.track) else 0

    @property
    def first(self) -> Indices:
        """Where each track begins among the sightings, (count,)."""
        return np.searchsorted(self.track, np.arange(self.count))

    def between(self, i: int, j: int) -> tuple[Indices, Indices]:
        """Return the sightings in frames i and j, side by side, of the tracks that both see."""
        at_i, at_j = np.flatnonzero(self.frame == i), np.flatnonzero(self.frame == j)
        _, in_i, in_j = np.intersect1d(
            self.track[at_i], self.track[at_j], assume_unique=True, return_indices=True
        )
        return at_i[in_i], at_j[in_j]


def follow(images: Images, advanced: Callable[[float], None] = lambda _: None) -> Tracks:
    """Follow corners through ``images``, (N, H, W, 3) uint8 RGB; two frames are held at a time.

    advanced  is told the share of frames that are done
    """
    pixel, number, age = np.empty((0, 2), np.float32), np.empty(0, np.intp), np.empty(0, np.intp)
    seen: list[tuple[Indices, Array]] = []
    total = 0
    last: Image | None = None
    for n in range(len(images)):
        grey = evened(images[n])
        if last is not None and len(pixel):
            moved, good = _followed(last, grey, pixel)
            good &= age < LONGEST - 1
            pixel, number, age = moved[good], number[good], age[good] + 1
        fresh = _corners(grey, pixel)
        number = np.concatenate([number, total + np.arange(len(fresh))])
        pixel = np.concatenate([pixel, fresh])
        age = np.concatenate([age, np.zeros(len(fresh), np.intp)])
        total, last = total + len(fresh), grey
        seen.append((number, pixel))
        advanced((n + 1) / len(images))
    return _sorted(seen)


def evened(image: Image) -> Image:
    """Return the grey image (H, W) with the contrast of dim and bright places evened out."""
    grey = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.createCLAHE(CONTRAST, (8, 8)).apply(grey), np.uint8)


def _followed(last: Image, now: Image, pixel: Array) -> tuple[Array, Mask]:
    """Return where points (P, 2) went, and which of them came back to their start."""
    there, found = _one_way(last, now, pixel)
    back, found_back = _one_way(now, last, there)
    height, width = now.shape
    error = np.linalg.norm(back - pixel, axis=1)
    inside = ((there >= 1) & (there <= [width - 2, height - 2])).all(axis=1)
    good = found & found_back & inside
    return there, good & (error < max(BACK_SHARE * width, BACK_PX))


def _one_way(last: Image, now: Image, pixel: Array) -> tuple[Array, Mask]:
    there, found, _ = cv2.calcOpticalFlowPyrLK(
        last, now, pixel, np.empty_like(pixel), winSize=(WINDOW_PX, WINDOW_PX), maxLevel=LEVELS
    )
    return np.asarray(there, np.float32), found[:, 0] > 0


def _corners(grey: Image, taken: Array) -> Array:
    """Return corners (P, 2) float32 of an image, away from the points ``taken``."""
    spacing = SPACING_SHARE * grey.shape[1]
    wanted = CORNERS - len(taken)
    if wanted <= 0:
        return np.empty((0, 2), np.float32)
    free = np.full(grey.shape, 255, np.uint8)
    for x, y in np.rint(taken).astype(int):
        cv2.circle(free, (int(x), int(y)), round(spacing), 0, -1)
    response = cv2.cornerMinEigenVal(grey, 3)
    free[response < LEAST_RESPONSE] = 0
    found = cv2.goodFeaturesToTrack(grey, wanted, LEAST_QUALITY, spacing, mask=free)
    return (
        np.empty((0, 2), np.float32)
        if found is None
        else np.asarray(found, np.float32).reshape(-1, 2)
    )


def _sorted(seen: list[tuple[Indices, Array]]) -> Tracks:
    """Gather what each frame saw; tracks of one sighting tell nothing and are left out."""
    number = np.concatenate([numbers for numbers, _ in seen])
    frame = np.repeat(np.arange(len(seen)), [len(numbers) for numbers, _ in seen])
    pixel = np.concatenate([pixels for _, pixels in seen])
    order = np.lexsort((frame, number))
    _, place, count = np.unique(number[order], return_inverse=True, return_counts=True)
    order = order[count[place] > 1]
    _, track = np.unique(number[order], return_inverse=True)
    return Tracks(track.astype(np.intp), frame[order].astype(np.intp), pixel[order])
