# SPDX-License-Identifier: Apache-2.0
"""Displacements of observed pixels that are linear in parameters of lens and shutter.

A pixel of a distorted image is moved to where a pinhole would see it by a polynomial of its radius
(as the division-free inverse models of Drap and Lefevre, Sensors 2016), by the shift of the
principal point, and to the time of the middle row by its own velocity. Bundle adjustment needs no
other derivative of them than these fields.
"""

from __future__ import annotations

import numpy as np

from videodepth_ros.core.arrays import Float64Array, IndexArray


def radial_fields(xy: Float64Array, focal_px: float) -> Float64Array:
    """Return the displacements (K, 2, 2) by the coefficients of r^2 and r^4.

    xy  (K, 2), pixels from the principal point; r is their distance from it / ``focal_px``
    """
    square = np.square(xy / focal_px).sum(axis=1)
    return np.stack([xy * square[:, None], xy * np.square(square)[:, None]], axis=1)


def centre_fields(count: int) -> Float64Array:
    """Return the displacements (K, 2, 2) by a shift of the principal point in x and in y [px]."""
    return np.broadcast_to(-np.eye(2), (count, 2, 2))


def readout_fields(
    track: IndexArray, frame: IndexArray, xy: Float64Array, height_px: int
) -> Float64Array:
    """Return the displacements (K, 1, 2) by the readout time of a rolling shutter.

    The parameter is the time from the first row to the last, as a share of the frame period;
    negative where rows are read from below. ``height_px`` is that of the images.
    track, frame  (K,), sorted by track and then by frame; xy: (K, 2), pixels from the centre
    """
    velocity = track_velocities(track, frame, xy)
    return -(velocity * xy[:, 1:] / height_px)[:, None]


def track_velocities(track: IndexArray, frame: IndexArray, xy: Float64Array) -> Float64Array:
    """Return the velocity (K, 2) of each observation in its track [px / frame]; 0 if alone.

    It is the mean of the steps from the observation before and to the one after.
    """
    is_step = track[1:] == track[:-1]
    step = np.zeros((len(track), 2))
    step[1:][is_step] = np.diff(xy, axis=0)[is_step] / np.diff(frame)[is_step, None]
    total, count = step.copy(), np.zeros(len(track))
    total[:-1] += step[1:]
    count[1:] += is_step
    count[:-1] += is_step
    return total / np.maximum(count, 1)[:, None]
