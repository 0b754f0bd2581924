# SPDX-License-Identifier: Apache-2.0
"""Points of one image found in another one that was taken from elsewhere.

Features are matched by their descriptors, each other's best and clearly better than the second
best (Lowe, IJCV 2004), and those kept that one epipolar geometry explains (Nister, PAMI 2004; by
RANSAC). They tell where to look for any other point, which is then aligned to a part of a pixel.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from videodepth_ros.sfm.place_recognition import Features, Image, rooted

Array = NDArray[np.float32]
Array64 = NDArray[np.float64]
Indices = NDArray[np.intp]
Mask = NDArray[np.bool_]

RATIO = 0.85
"""Of distances, the best match to the second best."""
FEWEST = 16
EPIPOLAR_SHARE, TRIALS = 1 / 320, 300
"""Of the width: distance from the epipolar line."""
WINDOW_PX, LEVELS = 17, 2
BACK_SHARE, BACK_PX = 1 / 640, 0.5
NEAREST = 3
"""Matches around a point that tell where it went."""


def matched(one: Features, other: Features, K: Array64) -> tuple[Array, Array] | None:
    """Return where matches lie in both images, (M, 2) each; None where too few fit one geometry.

    K  (3, 3) of both images, in pixels
    """
    if min(len(one.pixel), len(other.pixel)) < FEWEST:
        return None
    alike = rooted(one.descriptor) @ rooted(other.descriptor).T
    best = alike.argmax(axis=1)
    rows = np.arange(len(best))
    mutual = alike.argmax(axis=0)[best] == rows
    nearest = alike[rows, best].copy()
    alike[rows, best] = -1
    second = alike.max(axis=1)
    good = mutual & (1 - nearest < RATIO**2 * (1 - second))
    if np.count_nonzero(good) < FEWEST:
        return None
    at, there = one.pixel[good], other.pixel[best[good]]
    width = 2 * K[0, 2]
    found, inside = cv2.findEssentialMat(
        at, there, K, cv2.RANSAC, 0.999, EPIPOLAR_SHARE * width, TRIALS
    )
    if found is None or np.count_nonzero(inside) < FEWEST:
        return None
    fits = inside[:, 0] > 0
    return at[fits], there[fits]


def carried_over(
    image: Image, other: Image, pixel: Array, at: Array, there: Array
) -> tuple[Array, Mask]:
    """Look in ``other`` for points of ``image``, both grey, with matches ``at`` and ``there``.

    pixel    (P, 2) float32, in ``image``
    returns  where they are, (P, 2) float32, and which of them were found
    """
    turn = cv2.estimateAffinePartial2D(at, there, ransacReprojThreshold=0.1 * image.shape[1])[0]
    if turn is None:
        return pixel.copy(), np.zeros(len(pixel), np.bool_)
    height, width = other.shape
    turned = np.asarray(
        cv2.warpAffine(
            image, turn, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        ),
        np.uint8,
    )
    start, at = (_by(np.asarray(turn, np.float64), values) for values in (pixel, at))
    apart = np.linalg.norm(start[:, None] - at, axis=2)
    near = np.argsort(apart, axis=1, kind='stable')[:, :NEAREST]
    guess = start + np.median((there - at)[near], axis=1)
    found, good = _aligned(turned, other, start, guess)
    back, good_back = _aligned(other, turned, found, start)
    inside = ((found >= 1) & (found <= [width - 2, height - 2])).all(axis=1)
    error = np.linalg.norm(back - start, axis=1)
    return found, good & good_back & inside & (error < max(BACK_SHARE * width, BACK_PX))


def _by(turn: Array64, pixel: Array) -> Array:
    moved: Array = (pixel @ turn[:, :2].T + turn[:, 2]).astype(np.float32)
    return moved


def _aligned(image: Image, other: Image, pixel: Array, guess: Array) -> tuple[Array, Mask]:
    there, found, _ = cv2.calcOpticalFlowPyrLK(
        image,
        other,
        pixel,
        guess.astype(np.float32),
        winSize=(WINDOW_PX, WINDOW_PX),
        maxLevel=LEVELS,
        flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
    )
    return np.asarray(there, np.float32), found[:, 0] > 0
