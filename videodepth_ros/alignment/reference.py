# SPDX-License-Identifier: Apache-2.0
"""The published objective, evaluated pixel by pixel: the plain reference of `problem.py`.

DUSt3R (arXiv 2312.14132, eq. 5) with weights log(confidence), MonST3R (arXiv 2410.03825, eq. 4 to
6) for smoothing and flow, with the constants that Align3R uses.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from videodepth_ros.alignment.global_alignment import GlobalAlignment
from videodepth_ros.alignment.options import PUBLISHED_BASE_SCALE
from videodepth_ros.alignment.pairs import PointMapPair
from videodepth_ros.alignment.problem import Cost
from videodepth_ros.core.arrays import Float64Array
from videodepth_ros.geometry.camera import backproject
from videodepth_ros.geometry.motion_mask import ego_flow

MAX_FLOW_LOSS = 50.0
"""Smooth L1 flow errors from here on are dropped (MonST3R's code)."""


def published_cost(
    pairs: Sequence[PointMapPair],
    alignment: GlobalAlignment,
    *,
    rotation_smoothing: float = 0.01,
    translation_smoothing: float = 0.01,
    flow_weight: float = 0.01,
) -> Cost:
    """Return the objective at full resolution, in the published unit.

    Unknown points, and pixels without depth, count as zero.
    """
    unit = PUBLISHED_BASE_SCALE / float(np.exp(np.log(alignment.pair_scale).mean()))
    world = [_world_points(alignment, frame) for frame in range(len(alignment.depth))]
    data = sum(_pair_error(pair, alignment, index, world) for index, pair in enumerate(pairs))
    smoothing = 0.0
    for T, T_next in pairwise(alignment.T_world_cam):
        step = np.linalg.inv(T) @ T_next
        smoothing += rotation_smoothing * float(np.linalg.norm(step[:3, :3] - np.eye(3)))
        smoothing += translation_smoothing * unit * float(np.linalg.norm(step[:3, 3]))
    flow = 2 * flow_weight * _flow_error(pairs, alignment)
    return Cost(unit * data / len(pairs), flow, smoothing)


def _world_points(alignment: GlobalAlignment, frame: int) -> Float64Array:
    """Return the points (h, w, 3) of a frame in the world."""
    T = alignment.T_world_cam[frame]
    points: Float64Array = (
        backproject(alignment.depth[frame], alignment.cameras[frame]) @ T[:3, :3].T + T[:3, 3]
    )
    return points


def _pair_error(
    pair: PointMapPair, alignment: GlobalAlignment, index: int, world: list[Float64Array]
) -> float:
    """Return the mean weighted distance of both views of a pair, added."""
    T, scale, total = alignment.T_world_pair[index], alignment.pair_scale[index], 0.0
    for frame, points, confidence in (
        (pair.i, pair.points_i, pair.confidence_i),
        (pair.j, pair.points_j, pair.confidence_j),
    ):
        in_world = scale * points.astype(np.float64) @ T[:3, :3].T + T[:3, 3]
        distance = np.linalg.norm(world[frame] - in_world, axis=-1)
        total += float(np.nan_to_num(np.log(confidence) * distance).mean())
    return total


def _flow_error(pairs: Sequence[PointMapPair], alignment: GlobalAlignment) -> float:
    """Return the mean smooth L1 error of the flow [px], over static pixels and both components."""
    total, count = 0.0, 0
    for pair in pairs:
        if pair.flow is None:
            continue
        T_other_cam = np.linalg.inv(alignment.T_world_cam[pair.j]) @ alignment.T_world_cam[pair.i]
        expected = ego_flow(
            alignment.depth[pair.i],
            alignment.cameras[pair.i],
            T_other_cam,
            alignment.cameras[pair.j],
        )
        error = np.abs(expected - pair.flow)
        loss = np.where(error < 1, 0.5 * error**2, error - 0.5)
        kept = loss < MAX_FLOW_LOSS
        if alignment.moving is not None:
            kept &= ~alignment.moving[pair.i][..., None]
        total, count = total + float(loss[kept].sum()), count + int(np.count_nonzero(kept))
    return total / max(count, 1)
