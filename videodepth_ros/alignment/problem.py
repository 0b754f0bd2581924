# SPDX-License-Identifier: Apache-2.0
"""Linearisation of the objective at one state: every residual adds to H x = -gradient.

For frame n and pair e the transform of a residual is T_n_e = inverse(T_world_n) T_world_e; twists
in the world change it by Ad(inverse(T_world_n)) (x_e - x_n). A flow from n to j has T_j_n, which
changes by Ad(inverse(T_world_j)) (x_n - x_j).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from videodepth_ros.alignment.constraints import PoseFactor
from videodepth_ros.alignment.observations import FrameObservations
from videodepth_ros.alignment.options import PUBLISHED_BASE_SCALE, AlignmentOptions
from videodepth_ros.alignment.parameters import SE3_DOF, AlignmentState, ParameterLayout
from videodepth_ros.alignment.ray_depth import weiszfeld_depth
from videodepth_ros.alignment.residuals import (
    LinearizedResiduals,
    eliminate_depth,
    flow_residuals,
    measured_depth_residuals,
    point_map_residuals,
)
from videodepth_ros.core.arrays import Float32Array, Float64Array, IndexArray
from videodepth_ros.geometry.block_solver import NormalEquations
from videodepth_ros.geometry.sim3 import SIM3_DOF


@dataclass(frozen=True)
class Cost:
    """Terms of the objective in the published gauge, where the pairs' mean scale is one half.

    data    mean over all pixels of all pairs: log confidence times distance, both views added
    flow    weighted smooth L1 error of the flow
    prior   smoothing, and constraints on poses and depths, weighted
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
    """A state, the depths (P,) of every frame, the cost, and the normal equations of a step."""

    state: AlignmentState
    depths: Sequence[Float32Array]
    cost: Cost
    equations: NormalEquations


class AlignmentProblem:
    """All residuals at one sampling of the frames."""

    def __init__(
        self,
        frames: Sequence[FrameObservations],
        layout: ParameterLayout,
        smoothness: Sequence[PoseFactor],
        constraints: Sequence[PoseFactor],
        options: AlignmentOptions,
        *,
        pair_count: int,
        use_flow: bool,
        depth_weight: float,
    ) -> None:
        """Normalise the terms as published: means over pixels and over flow components.

        smoothness    in the published unit; constraints in metres
        depth_weight  of measured depths, as a log confidence
        """
        self._frames, self._layout, self._options = frames, layout, options
        self._smoothness, self._constraints = smoothness, constraints
        self._depth_weight = depth_weight
        weighted = [frame.pair[frame.weight.any(axis=1)] for frame in frames]
        self._log_scales = layout.pair_log_scales()[np.unique(np.concatenate(weighted))]
        self._per_pixel = 1 / (pair_count * frames[0].offset_px.shape[1])
        flow_weight = options.flow_weight if use_flow else 0.0
        components = 2 * sum(float(frame.flow_weight.sum()) for frame in frames)
        self._per_flow = 2 * flow_weight / components if components else 0.0

    def linearize(
        self, state: AlignmentState, depths: Sequence[Float32Array] | None = None
    ) -> Linearization:
        """Linearise at ``state``; its depths are iterated from ``depths``, (P,) of each frame."""
        equations, unit = NormalEquations(self._layout.block_of), published_unit(state)
        share, found = self._per_pixel * unit, []
        data = flow = prior = 0.0
        for frame in self._frames:
            initial = None if depths is None else depths[frame.index]
            depth, blocks = self._residuals(frame, state, initial)
            system = share * eliminate_depth(blocks)
            parameters, J = self._jacobian(frame, state, len(system) - 1)
            equations.add(parameters, J.T @ system[:-1, :-1] @ J, J.T @ system[:-1, -1])
            found.append(depth)
            data += share * blocks[0].value
            flow += share * blocks[1].value
            prior += share * sum(block.value for block in blocks[2:])
        for factors, length in ((self._smoothness, unit), (self._constraints, 1.0)):
            for factor in factors:
                prior += factor.add_to(equations, self._layout, state, length)
        self._constrain_scale(equations)
        return Linearization(state, found, Cost(data, flow, prior), equations)

    def _residuals(
        self, frame: FrameObservations, state: AlignmentState, initial: Float32Array | None
    ) -> tuple[Float32Array, list[LinearizedResiduals]]:
        """Return the depth of one frame (P,), and its residuals: points, flow, measured depth.

        All are weighted relative to a point of log confidence 1.
        """
        options = self._options.ray_depth
        rays = state.rays(frame.index, frame.offset_px)
        points = state.points_in_camera(frame.index, frame.pair, frame.points)
        depth = weiszfeld_depth(
            rays,
            *with_measured_depth(frame, rays, points, self._depth_weight),
            options.initial_iterations if initial is None else options.iterations,
            initial,
        )
        depth = np.where(np.isnan(depth), np.float32(1), depth)  # has no weight
        blocks = [point_map_residuals(depth, rays, points, frame.weight)]
        flow = flow_residuals(
            depth,
            rays,
            state.cameras[frame.flow_frame].inverse() @ state.cameras[frame.index],
            np.exp(state.log_focal[frame.flow_frame]),
            state.aspect,
            frame,
            self._options.max_flow_error_px,
        )
        blocks.append(flow.scaled(self._per_flow / (self._per_pixel * published_unit(state))))
        if np.isfinite(frame.depth_m).any():
            blocks.append(measured_depth_residuals(depth, rays, frame.depth_m, self._depth_weight))
        return depth, blocks

    def _jacobian(
        self, frame: FrameObservations, state: AlignmentState, rows: int
    ) -> tuple[IndexArray, Float64Array]:
        """Return the derivatives of one frame's residual twists and focal length.

        returns  indices of parameters (n,), unique, and the Jacobian (rows, n): rows are 7 per
                 point map, 7 per flow, 7 zeros where depth was measured, 1 of the focal length
        """
        layout, n, points = self._layout, frame.index, SIM3_DOF * len(frame.pair)
        parameters = [
            layout.camera_twist(n),
            np.array([layout.log_focal(n)]),
            layout.pair_twists(frame.pair),
        ]
        Ad = state.cameras[n].inverse().adjoint()
        J = np.zeros((rows, SE3_DOF + 1 + points + SIM3_DOF * len(frame.flow_frame)))
        J[-1, SE3_DOF] = 1.0
        for row in range(0, points, SIM3_DOF):
            J[row : row + SIM3_DOF, :SE3_DOF] = -Ad[:, :SE3_DOF]
            J[row : row + SIM3_DOF, SE3_DOF + 1 + row :][:, :SIM3_DOF] = Ad
        for f, j in enumerate(frame.flow_frame):
            row, Ad = points + SIM3_DOF * f, state.cameras[j].inverse().adjoint()
            Ad[SE3_DOF] = 0
            J[row : row + SIM3_DOF, :SE3_DOF] = Ad[:, :SE3_DOF]
            other = J[row : row + SIM3_DOF, SE3_DOF + 1 + row :][:, :SIM3_DOF]
            other[:, :SE3_DOF], other[SE3_DOF, SE3_DOF] = -Ad[:, :SE3_DOF], 1.0
            parameters += [layout.camera_twist(j), np.array([layout.log_focal(j)])]
        unique, place = np.unique(np.concatenate(parameters), return_inverse=True)
        return unique, J @ np.eye(len(unique))[place]

    def _constrain_scale(self, equations: NormalEquations) -> None:
        """Fix the mean log scale of the pairs by a Lagrange multiplier."""
        share = 1 / len(self._log_scales)
        for log_scale in self._log_scales:
            equations.add(
                np.array([log_scale, self._layout.scale_multiplier]),
                np.array([[0, share], [share, 0]]),
                np.zeros(2),
            )


def published_unit(state: AlignmentState) -> float:
    """Return the length of the state's unit in the unit of the published objective."""
    return PUBLISHED_BASE_SCALE / float(np.exp(state.mean_log_scale))


def with_measured_depth(
    frame: FrameObservations, rays: Float32Array, points: Float32Array, weight: float
) -> tuple[Float32Array, Float32Array]:
    """Return points (M + 1, 3, P) and weights (M + 1, P) with the measured depth appended.

    Without measured depth the M point maps are returned as they are.
    """
    known = np.isfinite(frame.depth_m)
    if not known.any():
        return points, frame.weight
    point = np.where(known, frame.depth_m, 0) * rays
    return (
        np.concatenate([points, point[None]]),
        np.concatenate([frame.weight, np.where(known, np.float32(weight), 0)[None]]),
    )
