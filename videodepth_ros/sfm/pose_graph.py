# SPDX-License-Identifier: Apache-2.0
"""Pose graph optimization over similarities: the start of bundle adjustment with loop closures.

Nodes are the frames at the ends of loops and some between. Edges of odometry allow a small drift
in position, rotation and scale everywhere; edges of loop closures fix relative poses (Strasdat et
al., "Scale drift-aware large scale monocular SLAM", RSS 2010). The corrections of the nodes are
interpolated to all frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from videodepth_ros.core.arrays import Float64Array, IndexArray, MaskArray
from videodepth_ros.geometry.rotation import so3_exp, so3_log
from videodepth_ros.geometry.sim3 import SIM3_DOF, Sim3
from videodepth_ros.sfm.loop_closure import LoopClosure
from videodepth_ros.sfm.loop_options import PoseGraphOptions
from videodepth_ros.sfm.pieces import Pieces
from videodepth_ros.sfm.reprojection import BundleState, NoiseModel, Observations


@dataclass(frozen=True)
class _PoseGraphEdge:
    """Relative pose T_b_a of two nodes, and the inverse variances (7,) of its error."""

    a: int
    b: int
    T_b_a: Sim3
    weight: Float64Array
    robust: bool


def optimize_pose_graph(
    observations: Observations,
    state: BundleState,
    noise: NoiseModel,
    loops: Sequence[LoopClosure],
    options: PoseGraphOptions = PoseGraphOptions(),
    pieces: Pieces | None = None,
) -> BundleState:
    """Return the state with cameras, points and prior scales moved so that the loops close.

    pieces  whose relative poses are unknown; None: one
    """
    evenly = np.linspace(0, observations.frames - 1, options.nodes).round().astype(np.intp)
    ends = [frame for span in pieces.spans for frame in span] if pieces else []
    nodes = np.unique([*evenly, *ends, *(loop.i for loop in loops), *(loop.j for loop in loops)])
    is_linked = pieces.is_linked if pieces else np.ones(observations.frames - 1, np.bool_)
    edges = _odometry_edges(state, noise, nodes, is_linked, options)
    edges += [_loop_edge(loop, nodes, options) for loop in loops]
    start = state.T_cam_world[nodes]
    optimized = _solve(start, edges, options)
    corrections = _interpolate_corrections(optimized.inverse() @ start, nodes, observations.frames)
    T_cam_world, log_scale = state.T_cam_world @ corrections.inverse(), np.log(corrections.scale)
    rigid = Sim3(
        np.ones(len(log_scale)),
        T_cam_world.rotation,
        T_cam_world.translation * corrections.scale[:, None],
    )
    reference_frame = observations.frame[observations.start]
    return replace(
        state,
        T_cam_world=rigid,
        log_prior_scale=state.log_prior_scale + log_scale,
        log_inverse_depth=state.log_inverse_depth - log_scale[reference_frame],
    )


def place_pieces(state: BundleState, loops: Sequence[LoopClosure], pieces: Pieces) -> BundleState:
    """Move each piece as a whole to where its loop closures to earlier pieces put it."""
    T, number = state.T_cam_world.se3, pieces.number
    for piece in range(1, pieces.count):
        closing = [loop for loop in loops if number[loop.i] < piece == number[loop.j]]
        if closing:
            loop = closing[len(closing) // 2]
            move = np.linalg.inv(T[loop.j]) @ loop.T_j_i @ T[loop.i]
            T[number == piece] = T[number == piece] @ move
    return replace(state, T_cam_world=Sim3.from_se3(T))


def _odometry_edges(
    state: BundleState,
    noise: NoiseModel,
    nodes: IndexArray,
    is_linked: MaskArray,
    options: PoseGraphOptions,
) -> list[_PoseGraphEdge]:
    """Return the edges of consecutive nodes; variance grows with path length and rotation."""
    T_cam_world = state.T_cam_world
    steps = T_cam_world[1:] @ T_cam_world[:-1].inverse()
    depth = float(np.exp(-np.median(state.log_inverse_depth)))
    path = np.linalg.norm(steps.translation, axis=1) + options.min_motion_depths * depth
    rotation = np.linalg.norm(so3_log(steps.rotation), axis=1) + options.min_rotation_rad
    sigma = options.odometry_sigma
    scale_sigma = noise.log_scale_sigma if noise.is_measured else options.odometry_log_scale_sigma
    edges = []
    for a, (first, last) in enumerate(pairwise(nodes)):
        part = slice(first, last)
        variance = np.repeat(
            [
                sigma**2 * path[part].sum() * path.sum(),
                sigma**2 * rotation[part].sum() * rotation.sum(),
                scale_sigma**2 * path[part].sum() / path.sum(),
            ],
            [3, 3, 1],
        )
        if not is_linked[part].all():
            variance *= options.piece_sigma_ratio**2
        T_b_a = T_cam_world[last] @ T_cam_world[first].inverse()
        edges.append(_PoseGraphEdge(a, a + 1, T_b_a, 1 / variance, robust=False))
    return edges


def _loop_edge(loop: LoopClosure, nodes: IndexArray, options: PoseGraphOptions) -> _PoseGraphEdge:
    """Return the edge of a loop closure: its relative pose; the scale of frame j is free."""
    sigma = np.repeat(
        [options.loop_sigma_depths * loop.median_depth, options.loop_sigma_rad, np.inf], [3, 3, 1]
    )
    a, b = np.searchsorted(nodes, [loop.i, loop.j])
    return _PoseGraphEdge(int(a), int(b), Sim3.from_se3(loop.T_j_i), sigma**-2, robust=True)


def _solve(nodes: Sim3, edges: Sequence[_PoseGraphEdge], options: PoseGraphOptions) -> Sim3:
    """Minimize the errors of the edges by Gauss-Newton steps; the first node is constant."""
    size = SIM3_DOF * len(nodes.scale)
    for _ in range(options.iterations):
        H, gradient = np.zeros((size, size)), np.zeros(size)
        for edge in edges:
            T_b_a = nodes[edge.b] @ nodes[edge.a].inverse()
            off = T_b_a @ edge.T_b_a.inverse()
            error = np.r_[off.translation, so3_log(off.rotation), np.log(off.scale)]
            weight = edge.weight
            if edge.robust:
                weight = weight / (1 + (weight * error) @ error / options.cauchy_scale**2)
            J = np.hstack([-T_b_a.adjoint(), np.eye(SIM3_DOF)])
            a, b = SIM3_DOF * edge.a, SIM3_DOF * edge.b
            at = np.r_[a : a + SIM3_DOF, b : b + SIM3_DOF]
            H[np.ix_(at, at)] += (J.T * weight) @ J
            gradient[at] += (J.T * weight) @ error
        step, free = np.zeros(size), slice(SIM3_DOF, None)
        step[free] = -np.linalg.solve(H[free, free], gradient[free])
        nodes = nodes.retract(step.reshape(-1, SIM3_DOF))
    return nodes


def _interpolate_corrections(corrections: Sim3, nodes: IndexArray, frames: int) -> Sim3:
    """Return the similarity from the old world to the new one for every frame."""
    after = np.clip(np.searchsorted(nodes, np.arange(frames), side='right'), 1, len(nodes) - 1)
    before = after - 1
    share = np.clip((np.arange(frames) - nodes[before]) / (nodes[after] - nodes[before]), 0, 1)
    step = corrections[before].inverse() @ corrections[after]
    rotation = so3_exp(share[:, None] * so3_log(step.rotation))
    part = Sim3(step.scale**share, rotation, share[:, None] * step.translation)
    return corrections[before] @ part
