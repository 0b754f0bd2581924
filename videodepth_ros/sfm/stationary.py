# SPDX-License-Identifier: Apache-2.0
"""Stationary intervals: frames in which the tracked corners do not move.

Bundle adjustment gets a zero-velocity update there (ZUPT, as in visual-inertial odometry): noise
of the depth prior must not move a camera whose image is static.
"""

from __future__ import annotations

import numpy as np

from videodepth_ros.core.arrays import IndexArray, MaskArray
from videodepth_ros.sfm.motion_options import StationaryOptions
from videodepth_ros.sfm.tracks import Tracks, group_by_frame


def detect_stationary_steps(
    tracks: Tracks, frames: int, width_px: int, options: StationaryOptions = StationaryOptions()
) -> MaskArray:
    """Return the steps from frame to frame in which the camera is stationary, (N - 1,) bool.

    Displacements are measured against an anchor frame, not from frame to frame: slow motion adds
    up. The anchor is renewed when too few tracks reach it.

    frames    N, number of frames; width_px: width of the tracked images
    """
    is_stationary = np.zeros(max(frames - 1, 0), np.bool_)
    limit_px = options.max_displacement_widths * width_px
    observed = group_by_frame(tracks.frame, frames)
    anchor = start = 0
    for frame in range(1, frames + 1):
        displacement_px = np.inf
        if frame < frames:
            displacement_px = _displacement_px(tracks, observed, anchor, frame, options)
            if np.isnan(displacement_px):
                anchor = frame - 1
                displacement_px = _displacement_px(tracks, observed, anchor, frame, options)
        if displacement_px <= limit_px:
            continue
        last = frame - 1
        if last - start >= options.min_steps:
            is_stationary[start:last] = True
        anchor = start = frame
    return is_stationary


def _displacement_px(
    tracks: Tracks, observed: list[IndexArray], anchor: int, frame: int, options: StationaryOptions
) -> float:
    """Return the median displacement of the tracks that two frames share; NaN for too few."""
    first, second = observed[anchor], observed[frame]
    shared, i, j = np.intersect1d(
        tracks.track[first], tracks.track[second], assume_unique=True, return_indices=True
    )
    if len(shared) < options.min_shared_tracks:
        return np.nan
    motion = tracks.pixel[second[j]] - tracks.pixel[first[i]]
    return float(np.median(np.linalg.norm(motion, axis=1)))
