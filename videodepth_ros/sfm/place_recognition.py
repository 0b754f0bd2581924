# SPDX-License-Identifier: Apache-2.0
"""Places that a recording shows again, long after: which frames may be of one place.

Every so many frames SIFT features (Lowe, IJCV 2004) are described. A frame's descriptors fall into
words by the signs of fixed random projections (Charikar, STOC 2002), and frames are compared by
their words, weighed by how rare they are (Sivic and Zisserman, ICCV 2003). Nothing is trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from videodepth_ros.core.arrays import Edge

Array = NDArray[np.float32]
Image = NDArray[np.uint8]

FEATURES = 800
LEAST_CONTRAST = 0.01
TABLES, BITS = 4, 10
"""Words a descriptor falls into, and the bits of each."""
PLACES = 2
"""Earlier places that a frame is compared with in full."""
APART = 3
"""Keyframes by which two of them differ."""
LEAST_LIKENESS = 0.05


@dataclass(frozen=True)
class Features:
    """Features of an image: pixel (F, 2) float32; descriptor (F, 128) uint8, SIFT's."""

    pixel: Array
    descriptor: NDArray[np.uint8]


def features_of(grey: Image) -> Features:
    """Describe a grey image (H, W)."""
    describer = cv2.SIFT.create(nfeatures=FEATURES, contrastThreshold=LEAST_CONTRAST)
    found, descriptor = describer.detectAndCompute(grey, np.empty(0, np.uint8))
    if descriptor is None:
        return Features(np.empty((0, 2), np.float32), np.empty((0, 128), np.uint8))
    return Features(np.array([one.pt for one in found], np.float32), descriptor.astype(np.uint8))


def rooted(descriptor: NDArray[np.uint8]) -> Array:
    """Return descriptors (F, 128) whose products are likenesses up to 1 (Arandjelovic, 2012)."""
    root = np.sqrt(descriptor.astype(np.float32))
    unit: Array = root / np.maximum(np.linalg.norm(root, axis=1, keepdims=True), 1e-6)
    return unit


def candidates(keys: Sequence[int], features: Sequence[Features], gap: int) -> list[Edge]:
    """Return pairs of frames (i, j), i before j, that may show one place.

    keys  (K,) ascending, the frames described; gap: frames that lie between i and j at least
    At most `PLACES` for each j, so that what is done with them grows with the recording only.
    """
    words = _words(features)
    found: list[Edge] = []
    for b, frame in enumerate(keys):
        before = int(np.searchsorted(keys, frame - gap, side='right'))
        alike = words[:before] @ words[b]
        for _ in range(min(PLACES, before)):
            a = int(alike.argmax())
            if alike[a] < LEAST_LIKENESS:
                break
            found.append((keys[a], frame))
            alike[max(a - APART, 0) : a + APART + 1] = -1
    return found


def _words(features: Sequence[Features]) -> Array:
    """Return how often each word is in each frame (K, words), weighed, of length 1."""
    projection = np.random.default_rng(5).standard_normal((128, TABLES * BITS)).astype(np.float32)
    described = [rooted(one.descriptor) for one in features]
    total = sum(len(one) for one in described)
    middle = sum(one.sum(axis=0) for one in described) / max(total, 1)
    place = 1 << np.arange(BITS)
    table = np.arange(TABLES) << BITS
    count = np.zeros((len(described), TABLES << BITS), np.float32)
    for row, one in zip(count, described, strict=True):
        signs = ((one - middle) @ projection > 0).reshape(len(one), TABLES, BITS)
        row += np.bincount((signs @ place + table).ravel(), minlength=len(row))
    seen = np.count_nonzero(count, axis=0)
    weighed = np.sqrt(count) * np.log((1 + len(count)) / (1 + seen)).astype(np.float32)
    unit: Array = weighed / np.maximum(np.linalg.norm(weighed, axis=1, keepdims=True), 1e-6)
    return unit
