# SPDX-License-Identifier: Apache-2.0
"""Steady depth for a whole stream: what a small network believes of it changes with the view.

Corners are followed from frame to frame (stream/corners.py), which tells how far they are, first
from the depth that was believed where they were first seen, and the better the more the camera
moves. What the depth of this frame must be multiplied with to agree with them, in the median, is
its scale; what is left of their disagreement tells which regions are too near or too far, for a
network's errors are mostly smooth (stream/field.py). Over MEMORY_S scales fade to a mean of none,
and over WORD_S corners to where the network sees them unless the camera's motion contradicts:
this makes the network's depth steady and knows no metres of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.frames import Frame
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.stream.corners import (
    AT_START,
    LEAST_CORNERS,
    Array,
    Corners,
    Depth,
    Grey,
    Located,
    Pose,
    depth_at,
    locate,
    new_corners,
    small_grey,
)
from videodepth_ros.stream.field import fit_field, spread_field

KEPT_SHARE = 0.6
"""With fewer of the corners left in agreement new ones are looked for."""

NEW_SHARE = 0.15
"""Where new ones are looked for, errors are handed on; the network's word counts for so much."""

MEMORY_S = 10.0
WORD_S = 5.0

TRUSTED_SHARES = 0.5, 0.6
"""Corners of which less than the first agree tell nothing of regions, and from the second on all:
along what repeats, such as a road, many slide together, and others are bent to them."""

LOCAL_SIGMA = 0.1
"""How far, in logarithms, the depth at a corner is from that of its region."""


@dataclass(frozen=True)
class _Last:
    """What is known of the stream after a frame.

    grey   its image (h, w) uint8; at_ns its stamp
    begun  how many corners there were when they were last looked for
    """

    grey: Grey
    at_ns: int
    corners: Corners
    pose: Pose
    begun: int


class SteadyDepth:
    """What steadies the depth of one stream; used by one thread."""

    def __init__(self) -> None:
        self._last: _Last | None = None
        self._age_s = 0.0

    def restart(self) -> None:
        """Begin another stream."""
        self._last, self._age_s = None, 0.0

    def correction(self, frame: Frame, depth_m: Depth) -> Depth:
        """Return what the depth of the next frame is to be multiplied with, (h, w) float32.

        depth_m  (h, w) float32 as the network tells it, NaN or +inf where unknown
        """
        grey, camera = small_grey(frame)
        last = self._last
        located = locate(last.corners, last.pose, last.grey, grey, camera) if last else None
        located = _where_known(located, depth_m, grey) if located else None
        if last is None or located is None:
            self.restart()
            corners = new_corners(grey, depth_m, camera, AT_START)
            self._last = _Last(grey, frame.stamp_ns, corners, AT_START, len(corners))
            return np.ones(depth_m.shape, np.float32)
        step_s = (frame.stamp_ns - last.at_ns) * 1e-9
        is_short = np.count_nonzero(located.agree) < KEPT_SHARE * last.begun
        ratio = np.log(located.z_m / depth_at(depth_m, located.corners.pixels, grey.shape))
        middle = float(np.median(ratio[located.agree]))
        faded = -max(self._share_of(step_s), NEW_SHARE if is_short else 0.0) * middle
        scale = middle + faded
        field = _field(located, ratio - middle, grey.shape, depth_m.shape)
        correction = np.exp(np.float32(scale) + field)
        corners = _believed(located, middle - ratio, step_s).scaled(np.exp(faded))
        pose = located.pose.scaled(np.exp(faded))
        self._last = _Last(grey, frame.stamp_ns, corners, pose, last.begun)
        if is_short:
            self._last = _renewed(self._last, located.agree, depth_m * correction, camera)
        return correction

    def _share_of(self, step_s: float) -> float:
        """Return the weight of a new frame in the mean that the stream's scale is."""
        self._age_s += step_s
        return min(1.0, step_s / min(self._age_s + step_s, MEMORY_S))


def _where_known(located: Located, depth_m: Depth, grey: Grey) -> Located | None:
    """Return what was located with the corners alone whose depth is known; None if too few."""
    believed_m = depth_at(depth_m, located.corners.pixels, grey.shape)
    known = np.isfinite(believed_m) & (believed_m > 0) & (located.z_m > 0)
    if np.count_nonzero(located.agree & known) < LEAST_CORNERS:
        return None
    return Located(
        located.corners.among(known),
        located.pose,
        located.agree[known],
        located.z_m[known],
        located.variance[known],
    )


def _field(located: Located, left: Array, seen: tuple[int, ...], shape: tuple[int, ...]) -> Depth:
    """Return the smooth part of what is left of the corners' disagreement, (h, w) float32."""
    agree = located.agree
    places = (located.corners.pixels[agree] + 0.5) / seen[::-1]
    knots = fit_field(places, left[agree], located.variance[agree] + LOCAL_SIGMA**2)
    return spread_field(np.interp(agree.mean(), TRUSTED_SHARES, (0, 1)) * knots, shape)


def _believed(located: Located, network: Array, step_s: float) -> Corners:
    """Return corners with the depth that is believed of them drawn to the network's.

    network  (N,) how much farther the network sees them than they turned out to be, a logarithm
    """
    corners = located.corners
    drawn = min(1.0, step_s / WORD_S) * (network + corners.log_depth)
    return replace(corners, rays_m=corners.rays_m * np.exp(drawn)[:, None])


def _renewed(last: _Last, agree: NDArray[np.bool_], depth_m: Depth, camera: Intrinsics) -> _Last:
    """Replace the corners that do not agree by others, at the corrected depth."""
    kept = last.corners.among(agree)
    corners = kept.joined(new_corners(last.grey, depth_m, camera, last.pose, kept))
    return replace(last, corners=corners, begun=len(corners))
