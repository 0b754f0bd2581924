# SPDX-License-Identifier: Apache-2.0
"""Wide-baseline matching: verified feature matches, and the transfer of other points by them.

Features are matched by mutual nearest neighbors and the ratio test (Lowe, IJCV 2004), and
verified by essential-matrix RANSAC (Nister, PAMI 2004). The matches predict where other points
lie; Lucas-Kanade refines them to subpixel accuracy.
"""

from __future__ import annotations

import cv2
import numpy as np

from videodepth_ros.core.arrays import Float32Array, Float64Array, MaskArray, UInt8Array
from videodepth_ros.sfm.loop_options import MatchingOptions
from videodepth_ros.sfm.place_recognition import Features, root_sift


def match_features(
    first: Features,
    second: Features,
    K: Float64Array,
    options: MatchingOptions = MatchingOptions(),
) -> tuple[Float32Array, Float32Array] | None:
    """Return the pixels of verified matches in both images, (M, 2) each; None if too few.

    K  (3, 3) of both images
    """
    if min(len(first.pixel), len(second.pixel)) < options.min_matches:
        return None
    similarity = root_sift(first.descriptor) @ root_sift(second.descriptor).T
    best = similarity.argmax(axis=1)
    rows = np.arange(len(best))
    mutual = similarity.argmax(axis=0)[best] == rows
    nearest = similarity[rows, best].copy()
    similarity[rows, best] = -1
    second_nearest = similarity.max(axis=1)
    good = mutual & (1 - nearest < options.max_ratio**2 * (1 - second_nearest))
    if np.count_nonzero(good) < options.min_matches:
        return None
    pixel_1, pixel_2 = first.pixel[good], second.pixel[best[good]]
    width = 2 * K[0, 2]
    E, inliers = cv2.findEssentialMat(
        pixel_1,
        pixel_2,
        K,
        cv2.RANSAC,
        options.ransac_confidence,
        options.max_epipolar_error_widths * width,
        options.ransac_iterations,
    )
    if E is None or np.count_nonzero(inliers) < options.min_matches:
        return None
    inlier = inliers[:, 0] > 0
    return pixel_1[inlier], pixel_2[inlier]


def transfer_points(
    first: UInt8Array,
    second: UInt8Array,
    pixel: Float32Array,
    matches: tuple[Float32Array, Float32Array],
    options: MatchingOptions = MatchingOptions(),
) -> tuple[Float32Array, MaskArray]:
    """Locate points of a gray image in another one.

    pixel    (P, 2) float32, in ``first``
    matches  of `match_features`
    returns  pixels (P, 2) float32 in ``second``, and which of them are good, (P,)
    """
    matched_1, matched_2 = matches
    affine = cv2.estimateAffinePartial2D(
        matched_1,
        matched_2,
        ransacReprojThreshold=options.max_affine_error_widths * first.shape[1],
    )[0]
    if affine is None:
        return pixel.copy(), np.zeros(len(pixel), np.bool_)
    height, width = second.shape
    warped = np.asarray(
        cv2.warpAffine(
            first, affine, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        ),
        np.uint8,
    )
    start, matched_1 = (
        _apply_affine(np.asarray(affine, np.float64), values) for values in (pixel, matched_1)
    )
    distance = np.linalg.norm(start[:, None] - matched_1, axis=2)
    near = np.argsort(distance, axis=1, kind='stable')[:, : options.neighbors]
    guess = start + np.median((matched_2 - matched_1)[near], axis=1)
    found, good = _refine(warped, second, start, guess, options)
    back, good_back = _refine(second, warped, found, start, options)
    inside = ((found >= 1) & (found <= [width - 2, height - 2])).all(axis=1)
    error = np.linalg.norm(back - start, axis=1)
    limit = max(options.max_backward_error_widths * width, options.max_backward_error_px)
    return found, good & good_back & inside & (error < limit)


def _apply_affine(affine: Float64Array, pixel: Float32Array) -> Float32Array:
    moved: Float32Array = (pixel @ affine[:, :2].T + affine[:, 2]).astype(np.float32)
    return moved


def _refine(
    first: UInt8Array,
    second: UInt8Array,
    pixel: Float32Array,
    guess: Float32Array,
    options: MatchingOptions,
) -> tuple[Float32Array, MaskArray]:
    """Refine the pixels (P, 2) in the second image from a guess, by Lucas-Kanade."""
    refined, found, _ = cv2.calcOpticalFlowPyrLK(
        first,
        second,
        pixel,
        guess.astype(np.float32),
        winSize=(options.window_px, options.window_px),
        maxLevel=options.pyramid_levels,
        flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
    )
    return np.asarray(refined, np.float32), found[:, 0] > 0
