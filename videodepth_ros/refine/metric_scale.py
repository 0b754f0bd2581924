# SPDX-License-Identifier: Apache-2.0
"""Metric scale of an alignment: metres of its unit, and where they come from."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.alignment.constraints import ScaleReference
from videodepth_ros.core.arrays import Float32Array, Float64Array
from videodepth_ros.frames import ScaleSource
from videodepth_ros.geometry.pose import STATIC_EXTENT_DEPTHS, trajectory_extent
from videodepth_ros.refine.options import METRIC_SCALE, MetricScaleOptions


class MetricScaleSource(str, Enum):
    """Where the metres come from, the most reliable first."""

    PATH_LENGTH = 'path_length'  # length of the camera's path, given by the user
    DEPTH = 'depth'  # measured depth: of a depth camera or a lidar
    POSES = 'poses'  # known poses
    ODOMETRY = 'odometry'  # odometry of the recording
    INTRINSICS = 'intrinsics'  # canonical depth of a prior and the camera's focal length
    PRIOR = 'prior'  # a metric prior that runs on single frames of a stream
    MODEL = 'model'  # the unit of the prior's network: a guess
    NONE = 'none'  # the unit is arbitrary

    @property
    def is_metric(self) -> bool:
        """Whether lengths are measured, and neither guessed nor arbitrary."""
        return self not in (MetricScaleSource.NONE, MetricScaleSource.MODEL)


@dataclass(frozen=True)
class MetricScale:
    """Metres per unit of the alignment."""

    metres: float
    source: MetricScaleSource

    @property
    def is_metric(self) -> bool:
        """See `MetricScaleSource.is_metric`."""
        return self.source.is_metric


def metric_scale_source(source: ScaleSource | None) -> MetricScaleSource:
    """Return where metres come from that are those of a prior."""
    if source is None:
        return MetricScaleSource.NONE
    return (
        MetricScaleSource.DEPTH
        if source is ScaleSource.SENSOR
        else MetricScaleSource(source.value)
    )


def path_length(T_world_cam: Float64Array) -> float:
    """Return the length of the path of a camera, poses (N, 4, 4), in their unit."""
    return float(np.linalg.norm(np.diff(T_world_cam[:, :3, 3], axis=0), axis=1).sum())


def stationary_camera_notes(T_world_cam: Float64Array, depth: Float32Array) -> tuple[str, ...]:
    """Return a note if a camera, poses (N, 4, 4), has hardly moved relative to its depth (h, w).

    By the extent of the trajectory: noise makes the path longer with every frame.
    """
    known = depth[np.isfinite(depth)]
    median_depth = float(np.median(known)) if known.size else 1.0
    share = trajectory_extent(T_world_cam) / median_depth
    if len(T_world_cam) < 2 or share > STATIC_EXTENT_DEPTHS:
        return ()
    return (
        f'the camera has hardly moved, by {share:.1%} of the depth in front of it: it stood, '
        'only turned, or the images have too few features; depth is that of the prior, and '
        'positions are not reliable',
    )


def unused_odometry_notes(
    odometry_m: Float64Array | None, metres_per_unit: float
) -> tuple[str, ...]:
    """Return a note if the odometry of a moving camera gave no metres.

    odometry_m  (N - 1, 4, 4), pose of each frame in the one before in metres, NaN where unknown;
                None: there is none
    """
    if odometry_m is None or np.isfinite(metres_per_unit):
        return ()
    length_m = np.nansum(np.linalg.norm(odometry_m[:, :3, 3], axis=1))
    fault = 'stands still while the camera moves' if length_m == 0 else 'contradicts the images'
    return (
        f'the odometry is not used, as it {fault}: check that it is of this camera and by its '
        'clock, and that it does not jitter by more than a step',
    )


def prior_ratio_notes(
    scale: MetricScale,
    log_depth_ratios: NDArray[np.floating[Any]],
    source: ScaleSource | None,
    options: MetricScaleOptions = METRIC_SCALE,
) -> tuple[str, ...]:
    """Return a note if measured metres are far from those of a metric prior.

    log_depth_ratios, source  as of `estimate_metric_scale`
    """
    measured = (MetricScaleSource.ODOMETRY, MetricScaleSource.POSES, MetricScaleSource.PATH_LENGTH)
    is_compared = scale.source in measured and source is not None and source.is_metric
    if not is_compared or np.isnan(log_depth_ratios).all():
        return ()
    ratio = scale.metres / float(np.exp(np.nanmedian(log_depth_ratios)))
    if 1 / options.max_prior_ratio <= ratio <= options.max_prior_ratio:
        return ()
    return (
        f'by {scale.source.value.replace("_", " ")} all lengths are {ratio:.3g} times those of '
        'the prior: check its unit, which must be the metre',
    )


def log_depth_ratio(
    prior_depth: Float32Array, aligned_depth: Float32Array, stride: int = METRIC_SCALE.pixel_stride
) -> np.floating[Any]:
    """Return the median of ln(prior / aligned) of one frame, (h, w) each; NaN without overlap.

    stride  rows and columns between the pixels that are compared
    """
    grid = (slice(None, None, stride),) * 2
    with np.errstate(invalid='ignore', divide='ignore'):
        ratio = np.log(prior_depth[grid] / aligned_depth[grid])
    ratio = ratio[np.isfinite(ratio)]
    return np.median(ratio) if ratio.size else np.float64('nan')


def estimate_metric_scale(
    T_world_cam: Float64Array,
    log_depth_ratios: NDArray[np.floating[Any]],
    reference: ScaleReference,
    source: ScaleSource | None,
    path_length_m: float,
) -> MetricScale:
    """Return the metric scale of an alignment from the most reliable source.

    T_world_cam       (N, 4, 4) float64 in the unit of the alignment
    log_depth_ratios  (N,) of `log_depth_ratio`, with the prior's depth in metres of ``source``
    reference         what the alignment was scaled by
    path_length_m     length of the path that was measured; 0: not measured
    """
    length = path_length(T_world_cam)
    if path_length_m and length:
        return MetricScale(path_length_m / length, MetricScaleSource.PATH_LENGTH)
    if reference is not ScaleReference.PAIRS:
        return MetricScale(1.0, MetricScaleSource(reference.value))
    if source is None or np.isnan(log_depth_ratios).all():
        return MetricScale(1.0, MetricScaleSource.NONE)
    return MetricScale(float(np.exp(np.nanmedian(log_depth_ratios))), metric_scale_source(source))
