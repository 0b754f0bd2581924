# SPDX-License-Identifier: Apache-2.0
"""The objective at one state, linearised: every residual becomes a part of H x = -gradient.

For frame n and pair e the transform of a residual is T_n_e = inverse(T_world_n) T_world_e; twists
of the world move it by Ad(inverse(T_world_n)) (x_e - x_n). A flow from n to j has T_j_n, which
moves by Ad(inverse(T_world_j)) (x_n - x_j).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.alignment.constraints import BASE_SCALE, PoseFactor
from videodepth_ros.alignment.observations import FrameObservations
from videodepth_ros.alignment.parameters import RIGID, AlignmentState, ParameterLayout
from videodepth_ros.alignment.ray_depth import weiszfeld_depth
from videodepth_ros.alignment.residuals import (
    LinearizedResiduals,
    eliminate_depth,
    flow_residuals,
    measured_depth_residuals,
    point_map_residuals,
)
from videodepth_ros.geometry.block_solver import NormalEquations
from videodepth_ros.geometry.sim3 import SIM3_DOF

Array = NDArray[np.float32]
Array64 = NDArray[np.float64]
Indices = NDArray[np.intp]

FIRST_PASSES, PASSES = 5, 2


@dataclass(frozen=True)
class Cost:
    """The objective, in the unit in which the pairs' mean scale is one half, as published.

    data    mean over all pixels of all pairs: log confidence times distance, both views added
    flow    weighted smooth L1 error of flow
    prior   weighted smoothing, and the priors on poses and depths
    """

    data: float
    flow: float
    prior: float

    @property
    def total(self) -> float:
        """The sum of all terms."""
        return self.data + self.flow + self.prior


@dataclass(frozen=True)
class Linearization:
    """A state, its depths (P,) of every frame, its cost, and the equations of a step from it."""

    state: AlignmentState
    depths: Sequence[Array]
    cost: Cost
    equations: NormalEquations


class AlignmentProblem:
    """All residuals at one sampling of the frames."""

    def __init__(
        self,
        views: Sequence[FrameObservations],
        unknowns: ParameterLayout,
        pairs: int,
        smoothing: Sequence[PoseFactor],
        priors: Sequence[PoseFactor],
        flow_weight: float,
        depth_weight: float,
    ) -> None:
        """Take the frames' views, ``smoothing`` in the pairs' unit and ``priors`` in metres.

        flow_weight   of the mean flow error in pixels; depth_weight of measured depths
        """
        self._views, self._unknowns, self._depth_weight = views, unknowns, depth_weight
        self._smoothing, self._priors = smoothing, priors
        weighed = [view.pair[view.weight.any(axis=1)] for view in views]
        self._scales = unknowns.pair_scales()[np.unique(np.concatenate(weighed))]
        self._per_pixel = 1 / (pairs * views[0].offset.shape[1])
        followed = 2 * sum(float(view.flow_weight.sum()) for view in views)
        self._per_flow = 2 * flow_weight / followed if followed else 0.0

    def at(self, state: AlignmentState, depths: Sequence[Array] | None = None) -> Linearization:
        """Linearise at ``state``; its depths are sought from ``depths`` on."""
        equations, unit = NormalEquations(self._unknowns.group_of), published_unit(state)
        share, found = self._per_pixel * unit, []
        data = flow = prior = 0.0
        for view in self._views:
            start = None if depths is None else depths[view.frame]
            depth, blocks = self._residuals(view, state, start)
            system = share * eliminate_depth(blocks)
            numbers, change = self._changes(view, state, len(system) - 1)
            equations.add(
                numbers, change.T @ system[:-1, :-1] @ change, change.T @ system[:-1, -1]
            )
            found.append(depth)
            data += share * blocks[0].value
            flow += share * blocks[1].value
            prior += share * sum(block.value for block in blocks[2:])
        for factors, length in ((self._smoothing, unit), (self._priors, 1.0)):
            for factor in factors:
                prior += factor.add_to(equations, self._unknowns, state, length)
        self._keep_scale(equations)
        return Linearization(state, found, Cost(data, flow, prior), equations)

    def _residuals(
        self, view: FrameObservations, state: AlignmentState, start: Array | None
    ) -> tuple[Array, list[LinearizedResiduals]]:
        """Return the depth of one frame (P,), and its residuals: points, flow, measured depth.

        All are weighed against a point of log confidence 1.
        """
        rays = state.rays(view.frame, view.offset)
        seen = state.seen(view.frame, view.pair, view.points)
        depth = weiszfeld_depth(
            rays,
            *with_measured_depth(view, rays, seen, self._depth_weight),
            FIRST_PASSES if start is None else PASSES,
            start,
        )
        depth = np.where(np.isnan(depth), np.float32(1), depth)  # of no weight, and no harm
        blocks = [point_map_residuals(depth, rays, seen, view.weight)]
        others = state.cameras[view.flow_to].inverse() @ state.cameras[view.frame]
        flow = flow_residuals(
            depth, rays, others, np.exp(state.log_focal[view.flow_to]), state.aspect, view
        )
        blocks.append(flow.weighted(self._per_flow / (self._per_pixel * published_unit(state))))
        if np.isfinite(view.depth).any():
            blocks.append(measured_depth_residuals(depth, rays, view.depth, self._depth_weight))
        return depth, blocks

    def _changes(
        self, view: FrameObservations, state: AlignmentState, rows: int
    ) -> tuple[Indices, Array64]:
        """Say how the twists of one frame's residuals, and its focal length, follow the unknowns.

        returns  numbers of unknowns (n,), each once, and the derivative (rows, n): rows are 7 for
                 each point map, 7 for each flow, 7 without effect where depth was measured, 1
        """
        unknowns, n, points = self._unknowns, view.frame, SIM3_DOF * len(view.pair)
        numbers = [unknowns.camera(n), np.array([unknowns.focal(n)]), unknowns.pairs(view.pair)]
        into = state.cameras[n].inverse().adjoint()
        change = np.zeros((rows, RIGID + 1 + points + SIM3_DOF * len(view.flow_to)))
        change[-1, RIGID] = 1.0
        for row in range(0, points, SIM3_DOF):
            change[row : row + SIM3_DOF, :RIGID] = -into[:, :RIGID]
            change[row : row + SIM3_DOF, RIGID + 1 + row :][:, :SIM3_DOF] = into
        for f, j in enumerate(view.flow_to):
            row, into = points + SIM3_DOF * f, state.cameras[j].inverse().adjoint()
            into[RIGID] = 0
            change[row : row + SIM3_DOF, :RIGID] = into[:, :RIGID]
            own = change[row : row + SIM3_DOF, RIGID + 1 + row :][:, :SIM3_DOF]
            own[:, :RIGID], own[RIGID, RIGID] = -into[:, :RIGID], 1.0
            numbers += [unknowns.camera(j), np.array([unknowns.focal(j)])]
        once, place = np.unique(np.concatenate(numbers), return_inverse=True)
        return once, change @ np.eye(len(once))[place]

    def _keep_scale(self, equations: NormalEquations) -> None:
        """Let no step change the mean log scale of the pairs: a Lagrange multiplier."""
        share = 1 / len(self._scales)
        for scale in self._scales:
            equations.add(
                np.array([scale, self._unknowns.multiplier]),
                np.array([[0, share], [share, 0]]),
                np.zeros(2),
            )


def published_unit(state: AlignmentState) -> float:
    """Return what one unit of the state is in the unit of the published objective."""
    return BASE_SCALE / float(np.exp(state.mean_log_scale))


def with_measured_depth(
    view: FrameObservations, rays: Array, seen: Array, weight: float
) -> tuple[Array, Array]:
    """Return points (M, 3, P) and weights (M, P) with the measured depth as one point map more."""
    known = np.isfinite(view.depth)
    if not known.any():
        return seen, view.weight
    point = np.where(known, view.depth, 0) * rays
    return (
        np.concatenate([seen, point[None]]),
        np.concatenate([view.weight, np.where(known, np.float32(weight), 0)[None]]),
    )
