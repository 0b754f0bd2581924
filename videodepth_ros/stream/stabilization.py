# SPDX-License-Identifier: Apache-2.0
"""Stabilise the depth of a stream against the scale drift of a small network.

Corners are tracked from frame to frame (corner_tracking.py). Their depth starts at the network's
value and is refined by parallax as the camera moves. The median log ratio between the tracked
depths and the network's depth is the scale correction of the frame; the residual is fitted by a
smooth grid over the image (geometry/bilinear_grid.py). The scale correction decays to zero, and
tracked depths decay to the network's unless parallax contradicts it: the result is stable, but its
mean scale remains the network's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from videodepth_ros.core.arrays import Float32Array, Float64Array, MaskArray, UInt8Array
from videodepth_ros.frames import Frame
from videodepth_ros.geometry.bilinear_grid import evaluate_grid, fit_ridge_grid
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.stream.corner_tracking import (
    IDENTITY_POSE,
    Corners,
    Pose,
    PoseEstimate,
    detect_corners,
    downscaled_grey,
    sample_depth,
    track_and_localize,
)
from videodepth_ros.stream.options import StabilizerOptions

DEFAULTS = StabilizerOptions()


@dataclass(frozen=True)
class TrackedFrame:
    """What tracked corners give for one frame.

    factor        (h, w) float32, by which its depth is multiplied
    camera, pose  intrinsics at the size of the corners' image, and T_camera_world
    unit_m        length of a unit of the world at its first frame [m of the corrected depth]: the
                  world is scaled with the depth from then on
    inlier_share  share of the tracked corners that agree with the pose, 0 to 1
    is_first      whether another world begins with this frame
    """

    factor: Float32Array
    camera: Intrinsics
    pose: Pose
    unit_m: float
    inlier_share: float
    is_first: bool


@dataclass(frozen=True)
class _Last:
    """State after a frame.

    grey            (h, w) uint8, its image; stamp_ns its stamp
    detected        number of corners after the last detection
    unit_m          of `TrackedFrame`
    """

    grey: UInt8Array
    stamp_ns: int
    corners: Corners
    pose: Pose
    detected: int
    unit_m: float = 1.0


class DepthStabilizer:
    """Per-frame depth correction of one stream; not thread-safe."""

    def __init__(self, options: StabilizerOptions = DEFAULTS) -> None:
        self._options = options
        self._last: _Last | None = None
        self._age_s = 0.0

    def restart(self) -> None:
        """Drop all state: the next frame starts another stream."""
        self._last, self._age_s = None, 0.0

    def track(self, frame: Frame, depth_m: Float32Array) -> TrackedFrame:
        """Track the corners to the next frame, and correct its depth by theirs.

        depth_m  (h, w) float32 of the network, NaN or +inf where unknown
        """
        options, last = self._options, self._last
        grey, camera = downscaled_grey(frame, options.tracking)
        estimate = (
            track_and_localize(last.corners, last.pose, last.grey, grey, camera, options.tracking)
            if last
            else None
        )
        estimate = self._with_known_depth(estimate, depth_m, grey) if estimate else None
        if last is None or estimate is None:
            return self._first(frame, grey, camera, depth_m)
        step_s = (frame.stamp_ns - last.stamp_ns) * 1e-9
        redetects = np.count_nonzero(estimate.inliers) < options.min_inlier_share * last.detected
        ratio = np.log(estimate.z_m / sample_depth(depth_m, estimate.corners.pixels, grey.shape))
        log_scale = float(np.median(ratio[estimate.inliers]))
        weight = max(self._decay(step_s), options.redetection_weight if redetects else 0.0)
        decayed = -weight * log_scale
        field = residual_field(estimate, ratio - log_scale, grey.shape, depth_m.shape, options)
        correction = np.exp(np.float32(log_scale + decayed) + field)
        corners = self._pulled_to_network(estimate, log_scale - ratio, step_s)
        scaling = float(np.exp(decayed))
        pose, unit_m = estimate.pose.scaled(scaling), last.unit_m * scaling
        self._last = _Last(
            grey, frame.stamp_ns, corners.scaled(scaling), pose, last.detected, unit_m
        )
        if redetects:
            self._redetect(estimate.inliers, depth_m * correction, camera)
        inlier_share = float(estimate.inliers.mean())
        return TrackedFrame(correction, camera, pose, unit_m, inlier_share, is_first=False)

    def _first(
        self, frame: Frame, grey: UInt8Array, camera: Intrinsics, depth_m: Float32Array
    ) -> TrackedFrame:
        """Start a stream: detect corners, and leave the depth as it is."""
        self.restart()
        corners = detect_corners(
            grey, depth_m, camera, IDENTITY_POSE, options=self._options.tracking
        )
        self._last = _Last(grey, frame.stamp_ns, corners, IDENTITY_POSE, len(corners))
        nothing = np.ones(depth_m.shape, np.float32)
        return TrackedFrame(nothing, camera, IDENTITY_POSE, 1.0, 1.0, is_first=True)

    def _decay(self, step_s: float) -> float:
        """Return the weight of a new frame in the running mean of the stream's scale."""
        self._age_s += step_s
        return min(1.0, step_s / min(self._age_s + step_s, self._options.scale_time_constant_s))

    def _with_known_depth(
        self, estimate: PoseEstimate, depth_m: Float32Array, grey: UInt8Array
    ) -> PoseEstimate | None:
        """Drop the corners without network depth; None if too few inliers remain."""
        network_m = sample_depth(depth_m, estimate.corners.pixels, grey.shape)
        known = np.isfinite(network_m) & (network_m > 0) & (estimate.z_m > 0)
        if np.count_nonzero(estimate.inliers & known) < self._options.tracking.min_corners:
            return None
        return PoseEstimate(
            estimate.corners.select(known),
            estimate.pose,
            estimate.inliers[known],
            estimate.z_m[known],
            estimate.variance[known],
        )

    def _pulled_to_network(
        self, estimate: PoseEstimate, log_error: Float64Array, step_s: float
    ) -> Corners:
        """Move the prior depth of the corners towards the network's.

        log_error  (N,) log of the network's depth over the estimated one
        """
        corners = estimate.corners
        weight = min(1.0, step_s / self._options.network_time_constant_s)
        drawn = weight * (log_error + corners.log_depth)
        return replace(corners, rays_m=corners.rays_m * np.exp(drawn)[:, None])

    def _redetect(self, inliers: MaskArray, depth_m: Float32Array, camera: Intrinsics) -> None:
        """Replace the outliers by new corners at the corrected depth (h, w)."""
        last = self._last
        assert last is not None
        kept = last.corners.select(inliers)
        new = detect_corners(last.grey, depth_m, camera, last.pose, kept, self._options.tracking)
        corners = kept.concatenated(new)
        self._last = replace(last, corners=corners, detected=len(corners))


def residual_field(
    estimate: PoseEstimate,
    residual: Float64Array,
    image_shape: tuple[int, ...],
    shape: tuple[int, ...],
    options: StabilizerOptions = DEFAULTS,
) -> Float32Array:
    """Fit a smooth field of ``shape`` (h, w) float32 to the log depth residuals (N,) of inliers.

    Its weight falls to zero with the inlier share: on repetitive texture, such as a road, many
    corners slide together.
    """
    inliers = estimate.inliers
    places = (estimate.corners.pixels[inliers] + 0.5) / image_shape[::-1]
    variance = estimate.variance[inliers] + options.local_sigma**2
    nodes = fit_ridge_grid(places, residual[inliers], variance, options.grid)
    weight = np.interp(inliers.mean(), options.field_inlier_shares, (0, 1))
    return evaluate_grid(weight * nodes, *shape)
