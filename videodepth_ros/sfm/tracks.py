# SPDX-License-Identifier: Apache-2.0
"""Feature tracks: corners tracked from frame to frame.

Corners (Shi and Tomasi, CVPR 1994) are tracked by pyramidal Lucas-Kanade and kept while their
forward-backward error is small (Kalal et al., ICPR 2010). New corners fill the gaps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from videodepth_ros.core.arrays import Float32Array, IndexArray, MaskArray, UInt8Array
from videodepth_ros.sfm.options import ContrastOptions, TrackingOptions

ImageSequence = Sequence[UInt8Array] | UInt8Array
"""Images (N, H, W, 3) uint8 RGB of one size; may be a memory map."""


@dataclass(frozen=True)
class Tracks:
    """Observations of tracks, K of them, sorted by track and then by frame; two or more a track.

    track  (K,) intp, 0, 0, 1, 1, 1, ...
    frame  (K,) intp
    pixel  (K, 2) float32, column and row in the tracked image
    """

    track: IndexArray
    frame: IndexArray
    pixel: Float32Array

    @property
    def count(self) -> int:
        """Number of tracks."""
        return int(self.track[-1]) + 1 if len(self.track) else 0

    @property
    def start(self) -> IndexArray:
        """Index of the first observation of each track, (count,)."""
        return np.searchsorted(self.track, np.arange(self.count))


def track_features(
    images: ImageSequence,
    on_progress: Callable[[float], None] = lambda _: None,
    options: TrackingOptions = TrackingOptions(),
    contrast: ContrastOptions = ContrastOptions(),
) -> Tracks:
    """Track corners through ``images``, (N, H, W, 3) uint8 RGB; two frames are in memory.

    on_progress  called with the share of frames that are done, 0 to 1
    """
    pixel, number, age = np.empty((0, 2), np.float32), np.empty(0, np.intp), np.empty(0, np.intp)
    observed: list[tuple[IndexArray, Float32Array]] = []
    total = 0
    previous: UInt8Array | None = None
    for n in range(len(images)):
        gray = equalize_contrast(images[n], contrast)
        if previous is not None and len(pixel):
            moved, good = _track_forward_backward(previous, gray, pixel, options)
            good &= age < options.max_track_length - 1
            pixel, number, age = moved[good], number[good], age[good] + 1
        fresh = _detect_corners(gray, pixel, options)
        number = np.concatenate([number, total + np.arange(len(fresh))])
        pixel = np.concatenate([pixel, fresh])
        age = np.concatenate([age, _initial_ages(len(fresh), previous is None, options)])
        total, previous = total + len(fresh), gray
        observed.append((number, pixel))
        on_progress((n + 1) / len(images))
    return _build_tracks(observed)


def _initial_ages(count: int, is_first_frame: bool, options: TrackingOptions) -> IndexArray:
    """Return the ages (count,) of new tracks: 0, but spread out in the first frame."""
    spread = max(int(options.initial_age_spread * options.max_track_length), 1)
    return np.arange(count) % (spread if is_first_frame else 1)


def equalize_contrast(
    image: UInt8Array, options: ContrastOptions = ContrastOptions()
) -> UInt8Array:
    """Return the gray image (H, W) of an RGB image, equalized by CLAHE."""
    gray = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)
    clahe = cv2.createCLAHE(options.clip_limit, (options.tiles, options.tiles))
    return np.asarray(clahe.apply(gray), np.uint8)


def group_by_frame(frame: IndexArray, frames: int) -> list[IndexArray]:
    """Return the indices of the observations in each of N ``frames``; ``frame`` (K,)."""
    order = np.argsort(frame, kind='stable')
    return np.split(order, np.cumsum(np.bincount(frame, minlength=frames))[:-1])


def _track_forward_backward(
    previous: UInt8Array, gray: UInt8Array, pixel: Float32Array, options: TrackingOptions
) -> tuple[Float32Array, MaskArray]:
    """Track points (P, 2) into the next image; return them and which of them are good."""
    moved, found = _track_lucas_kanade(previous, gray, pixel, options)
    back, found_back = _track_lucas_kanade(gray, previous, moved, options)
    height, width = gray.shape
    error = np.linalg.norm(back - pixel, axis=1)
    inside = ((moved >= 1) & (moved <= [width - 2, height - 2])).all(axis=1)
    limit = max(options.max_backward_error_widths * width, options.max_backward_error_px)
    return moved, found & found_back & inside & (error < limit)


def _track_lucas_kanade(
    previous: UInt8Array, gray: UInt8Array, pixel: Float32Array, options: TrackingOptions
) -> tuple[Float32Array, MaskArray]:
    moved, found, _ = cv2.calcOpticalFlowPyrLK(
        previous,
        gray,
        pixel,
        np.empty_like(pixel),
        winSize=(options.window_px, options.window_px),
        maxLevel=options.pyramid_levels,
    )
    return np.asarray(moved, np.float32), found[:, 0] > 0


def _detect_corners(
    gray: UInt8Array, occupied: Float32Array, options: TrackingOptions
) -> Float32Array:
    """Return new corners (P, 2) float32 away from the points ``occupied``."""
    distance = options.min_distance_widths * gray.shape[1]
    count = options.max_corners - len(occupied)
    if count <= 0:
        return np.empty((0, 2), np.float32)
    mask = np.full(gray.shape, 255, np.uint8)
    for x, y in np.rint(occupied).astype(int):
        cv2.circle(mask, (int(x), int(y)), round(distance), 0, -1)
    response = cv2.cornerMinEigenVal(gray, 3)
    mask[response < options.min_response] = 0
    found = cv2.goodFeaturesToTrack(gray, count, options.min_quality, distance, mask=mask)
    if found is None:
        return np.empty((0, 2), np.float32)
    return np.asarray(found, np.float32).reshape(-1, 2)


def _build_tracks(observed: list[tuple[IndexArray, Float32Array]]) -> Tracks:
    """Sort the observations of all frames by track; drop tracks of one observation."""
    number = np.concatenate([numbers for numbers, _ in observed])
    frame = np.repeat(np.arange(len(observed)), [len(numbers) for numbers, _ in observed])
    pixel = np.concatenate([pixels for _, pixels in observed])
    order = np.lexsort((frame, number))
    _, place, count = np.unique(number[order], return_inverse=True, return_counts=True)
    order = order[count[place] > 1]
    _, track = np.unique(number[order], return_inverse=True)
    return Tracks(track.astype(np.intp), frame[order].astype(np.intp), pixel[order])
