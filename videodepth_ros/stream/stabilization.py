# SPDX-License-Identifier: Apache-2.0
"""Stabilise the depth of a stream against the scale drift of a small network.

Corners are tracked from frame to frame (stream/corner_tracking.py). Their depth starts at the
network's value and is refined by parallax as the camera moves. The median log ratio between the
tracked depths and the network's depth is the scale correction of the frame; the residual is fitted
by a smooth grid over the image (geometry/bilinear_grid.py). The scale correction decays to zero
with SCALE_TIME_CONSTANT_S, and tracked depths decay to the network's with NETWORK_TIME_CONSTANT_S
unless parallax contradicts it: the result is stable, but its mean scale is the network's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.frames import Frame
from videodepth_ros.geometry.bilinear_grid import evaluate_grid, fit_ridge_grid
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.stream.corner_tracking import (
    IDENTITY_POSE,
    LEAST_CORNERS,
    Array,
    Corners,
    Depth,
    Grey,
    Pose,
    PoseEstimate,
    detect_corners,
    downscaled_grey,
    sample_depth,
    track_and_localize,
)

KEPT_SHARE = 0.6
"""With fewer of the corners left in agreement new ones are looked for."""

NEW_SHARE = 0.15
"""Where new ones are looked for, errors are handed on; the network's word counts for so much."""

SCALE_TIME_CONSTANT_S = 10.0
NETWORK_TIME_CONSTANT_S = 5.0

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


class DepthStabilizer:
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
        grey, camera = downscaled_grey(frame)
        last = self._last
        located = (
            track_and_localize(last.corners, last.pose, last.grey, grey, camera) if last else None
        )
        located = _with_known_depth(located, depth_m, grey) if located else None
        if last is None or located is None:
            self.restart()
            corners = detect_corners(grey, depth_m, camera, IDENTITY_POSE)
            self._last = _Last(grey, frame.stamp_ns, corners, IDENTITY_POSE, len(corners))
            return np.ones(depth_m.shape, np.float32)
        step_s = (frame.stamp_ns - last.at_ns) * 1e-9
        is_short = np.count_nonzero(located.inliers) < KEPT_SHARE * last.begun
        ratio = np.log(located.z_m / sample_depth(depth_m, located.corners.pixels, grey.shape))
        middle = float(np.median(ratio[located.inliers]))
        faded = -max(self._share_of(step_s), NEW_SHARE if is_short else 0.0) * middle
        scale = middle + faded
        field = _residual_field(located, ratio - middle, grey.shape, depth_m.shape)
        correction = np.exp(np.float32(scale) + field)
        corners = _pulled_to_network(located, middle - ratio, step_s).scaled(np.exp(faded))
        pose = located.pose.scaled(np.exp(faded))
        self._last = _Last(grey, frame.stamp_ns, corners, pose, last.begun)
        if is_short:
            self._last = _redetected(self._last, located.inliers, depth_m * correction, camera)
        return correction

    def _share_of(self, step_s: float) -> float:
        """Return the weight of a new frame in the mean that the stream's scale is."""
        self._age_s += step_s
        return min(1.0, step_s / min(self._age_s + step_s, SCALE_TIME_CONSTANT_S))


def _with_known_depth(located: PoseEstimate, depth_m: Depth, grey: Grey) -> PoseEstimate | None:
    """Return what was located with the corners alone whose depth is known; None if too few."""
    believed_m = sample_depth(depth_m, located.corners.pixels, grey.shape)
    known = np.isfinite(believed_m) & (believed_m > 0) & (located.z_m > 0)
    if np.count_nonzero(located.inliers & known) < LEAST_CORNERS:
        return None
    return PoseEstimate(
        located.corners.select(known),
        located.pose,
        located.inliers[known],
        located.z_m[known],
        located.variance[known],
    )


def _residual_field(
    located: PoseEstimate, left: Array, seen: tuple[int, ...], shape: tuple[int, ...]
) -> Depth:
    """Return the smooth part of what is left of the corners' disagreement, (h, w) float32."""
    inliers = located.inliers
    places = (located.corners.pixels[inliers] + 0.5) / seen[::-1]
    nodes = fit_ridge_grid(places, left[inliers], located.variance[inliers] + LOCAL_SIGMA**2)
    share = np.interp(inliers.mean(), TRUSTED_SHARES, (0, 1))
    return evaluate_grid(share * nodes, *shape)


def _pulled_to_network(located: PoseEstimate, network: Array, step_s: float) -> Corners:
    """Return corners with the depth that is believed of them drawn to the network's.

    network  (N,) how much farther the network sees them than they turned out to be, a logarithm
    """
    corners = located.corners
    drawn = min(1.0, step_s / NETWORK_TIME_CONSTANT_S) * (network + corners.log_depth)
    return replace(corners, rays_m=corners.rays_m * np.exp(drawn)[:, None])


def _redetected(
    last: _Last, inliers: NDArray[np.bool_], depth_m: Depth, camera: Intrinsics
) -> _Last:
    """Replace the corners that do not agree by others, at the corrected depth."""
    kept = last.corners.select(inliers)
    corners = kept.concatenated(detect_corners(last.grey, depth_m, camera, last.pose, kept))
    return replace(last, corners=corners, begun=len(corners))
