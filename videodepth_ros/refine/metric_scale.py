# SPDX-License-Identifier: Apache-2.0
"""How long the unit of an alignment is in metres, and who says so."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.alignment.constraints import ScaleReference
from videodepth_ros.alignment.hierarchy import ClipAlignment
from videodepth_ros.frames import ScaleSource
from videodepth_ros.geometry.pose import STATIC_EXTENT_DEPTHS, trajectory_extent

Array = NDArray[np.float32]
Array64 = NDArray[np.float64]

STRIDE = 4
"""Rows and columns between the pixels that are compared."""


class MetricScaleSource(str, Enum):
    """Who says how long the unit is."""

    PATH_LENGTH = 'path_length'  # the operator, who knows how far the camera went
    DEPTH = 'depth'  # measured depth: a depth camera's, or a lidar's
    POSES = 'poses'  # known poses
    ODOMETRY = 'odometry'  # odometry
    INTRINSICS = 'intrinsics'  # a prior's canonical depth and the camera's focal length
    PRIOR = 'prior'  # a metric prior that looked at a frame now and then
    MODEL = 'model'  # the prior's own unit: a guess
    NONE = 'none'  # nobody: the unit is arbitrary


@dataclass(frozen=True)
class MetricScale:
    """Metres to a unit of the alignment, and who says so."""

    metres: float
    source: MetricScaleSource


def metric_scale_source(source: ScaleSource | None) -> MetricScaleSource:
    """Return who says how long a metre of a prior is."""
    if source is None:
        return MetricScaleSource.NONE
    return (
        MetricScaleSource.DEPTH
        if source is ScaleSource.SENSOR
        else MetricScaleSource(source.value)
    )


def path_length(T_world_cam: Array64) -> float:
    """Return the length of the way of a camera, poses (N, 4, 4), in their unit."""
    return float(np.linalg.norm(np.diff(T_world_cam[:, :3, 3], axis=0), axis=1).sum())


def stationary_camera_notes(T_world_cam: Array64, depth: Array) -> tuple[str, ...]:
    """Return a note where a camera, poses (N, 4, 4), has hardly moved against a depth (h, w).

    Not the path's length but its reach is judged, for noise lengthens a path with every frame.
    """
    known = depth[np.isfinite(depth)]
    far = float(np.median(known)) if known.size else 1.0
    share = trajectory_extent(T_world_cam) / far
    if len(T_world_cam) < 2 or share > STATIC_EXTENT_DEPTHS:
        return ()
    return (
        f'hardly any motion of the camera was seen, {share:.1%} of the depth before it: '
        'it stood, only turned, or the images show too little; depth is what the prior says, '
        'and positions mean little',
    )


def estimate_metric_scale(
    clips: Iterable[ClipAlignment],
    prior_depth: Array,
    source: ScaleSource | None,
    path_length_m: float,
) -> MetricScale:
    """Return the unit of the aligned clips, by the best of those that know it.

    prior_depth    (N, h, w) float32, Z in the metres of ``source``
    path_length_m  that somebody has measured; 0: nobody has
    """
    poses, logs, scale_reference = [], [], ScaleReference.PAIRS
    for clip in clips:
        scale_reference = clip.scale_reference
        poses.append(clip.T_world_cam)
        for n, aligned in zip(clip.frames, clip.depth, strict=True):
            grid = (slice(None, None, STRIDE), slice(None, None, STRIDE))
            with np.errstate(invalid='ignore', divide='ignore'):
                ratio = np.log(prior_depth[n][grid] / aligned[grid])
            ratio = ratio[np.isfinite(ratio)]
            logs.append(np.median(ratio) if ratio.size else np.nan)
    length = path_length(np.concatenate(poses))
    if path_length_m and length:
        return MetricScale(path_length_m / length, MetricScaleSource.PATH_LENGTH)
    if scale_reference is not ScaleReference.PAIRS:
        return MetricScale(1.0, MetricScaleSource(scale_reference.value))
    if source is None or np.isnan(logs).all():
        return MetricScale(1.0, MetricScaleSource.NONE)
    return MetricScale(float(np.exp(np.nanmedian(logs))), metric_scale_source(source))
