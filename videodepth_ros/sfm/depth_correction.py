# SPDX-License-Identifier: Apache-2.0
"""Every frame's prior bent onto the points of the recording that lie in its view.

A point is used in frames that saw it and in some before and after them: where a road rushes by too
fast to be followed, what was followed further ahead still stands there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.geometry.bilinear_grid import SmoothGridOptions, fit_smooth_grid
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.sfm.depth_samples import log_depth_at
from videodepth_ros.sfm.reprojection import focal_lengths
from videodepth_ros.sfm.robust_adjustment import Adjusted

Array = NDArray[np.float32]
Array64 = NDArray[np.float64]
Indices = NDArray[np.intp]

MATCH_DOUBT = 0.05
"""Standard deviation of the log ratio of a point's depth and the prior's on the same pixel."""
MOST_SPREAD = 0.5
FEWEST_SIGHTINGS = 3
REACH = 6
"""Frames before its first sighting and after its last one in which a point is used."""
REACHED_DOUBT = 0.1
"""Standard deviation where a point is not seen any more: it may be hidden."""


@dataclass(frozen=True)
class Landmarks:
    """Points that parallax has placed well enough.

    world (P, 3) float64; spread (P,) standard deviation of the log depth
    first, last (P,) intp, frames that saw it
    """

    world: Array64
    spread: Array64
    first: Indices
    last: Indices

    @classmethod
    def of(cls, found: Adjusted) -> Landmarks:
        """Take the points of an adjustment."""
        seen, scene = found.seen, found.scene
        host, focal = seen.frame[seen.first], focal_lengths(scene)
        ray = np.column_stack([seen.offset[seen.first] / focal, np.ones(len(host))])
        T_world_cam = scene.cameras.inverse()[host]
        world = (
            np.einsum(
                'pij,pj->pi', T_world_cam.rotation, ray * np.exp(-scene.log_inverse)[:, None]
            )
            + T_world_cam.translation
        )
        length = np.bincount(seen.track, minlength=len(host))
        good = (found.spread < MOST_SPREAD) & (length >= FEWEST_SIGHTINGS)
        last = seen.frame[seen.first + length - 1]
        return cls(world[good], found.spread[good], host[good], last[good])


@dataclass(frozen=True)
class View:
    """What a frame sees of the landmarks, P of them.

    place      (P, 2) float64, column and row as shares of the image, 0 to 1
    log_depth  (P,) float64, of the prior there
    log_ratio  (P,) float64, by which that is too small; doubt (P,), its standard deviation
    """

    place: Array64
    log_depth: Array64
    log_ratio: Array64
    doubt: Array64


def view_of(
    found: Adjusted, landmarks: Landmarks, frame: int, depth: Array, camera: Intrinsics
) -> View:
    """Compare the prior of a frame with the landmarks in its view.

    depth   (h, w) float32, the prior; camera of the same size
    """
    near = np.flatnonzero((landmarks.first <= frame + REACH) & (landmarks.last >= frame - REACH))
    T = found.scene.cameras[frame]
    x, y, z = T.rotation @ landmarks.world[near].T + T.translation[:, None]
    ahead = z > 0
    z = np.where(ahead, z, 1.0)
    pixel = np.column_stack([x / z * camera.fx + camera.cx, y / z * camera.fy + camera.cy])
    place = (pixel + 0.5) / [camera.width, camera.height]
    inside = ahead & ((place > 0) & (place < 1)).all(axis=1)
    near, z, pixel, place = near[inside], z[inside], pixel[inside], place[inside]
    log_depth = log_depth_at(depth, pixel).log_depth
    known = ~np.isnan(log_depth)
    hidden = (landmarks.first[near] > frame) | (landmarks.last[near] < frame)
    doubt = np.hypot(landmarks.spread[near], np.where(hidden, REACHED_DOUBT, MATCH_DOUBT))
    return View(place[known], log_depth[known], (np.log(z) - log_depth)[known], doubt[known])


def bent_field(
    found: Adjusted, landmarks: Landmarks, frame: int, depth: Array, camera: Intrinsics
) -> Array64:
    """Return the field (ROWS, COLUMNS) that bends the prior of a frame.

    depth   (h, w) float32, the prior; camera of the same size
    """
    level = float(found.scene.log_scale[frame])
    if found.noise.measured:
        return np.full(SmoothGridOptions().shape, level)
    view = view_of(found, landmarks, frame, depth, camera)
    return fit_smooth_grid(view.place, view.log_ratio, view.doubt, found.noise.depth, level)
