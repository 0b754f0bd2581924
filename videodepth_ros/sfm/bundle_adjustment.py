# SPDX-License-Identifier: Apache-2.0
"""Bundle adjustment with a depth prior: cameras, points, intrinsics and prior scales.

Points are eliminated by the Schur complement (Triggs et al., "Bundle adjustment - a modern
synthesis", section 6.1). Tracks are short, so the cameras form a band along time, which
`NormalEquations` solves block by block; frames with loop closures form its border. The loss is
Cauchy's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from videodepth_ros.core.arrays import Float64Array, IndexArray
from videodepth_ros.geometry.block_solver import BORDER, FIXED, NormalEquations
from videodepth_ros.sfm.motion_prior import steps_between
from videodepth_ros.sfm.options import BundleAdjustmentOptions
from videodepth_ros.sfm.reprojection import (
    CAMERA_DOF,
    POINT_COLUMN,
    RESIDUAL_COLUMN,
    SHARED,
    BundleState,
    NoiseModel,
    Observations,
    Rays,
    compute_jacobian,
    compute_residuals,
    robust_cost,
)


class BundleAdjuster:
    """Levenberg-Marquardt bundle adjustment of one recording, in blocks along time."""

    def __init__(
        self,
        observations: Observations,
        frames_per_block: int,
        options: BundleAdjustmentOptions = BundleAdjustmentOptions(),
    ) -> None:
        """Sort the observations into blocks.

        frames_per_block  at least the length of the longest track, loop observations left out
        """
        self._options, self._frames_per_block = options, frames_per_block
        self._cameras = CAMERA_DOF * observations.frames
        self._shared = self._cameras + np.arange(1 + observations.lens_parameters)
        block_of_frame = np.arange(observations.frames) // frames_per_block
        block_of_frame[observations.frame[observations.is_loop]] = BORDER
        self._block_of = np.append(
            np.repeat(block_of_frame, CAMERA_DOF), np.full(len(self._shared), BORDER)
        )
        self._block_of[:6] = FIXED
        part = observations.frame[observations.start] // frames_per_block
        self._tracks = [np.flatnonzero(part == p) for p in np.unique(part)]
        self._parts = [
            observations.select((part == p)[observations.track]) for p in np.unique(part)
        ]

    def solve(self, state: BundleState, noise: NoiseModel, max_iterations: int) -> BundleState:
        """Return the adjusted state; the first camera is constant."""
        options = self._options
        damping, cost = options.initial_damping, self.cost(state, noise)
        for _ in range(max_iterations):
            equations, points = self._linearize(state, noise)
            gain = -1.0
            while gain < 0 and damping < options.max_damping:
                candidate = self._retract(state, equations.solve(damping), points)
                new_cost = self.cost(candidate, noise)
                gain = cost - new_cost
                if gain < 0:
                    damping = damping * options.damping_factor
                else:
                    damping = max(damping / options.damping_factor, options.min_damping)
            if gain < 0:
                break
            state, cost = candidate, new_cost
            if gain < options.function_tolerance * cost:
                break
        return state

    def cost(self, state: BundleState, noise: NoiseModel) -> float:
        """Return the robust cost of the residuals and of the priors on the parameters."""
        data = sum(
            robust_cost(compute_residuals(part, self._state_of(n, state), noise), noise)
            for n, part in enumerate(self._parts)
        )
        prior = noise.motion
        motion = (prior.weights() * np.square(prior.errors(state.T_cam_world))).sum()
        free = noise.shared_sigma > 0
        shared = np.square(_deviations(state, noise)[free] / noise.shared_sigma[free]).sum()
        scale = np.square(state.log_prior_scale / noise.log_scale_sigma).sum()
        return data + float(motion + scale + shared)

    def shared_sigmas(self, state: BundleState, noise: NoiseModel) -> Float64Array:
        """Return the marginal sigmas (1 + P,) of log focal length and lens; 0: held by ``noise``.

        Log depths are observations as the pixels are.
        """
        equations, _ = self._linearize(state, noise)
        return np.array(
            [
                np.sqrt(max(equations.variance(number), 0.0)) if sigma else 0.0
                for number, sigma in zip(self._shared.tolist(), noise.shared_sigma, strict=True)
            ]
        )

    def _state_of(self, part: int, state: BundleState) -> BundleState:
        """Return the state with the points of one part only."""
        return replace(state, log_inverse_depth=state.log_inverse_depth[self._tracks[part]])

    def _linearize(
        self, state: BundleState, noise: NoiseModel
    ) -> tuple[NormalEquations, list[_EliminatedPoints]]:
        """Return the reduced camera system, and the points of each part."""
        free = noise.shared_sigma > 0
        self._block_of[self._shared] = np.where(free, BORDER, FIXED)
        equations = NormalEquations(self._block_of)
        points = [
            _add_part(equations, part, self._state_of(n, state), noise, self._options)
            for n, part in enumerate(self._parts)
        ]
        _add_motion_prior(equations, state, noise, self._frames_per_block)
        scales = np.arange(6, self._cameras, CAMERA_DOF)
        weights = np.full(len(scales), noise.log_scale_sigma**-2)
        equations.add_diagonal(scales, weights, weights * state.log_prior_scale)
        weights = noise.shared_sigma[free] ** -2
        deviations = _deviations(state, noise)[free]
        equations.add_diagonal(self._shared[free], weights, weights * deviations)
        return equations, points

    def _retract(
        self, state: BundleState, step: Float64Array, points: list[_EliminatedPoints]
    ) -> BundleState:
        """Return the state after a step (U,) of cameras and intrinsics, points following."""
        cameras = step[: self._cameras].reshape(-1, CAMERA_DOF)
        shared = step[self._shared]
        twist = cameras.copy()
        twist[:, 6] = 0.0
        log_inverse_depth = state.log_inverse_depth.copy()
        for part, tracks, point in zip(self._parts, self._tracks, points, strict=True):
            log_inverse_depth[tracks] += point.back_substitute(
                part, cameras, shared, self._options.max_log_depth_step
            )
        return BundleState(
            state.T_cam_world.retract(twist),
            state.log_prior_scale + cameras[:, 6],
            log_inverse_depth,
            state.log_focal + float(shared[0]),
            state.aspect,
            state.lens + shared[1:],
        )


@dataclass(frozen=True)
class _EliminatedPoints:
    """Second derivatives and gradient of the points of one part.

    camera     (K, 7), with the camera of each observation
    reference  (K, 7), with the camera of its reference frame
    shared     (K, 1 + P), with the log focal length and the lens
    curvature, gradient  (M,), of the log inverse depths
    """

    camera: Float64Array
    reference: Float64Array
    shared: Float64Array
    curvature: Float64Array
    gradient: Float64Array

    def back_substitute(
        self,
        observations: Observations,
        cameras: Float64Array,
        shared: Float64Array,
        max_step: float,
    ) -> Float64Array:
        """Return the steps (M,) of the log inverse depths, given those of the others."""
        coupling = (
            np.einsum('kc,kc->k', self.camera, cameras[observations.frame])
            + np.einsum('kc,kc->k', self.reference, cameras[observations.reference_frame])
            + np.einsum('ks,s->k', self.shared, shared)
        )
        total = self.gradient + np.add.reduceat(coupling, observations.start)
        return np.clip(-total / self.curvature, -max_step, max_step)


def _add_part(
    equations: NormalEquations,
    observations: Observations,
    state: BundleState,
    noise: NoiseModel,
    options: BundleAdjustmentOptions,
) -> _EliminatedPoints:
    """Add the observations of one part, its points eliminated."""
    rays = Rays.compute(observations, state)
    residuals = compute_residuals(observations, state, noise, rays)
    J = compute_jacobian(observations, state, noise, rays, residuals)
    with_point = np.einsum('kra,kr->ka', J, J[:, :, POINT_COLUMN])
    adjoint = np.zeros((len(rays.T_j_h.scale), CAMERA_DOF, CAMERA_DOF))
    adjoint[:, :6, :6] = -rays.T_j_h.adjoint()[:, :6, :6]  # step of h -> equivalent step of j
    start = observations.start
    points = _EliminatedPoints(
        with_point[:, :CAMERA_DOF],
        np.einsum('kab,ka->kb', adjoint[rays.pair], with_point[:, :CAMERA_DOF]),
        with_point[:, SHARED],
        np.add.reduceat(with_point[:, POINT_COLUMN], start) + options.point_regularization,
        np.add.reduceat(with_point[:, RESIDUAL_COLUMN], start),
    )
    frames = np.unique(observations.frame)
    H, gradient = _camera_system(observations, frames, rays.pair, J, adjoint)
    root = np.sqrt(points.curvature)
    W = _point_camera_coupling(observations, frames, points) / root[:, None]
    H -= W.T @ W
    gradient -= W.T @ (points.gradient / root)
    cameras = (CAMERA_DOF * frames[:, None] + np.arange(CAMERA_DOF)).ravel()
    shared = CAMERA_DOF * observations.frames + np.arange(points.shared.shape[1])
    equations.add(np.concatenate([cameras, shared]), H, gradient)
    return points


def _camera_system(
    observations: Observations,
    frames: IndexArray,
    pair: IndexArray,
    J: Float64Array,
    adjoint: Float64Array,
) -> tuple[Float64Array, Float64Array]:
    """Return H and gradient of the cameras of ``frames`` and of the shared parameters."""
    order = np.argsort(pair, kind='stable')
    start = np.searchsorted(pair[order], np.arange(len(adjoint) + 1))
    rows = [J[order[a:b]].reshape(-1, J.shape[2]) for a, b in pairwise(start.tolist())]
    sums = np.stack([one.T @ one for one in rows])
    j = np.searchsorted(frames, observations.frame[order[start[:-1]]])
    h = np.searchsorted(frames, observations.reference_frame[order[start[:-1]]])
    C, transposed = sums[:, :CAMERA_DOF, :CAMERA_DOF], adjoint.transpose(0, 2, 1)
    blocks = np.zeros((len(frames), len(frames), CAMERA_DOF, CAMERA_DOF))
    np.add.at(blocks, (j, j), C)
    np.add.at(blocks, (h, h), transposed @ C @ adjoint)
    np.add.at(blocks, (h, j), transposed @ C)
    np.add.at(blocks, (j, h), C @ adjoint)
    rest = sums[:, :CAMERA_DOF][:, :, [*range(*SHARED.indices(sums.shape[2])), RESIDUAL_COLUMN]]
    edge = np.zeros((len(frames), *rest.shape[1:]))  # with what is shared, and with the residual
    np.add.at(edge, j, rest)
    np.add.at(edge, h, transposed @ rest)
    size, count = CAMERA_DOF * len(frames), rest.shape[2] - 1
    H = np.empty((size + count, size + count))
    H[:size, :size] = blocks.transpose(0, 2, 1, 3).reshape(size, size)
    H[:size, size:] = edge[..., :-1].reshape(size, count)
    H[size:, :size] = H[:size, size:].T
    H[size:, size:] = sums[:, SHARED, SHARED].sum(axis=0)
    gradient = sums[:, SHARED, RESIDUAL_COLUMN].sum(axis=0)
    return H, np.append(edge[..., -1].ravel(), gradient)


def _point_camera_coupling(
    observations: Observations, frames: IndexArray, points: _EliminatedPoints
) -> Float64Array:
    """Return the second derivatives (M, C) of points with cameras and shared parameters."""
    M, size = len(observations.start), len(frames) * CAMERA_DOF
    W = np.zeros((M, size + points.shared.shape[1]))
    blocks = W[:, :size].reshape(M, len(frames), CAMERA_DOF)
    blocks[observations.track, np.searchsorted(frames, observations.frame)] = points.camera
    reference = np.searchsorted(frames, observations.frame[observations.start])
    blocks[np.arange(M), reference] += np.add.reduceat(points.reference, observations.start)
    W[:, :size] = blocks.reshape(M, -1)
    W[:, size:] = np.add.reduceat(points.shared, observations.start, axis=0)
    return W


def _add_motion_prior(
    equations: NormalEquations, state: BundleState, noise: NoiseModel, frames_per_block: int
) -> None:
    """Add the prior on the motion from frame to frame, the steps of each block together."""
    if len(state.log_prior_scale) < 2:
        return
    errors = noise.motion.errors(state.T_cam_world)
    weights = np.broadcast_to(noise.motion.weights(), errors.shape)
    adjoint = steps_between(state.T_cam_world).adjoint()[:, :6, :6]
    J = np.zeros((len(errors), 6, 2 * CAMERA_DOF))
    J[:, :, :6], J[:, :, CAMERA_DOF:-1] = -adjoint, np.eye(6)
    weighted = J.transpose(0, 2, 1) * weights[:, None]
    H, gradient = weighted @ J, np.einsum('nar,nr->na', weighted, errors)
    for first in range(0, len(errors), frames_per_block):
        steps = H[first : first + frames_per_block]
        size = CAMERA_DOF * (len(steps) + 1)
        total, right = np.zeros((size, size)), np.zeros(size)
        for n, step in enumerate(steps):
            window = slice(CAMERA_DOF * n, CAMERA_DOF * (n + 2))
            total[window, window] += step
            right[window] += gradient[first + n]
        equations.add(CAMERA_DOF * first + np.arange(size), total, right)


def _deviations(state: BundleState, noise: NoiseModel) -> Float64Array:
    """Return how far log focal length and lens, (1 + P,), are from what is expected."""
    return np.append(state.log_focal - noise.log_focal, state.lens)
