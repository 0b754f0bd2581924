# SPDX-License-Identifier: Apache-2.0
"""sensor_msgs/LaserScan: to points, and from ranges."""

from __future__ import annotations

import math
from array import array
from typing import Any

import numpy as np

from videodepth_ros.core.arrays import Float32Array
from videodepth_ros.core.errors import InputError


def points_from_scan(message: Any) -> Float32Array:
    """Return the points (P, 3) float32 of the ranges that are measured (REP-117).

    raises  InputError where the angles do not increase
    """
    ranges_m = np.asarray(message.ranges, np.float32)
    if not (np.isfinite(message.angle_increment) and message.angle_increment):
        raise InputError(
            f'scan in {message.header.frame_id!r} has angle_increment '
            f'{message.angle_increment}; it must not be 0'
        )
    known = (ranges_m >= message.range_min) & (ranges_m <= message.range_max)
    angles = message.angle_min + np.flatnonzero(known) * message.angle_increment
    known_m = ranges_m[known]
    return np.stack(
        [known_m * np.cos(angles), known_m * np.sin(angles), np.zeros(len(known_m))], axis=1
    ).astype(np.float32)


def write_scan(
    ranges_m: Float32Array, angle_min_rad: float, range_max_m: float, period_s: float, out: Any
) -> None:
    """Write a full circle of beams, (B,) float32, into a LaserScan, in place.

    ranges_m       +inf where nothing is within ``range_max_m``, NaN unknown (REP-117)
    angle_min_rad  of the first beam, about z from x
    period_s       since the last scan; 0: not known
    """
    beams = len(ranges_m)
    out.angle_min, out.angle_increment = angle_min_rad, 2 * math.pi / beams
    out.angle_max = angle_min_rad + (beams - 1) * out.angle_increment
    out.time_increment, out.scan_time = 0.0, period_s
    out.range_min, out.range_max = 0.0, range_max_m
    out.ranges = array('f', ranges_m.tobytes())
