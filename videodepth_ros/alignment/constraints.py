# SPDX-License-Identifier: Apache-2.0
"""Constraints from other sensors: known poses, odometry, measured depth; and smoothness.

Point maps are up to scale, and none of their residuals may determine it: all of them vanish at
scale zero. The scale is set from the constraints in closed form (`fix_gauge`), and the solver
keeps it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import reduce
from itertools import pairwise

import numpy as np

from videodepth_ros.alignment.options import PUBLISHED_BASE_SCALE
from videodepth_ros.alignment.parameters import AlignmentState, ParameterLayout
from videodepth_ros.core.arrays import Float32Array, Float64Array, IndexArray
from videodepth_ros.core.errors import InputError
from videodepth_ros.geometry.block_solver import NormalEquations
from videodepth_ros.geometry.rotation import hat, nearest_rotation, so3_log
from videodepth_ros.geometry.sim3 import Sim3
from videodepth_ros.sfm.odometry import robust_length_ratio

NORM_FLOOR = 1e-4
"""Least norm of an error of a pose [rad], [unit]: keeps its re-weighting finite."""


class ScaleReference(str, Enum):
    """Measurement that the unit of depths and positions was set from."""

    PAIRS = 'pairs'  # none: the unit of the pairs
    DEPTH = 'depth'  # measured depth
    POSES = 'poses'  # known poses
    ODOMETRY = 'odometry'  # odometry


@dataclass(frozen=True)
class RelativePose:
    """Measured motion between two frames: T_i_j (4, 4) maps points of camera j to i, metres."""

    i: int
    j: int
    T_i_j: Float64Array


@dataclass(frozen=True)
class Constraints:
    """Measurements of other sensors, each optional.

    T_world_cam  (N, 4, 4) float64, metres; NaN for frames without a known pose
    odometry     relative poses between frames
    depth_m      (N, h, w) float32, Z in metres; NaN where nothing was measured
    """

    T_world_cam: Float64Array | None = None
    odometry: Sequence[RelativePose] = ()
    depth_m: Float32Array | None = None

    # Weights of the mean pose error and mean odometry error [1 / m], [1 / rad], against the mean
    # residual of the pairs.
    pose_weight: float = 1.0
    odometry_weight: float = 1.0

    # Weight of a measured depth against a point map [log confidence].
    depth_weight: float = 10.0

    # Least length of the known motion that sets the scale [m].
    min_path_m: float = 1e-3

    @property
    def posed_frames(self) -> IndexArray:
        """Indices of the frames with a known pose, (K,)."""
        if self.T_world_cam is None:
            return np.empty(0, np.intp)
        return np.flatnonzero(np.isfinite(self.T_world_cam).all(axis=(1, 2)))

    def to_relative_poses(self) -> Constraints:
        """Return the constraints with poses replaced by the motions between them."""
        motions = []
        for i, j in pairwise(self.posed_frames.tolist()):
            assert self.T_world_cam is not None
            T_i_j = np.linalg.inv(self.T_world_cam[i]) @ self.T_world_cam[j]
            motions.append(RelativePose(i, j, T_i_j))
        return replace(self, T_world_cam=None, odometry=[*self.odometry, *motions])

    def select(self, frames: Sequence[int], stride: int = 1) -> Constraints:
        """Return the constraints of some frames, in order of time, renumbered.

        stride  of the depth that is kept; odometry between consecutive frames is chained over
                frames that are left out
        """
        place = {frame: k for k, frame in enumerate(frames)}
        motions = [
            RelativePose(place[m.i], place[m.j], m.T_i_j)
            for m in self.odometry
            if m.i in place and m.j in place
        ]
        steps = {motion.i: motion.T_i_j for motion in self.odometry if motion.j == motion.i + 1}
        for i, j in pairwise(frames):
            if j > i + 1 and all(n in steps for n in range(i, j)):
                T_i_j = reduce(np.matmul, [steps[n] for n in range(i, j)])
                motions.append(RelativePose(place[i], place[j], T_i_j))
        index = list(frames)
        return replace(
            self,
            odometry=motions,
            T_world_cam=None if self.T_world_cam is None else self.T_world_cam[index],
            depth_m=None if self.depth_m is None else self.depth_m[index, ::stride, ::stride],
        )

    def validate(self, frame_count: int, shape: tuple[int, int]) -> None:
        """Raise InputError unless shapes and indices match the frames of (h, w) ``shape``."""
        if self.T_world_cam is not None and self.T_world_cam.shape != (frame_count, 4, 4):
            raise InputError(
                f'known poses are {self.T_world_cam.shape}; give ({frame_count}, 4, 4), '
                'with NaN for frames without one'
            )
        if self.depth_m is not None and self.depth_m.shape != (frame_count, *shape):
            raise InputError(
                f'measured depth is {self.depth_m.shape}; give ({frame_count}, *{shape}), '
                'with NaN where nothing was measured'
            )
        for motion in self.odometry:
            if not (0 <= motion.i < frame_count and 0 <= motion.j < frame_count):
                raise InputError(
                    f'odometry from frame {motion.i} to {motion.j}, but frames are 0 '
                    f'to {frame_count - 1}'
                )


NO_CONSTRAINTS = Constraints()


@dataclass(frozen=True)
class PoseFactor:
    """Expected pose of camera b in camera a, or in the world (a is None); cost is the norm.

    expected  T_a_b, rigid
    weights   of the error's norms in rotation [1 / rad] and translation [1 / unit]
    """

    a: int | None
    b: int
    expected: Sim3
    rotation_weight: float
    translation_weight: float

    def add_to(
        self,
        equations: NormalEquations,
        layout: ParameterLayout,
        state: AlignmentState,
        unit: float,
    ) -> float:
        """Linearise the factor, add it to the normal equations, and return its cost.

        unit  factor of translations before they are weighted
        The rotation cost is the Frobenius norm of the published smoothing, ||R - I||, which is
        2 sqrt(2) sin(angle / 2).
        """
        to_expected = self.expected.inverse()
        if self.a is not None:
            to_expected = to_expected @ state.cameras[self.a].inverse()
        error = to_expected @ state.cameras[self.b]
        t, w = error.translation, so3_log(error.rotation)
        distance = np.sqrt(t @ t + (NORM_FLOOR / unit) ** 2)
        angle = np.sqrt(w @ w + NORM_FLOOR**2)
        t_weight, w_weight = unit * self.translation_weight, np.sqrt(2) * self.rotation_weight
        J = np.block([[np.eye(3), -hat(t)], [np.zeros((3, 3)), np.eye(3)]])
        J = J @ to_expected.adjoint()[:6, :6]
        index = layout.camera_twist(self.b)
        if self.a is not None:
            J, index = np.hstack([J, -J]), np.append(index, layout.camera_twist(self.a))
        weight = np.repeat([t_weight / distance, w_weight / angle], 3)
        weighted = J.T * weight
        equations.add(index, weighted @ J, weighted @ np.concatenate([t, w]))
        return float(t_weight * distance + w_weight * 2 * np.sin(angle / 2))


def smoothness_factors(
    frame_count: int, rotation_weight: float, translation_weight: float
) -> list[PoseFactor]:
    """Return factors of zero motion between consecutive cameras (MonST3R, arXiv 2410.03825)."""
    if not rotation_weight and not translation_weight:
        return []
    identity = Sim3.identity(1)[0]
    return [
        PoseFactor(n, n + 1, identity, rotation_weight, translation_weight)
        for n in range(frame_count - 1)
    ]


def constraint_factors(constraints: Constraints) -> list[PoseFactor]:
    """Return factors of the known poses and of the odometry."""
    factors = []
    for n in constraints.posed_frames:
        assert constraints.T_world_cam is not None
        weight = constraints.pose_weight / len(constraints.posed_frames)
        expected = Sim3.from_se3(constraints.T_world_cam[n])
        factors.append(PoseFactor(None, int(n), expected, weight, weight))
    for motion in constraints.odometry:
        weight = constraints.odometry_weight / len(constraints.odometry)
        expected = Sim3.from_se3(motion.T_i_j)
        factors.append(PoseFactor(motion.i, motion.j, expected, weight, weight))
    return factors


def fix_gauge(
    state: AlignmentState,
    constraints: Constraints,
    depths: Sequence[tuple[Float32Array, Float32Array]],
) -> tuple[AlignmentState, ScaleReference]:
    """Transform the state to the world and unit of the constraints.

    Without known poses the first camera is the world.
    depths  pairs of depths (P,) of the state and as measured, float32, NaN where unknown
    """
    posed = constraints.posed_frames
    if not len(posed):
        state = state.transformed(state.cameras[0].inverse())
    else:
        assert constraints.T_world_cam is not None
        relative = constraints.T_world_cam[posed, :3, :3] @ np.swapaxes(
            state.cameras.rotation[posed], -1, -2
        )
        rotation = nearest_rotation(relative.sum(axis=0))
        state = state.transformed(Sim3(np.array(1.0), rotation, np.zeros(3)))
    scale, reference = _metric_scale(state, constraints, depths)
    offset = np.zeros(3)
    if len(posed):
        assert constraints.T_world_cam is not None
        offset = np.median(
            constraints.T_world_cam[posed, :3, 3] - scale * state.cameras.translation[posed],
            axis=0,
        )
    return state.transformed(Sim3(np.array(scale), np.eye(3), offset)), reference


def _metric_scale(
    state: AlignmentState,
    constraints: Constraints,
    depths: Sequence[tuple[Float32Array, Float32Array]],
) -> tuple[float, ScaleReference]:
    """Return metres per unit of the state, from depth, else poses, else odometry."""
    ratios = np.concatenate([measured / depth for depth, measured in depths] or [np.empty(0)])
    ratios = ratios[np.isfinite(ratios)]
    if ratios.size:
        return float(np.median(ratios)), ScaleReference.DEPTH
    centers, posed = state.cameras.translation, constraints.posed_frames
    if len(posed):
        assert constraints.T_world_cam is not None
        known = constraints.T_world_cam[posed, :3, 3]
        scale = _length_ratio(
            known - known.mean(axis=0),
            centers[posed] - centers[posed].mean(axis=0),
            constraints.min_path_m,
        )
        if scale is not None:
            return scale, ScaleReference.POSES
    if constraints.odometry:
        known = np.array([motion.T_i_j[:3, 3] for motion in constraints.odometry])
        estimated = np.array(
            [
                (state.cameras[m.i].inverse() @ state.cameras[m.j]).translation
                for m in constraints.odometry
            ]
        )
        scale = robust_length_ratio(estimated, known, constraints.min_path_m)
        if scale is not None:
            return scale, ScaleReference.ODOMETRY
    return PUBLISHED_BASE_SCALE / float(np.exp(state.mean_log_scale)), ScaleReference.PAIRS


def _length_ratio(
    known_m: Float64Array, estimated: Float64Array, min_path_m: float
) -> float | None:
    """Return metres per unit from vectors (K, 3); None where they are too short.

    By regression of the estimated on the known: noise of the estimated leaves it unbiased.
    """
    square, common = float(np.square(known_m).sum()), float((known_m * estimated).sum())
    return square / common if square > min_path_m**2 and common > 0 else None
