# SPDX-License-Identifier: Apache-2.0
"""A chain of cameras brought to where its loops close, as a start for the bundle adjustment.

The frames at the ends of loops, and some between, are the nodes of a small pose graph of
similarities (Strasdat et al., "Scale drift-aware large scale monocular SLAM", RSS 2010): their
chain may bend, turn and change its scale a little everywhere, and a loop says how its ends lie to
each other. What the nodes are moved by is shared out to the frames between.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.geometry.rotation import so3_exp, so3_log
from videodepth_ros.geometry.sim3 import SIM3_DOF, Sim3
from videodepth_ros.sfm.loop_closure import Loop
from videodepth_ros.sfm.reprojection import CAUCHY, Noise, Scene, Sightings

Array = NDArray[np.float64]
Indices = NDArray[np.intp]

CHAIN_SHARE, CHAIN_SCALE = 0.1, 0.2
"""Of the whole way and turn, the standard deviation of the whole chain; of its log scale."""
STILL_SHARE, STILL_TURN_RAD = 0.002, 0.002
"""What a frame adds to way and turn even if it stands: of the median depth, and radians."""
LOOP_SHARE, LOOP_TURN_RAD = 0.02, 0.005
"""Standard deviations of a loop: of its points' depth, and radians."""
NODES = 32
"""Spread over the recording, besides the ends of loops."""
STEPS = 15


@dataclass(frozen=True)
class _Edge:
    """How two nodes lie to each other: T_b_a, and the inverse variances (7,) of its errors."""

    a: int
    b: int
    T_b_a: Sim3
    weight: Array
    robust: bool


def closed(seen: Sightings, scene: Scene, noise: Noise, loops: Sequence[Loop]) -> Scene:
    """Return the scene with its cameras, points and scales where the loops want them."""
    evenly = np.linspace(0, seen.frames - 1, NODES).round().astype(np.intp)
    nodes = np.unique([*evenly, *(loop.i for loop in loops), *(loop.j for loop in loops)])
    edges = _chain(scene, noise, nodes) + [_loop_edge(loop, nodes) for loop in loops]
    start = scene.cameras[nodes]
    moved = _solved(start, edges)
    ties = _shared_out(moved.inverse() @ start, nodes, len(scene.log_scale))
    cameras = scene.cameras @ ties.inverse()
    log_scale = np.log(ties.scale)
    rigid = Sim3(
        np.ones(len(log_scale)), cameras.rotation, cameras.translation * ties.scale[:, None]
    )
    return replace(
        scene,
        cameras=rigid,
        log_scale=scene.log_scale + log_scale,
        log_inverse=scene.log_inverse - log_scale[seen.frame[seen.first]],
    )


def _chain(scene: Scene, noise: Noise, nodes: Indices) -> list[_Edge]:
    """Return the edges between neighbouring nodes, whose errors grow with way and turn."""
    steps = scene.cameras[1:] @ scene.cameras[:-1].inverse()
    reach = float(np.exp(-np.median(scene.log_inverse)))
    way = np.linalg.norm(steps.translation, axis=1) + STILL_SHARE * reach
    turn = np.linalg.norm(so3_log(steps.rotation), axis=1) + STILL_TURN_RAD
    scale = noise.scale if noise.measured else CHAIN_SCALE
    edges = []
    for a, (first, last) in enumerate(pairwise(nodes)):
        part = slice(first, last)
        variance = np.repeat(
            [
                CHAIN_SHARE**2 * way[part].sum() * way.sum(),
                CHAIN_SHARE**2 * turn[part].sum() * turn.sum(),
                scale**2 * way[part].sum() / way.sum(),
            ],
            [3, 3, 1],
        )
        edges.append(
            _Edge(
                a, a + 1, scene.cameras[last] @ scene.cameras[first].inverse(), 1 / variance, False
            )
        )
    return edges


def _loop_edge(loop: Loop, nodes: Indices) -> _Edge:
    """Return what a loop says: the unit of frame j is not known, only its pose."""
    sigma = np.repeat([LOOP_SHARE * loop.reach, LOOP_TURN_RAD, np.inf], [3, 3, 1])
    a, b = np.searchsorted(nodes, [loop.i, loop.j])
    return _Edge(int(a), int(b), Sim3.from_se3(loop.T_j_i), sigma**-2, True)


def _solved(nodes: Sim3, edges: Sequence[_Edge]) -> Sim3:
    """Minimise the edges' errors by Gauss-Newton steps; the first node stays."""
    size = SIM3_DOF * len(nodes.scale)
    for _ in range(STEPS):
        H, gradient = np.zeros((size, size)), np.zeros(size)
        for edge in edges:
            there = nodes[edge.b] @ nodes[edge.a].inverse()
            off = there @ edge.T_b_a.inverse()
            error = np.r_[off.translation, so3_log(off.rotation), np.log(off.scale)]
            weight = edge.weight
            if edge.robust:
                weight = weight / (1 + (weight * error) @ error / CAUCHY**2)
            J = np.hstack([-there.adjoint(), np.eye(SIM3_DOF)])
            at = np.r_[
                SIM3_DOF * edge.a : SIM3_DOF * (edge.a + 1),
                SIM3_DOF * edge.b : SIM3_DOF * (edge.b + 1),
            ]
            H[np.ix_(at, at)] += (J.T * weight) @ J
            gradient[at] += (J.T * weight) @ error
        step = np.zeros(size)
        step[SIM3_DOF:] = -np.linalg.solve(H[SIM3_DOF:, SIM3_DOF:], gradient[SIM3_DOF:])
        nodes = nodes.retract(step.reshape(-1, SIM3_DOF))
    return nodes


def _shared_out(ties: Sim3, nodes: Indices, frames: int) -> Sim3:
    """Return for every frame the similarity from the old world to the new one."""
    after = np.clip(np.searchsorted(nodes, np.arange(frames), side='right'), 1, len(nodes) - 1)
    before = after - 1
    share = np.clip((np.arange(frames) - nodes[before]) / (nodes[after] - nodes[before]), 0, 1)
    step = ties[before].inverse() @ ties[after]
    turn = so3_exp(share[:, None] * so3_log(step.rotation))
    part = Sim3(step.scale**share, turn, share[:, None] * step.translation)
    return ties[before] @ part
