# SPDX-License-Identifier: Apache-2.0
"""Ranges of a planar scan: the nearest obstacle of each beam (REP-117)."""

from __future__ import annotations

import math

import numpy as np

from videodepth_ros.core.arrays import Float32Array, Float64Array, IndexArray, MaskArray
from videodepth_ros.geometry.ground_plane import camera_rays
from videodepth_ros.obstacles.detector import Obstacles
from videodepth_ros.obstacles.options import ObstacleParameters, ScanOptions

DEFAULTS = ScanOptions()
ANGLE_MIN_RAD = -math.pi


def scan_ranges(
    obstacles: Obstacles,
    T_base_cam: Float64Array,
    parameters: ObstacleParameters,
    options: ScanOptions = DEFAULTS,
) -> Float32Array:
    """Return the ranges (B,) float32 of a full circle of beams from `ANGLE_MIN_RAD`.

    The nearest obstacle, +inf where the beam is seen free up to the maximum range, NaN where it is
    not known: out of view, without depth, or with a doubtful obstacle.

    T_base_cam  (4, 4) float64, pose of the camera in the frame of the scan, whose z is up
    """
    beams = round(360 / parameters.scan_angle_increment_deg)
    reach_m = parameters.obstacles_max_range_m
    ranges = np.full(beams, np.nan, np.float32)
    ranges[_free_beams(obstacles, T_base_cam, parameters, beams, options)] = np.inf
    beam, range_m = _polar(obstacles.pixels_m, T_base_cam, beams)
    doubtful = obstacles.is_doubtful
    ranges[beam[doubtful]] = np.nan
    nearest = np.full(beams, np.inf, np.float32)
    np.minimum.at(nearest, beam[~doubtful], range_m[~doubtful])
    hit = nearest < reach_m
    ranges[hit] = nearest[hit]
    return ranges


def _polar(
    points_m: Float32Array, T_base_cam: Float64Array, beams: int
) -> tuple[IndexArray, Float32Array]:
    """Return the beam (P,) and the distance (P,) of points (P, 3) of the optical frame."""
    T = T_base_cam[:2].astype(np.float32)
    x, y = (points_m @ T[:, :3].T + T[:, 3]).T
    turn = (np.arctan2(y, x) - ANGLE_MIN_RAD) / (2 * math.pi)
    return np.rint(turn * beams).astype(np.intp) % beams, np.hypot(x, y)


def _free_beams(
    obstacles: Obstacles,
    T_base_cam: Float64Array,
    parameters: ObstacleParameters,
    beams: int,
    options: ScanOptions,
) -> MaskArray:
    """Return the beams (B,) most of whose pixels see beyond the range, at heights of the robot."""
    reach_m, stride = parameters.obstacles_max_range_m, options.stride_px
    rays = camera_rays(obstacles.camera, stride).reshape(-1, 3)
    level = rays @ obstacles.T_ground_cam[:3, :3].T.astype(np.float32)
    across = np.hypot(level[:, 0], level[:, 1])
    at_reach_m = obstacles.plane.height + level[:, 2] / across * reach_m
    used = (at_reach_m > 0) & (at_reach_m < parameters.obstacles_max_height_m)
    used &= level[:, 0] > 0
    ends = (rays[used] / across[used, None] * reach_m).astype(np.float32)
    beam, _ = _polar(ends, T_base_cam, beams)
    with np.errstate(invalid='ignore'):
        beyond = obstacles.depth_m[::stride, ::stride].ravel()[used] * across[used] >= reach_m
    total = np.bincount(beam, minlength=beams)
    seen = np.bincount(beam[beyond], minlength=beams)
    return np.asarray((seen >= options.min_rays) & (seen >= options.min_share * total))
