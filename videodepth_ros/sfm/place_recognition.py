# SPDX-License-Identifier: Apache-2.0
"""Place recognition: loop candidates among keyframes by bag of words.

SIFT descriptors (Lowe, IJCV 2004) are quantized to words by the signs of random projections
(Charikar, STOC 2002): no vocabulary is trained. Frames are compared by tf-idf weighted bags of
words (Sivic and Zisserman, ICCV 2003).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from videodepth_ros.core.arrays import Edge, Float32Array, IndexArray, UInt8Array
from videodepth_ros.sfm.loop_options import PlaceRecognitionOptions


@dataclass(frozen=True)
class Features:
    """SIFT features of an image.

    pixel       (F, 2) float32, column and row
    descriptor  (F, 128) uint8
    """

    pixel: Float32Array
    descriptor: UInt8Array


def extract_features(
    gray: UInt8Array, options: PlaceRecognitionOptions = PlaceRecognitionOptions()
) -> Features:
    """Extract the SIFT features of a gray image (H, W)."""
    sift = cv2.SIFT.create(
        nfeatures=options.max_features, contrastThreshold=options.contrast_threshold
    )
    keypoints, descriptor = sift.detectAndCompute(gray, np.empty(0, np.uint8))
    if descriptor is None:
        return Features(np.empty((0, 2), np.float32), np.empty((0, 128), np.uint8))
    return Features(
        np.array([one.pt for one in keypoints], np.float32), descriptor.astype(np.uint8)
    )


def root_sift(descriptor: UInt8Array) -> Float32Array:
    """Return RootSIFT descriptors (F, 128) of unit length (Arandjelovic and Zisserman, 2012)."""
    root = np.sqrt(descriptor.astype(np.float32))
    unit: Float32Array = root / np.maximum(np.linalg.norm(root, axis=1, keepdims=True), 1e-6)
    return unit


def retrieve_loop_candidates(
    keyframes: Sequence[int],
    features: Sequence[Features],
    min_gap: int,
    options: PlaceRecognitionOptions = PlaceRecognitionOptions(),
    piece: IndexArray | None = None,
) -> list[Edge]:
    """Return pairs of frames (i, j), i before j, of similar bags of words.

    keyframes  (K,) ascending, frames of ``features``
    min_gap    least frames from i to j within a piece; between pieces there is no gap to keep
    piece      (K,) of the keyframes; None: one
    A bounded number for each j: the cost of verification is linear in the recording.
    """
    words = _bag_of_words(features, options)
    candidates: list[Edge] = []
    for b, frame in enumerate(keyframes):
        near = np.asarray(keyframes[:b]) > frame - min_gap
        if piece is not None:
            near &= piece[:b] == piece[b]
        similarity = np.where(near, -1, words[:b] @ words[b])
        for _ in range(min(options.max_candidates, int(np.count_nonzero(~near)))):
            a = int(similarity.argmax())
            if similarity[a] < options.min_similarity:
                break
            candidates.append((keyframes[a], frame))
            radius = options.suppression_radius
            similarity[max(a - radius, 0) : a + radius + 1] = -1
    return candidates


def _bag_of_words(features: Sequence[Features], options: PlaceRecognitionOptions) -> Float32Array:
    """Return the tf-idf weighted word histogram of each frame, (K, words), of unit length."""
    tables, bits = options.tables, options.bits
    rng = np.random.default_rng(options.seed)
    projection = rng.standard_normal((128, tables * bits)).astype(np.float32)
    descriptors = [root_sift(one.descriptor) for one in features]
    total = sum(len(one) for one in descriptors)
    mean = sum(one.sum(axis=0) for one in descriptors) / max(total, 1)
    place = 1 << np.arange(bits)
    table = np.arange(tables) << bits
    count = np.zeros((len(descriptors), tables << bits), np.float32)
    for row, one in zip(count, descriptors, strict=True):
        signs = ((one - mean) @ projection > 0).reshape(len(one), tables, bits)
        row += np.bincount((signs @ place + table).ravel(), minlength=len(row))
    document_frequency = np.count_nonzero(count, axis=0)
    idf = np.log((1 + len(count)) / (1 + document_frequency)).astype(np.float32)
    weighted = np.sqrt(count) * idf
    unit: Float32Array = weighted / np.maximum(
        np.linalg.norm(weighted, axis=1, keepdims=True), 1e-6
    )
    return unit
