# SPDX-License-Identifier: Apache-2.0
"""What is known besides the pairs: poses, odometry, measured depth, and that cameras move little.

Pairs know no metres, and no residual of theirs may choose the scale: all of them vanish at scale
zero. So the scale is set from the priors in closed form, and the solver keeps it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import reduce
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.alignment.parameters import AlignmentState, ParameterLayout
from videodepth_ros.core.errors import InputError
from videodepth_ros.geometry.block_solver import NormalEquations
from videodepth_ros.geometry.rotation import hat, so3_log
from videodepth_ros.geometry.sim3 import Sim3

Array = NDArray[np.float32]
Array64 = NDArray[np.float64]

BASE_SCALE = 0.5
"""Geometric mean of the pairs' scales where nothing is known of the true one (DUSt3R's code)."""
FLOOR = 1e-4
SHORTEST_PATH_M = 1e-3


class ScaleReference(str, Enum):
    """What set the unit of depths and positions."""

    PAIRS = 'pairs'  # no metres: the pairs' own unit
    DEPTH = 'depth'  # measured depth
    POSES = 'poses'  # known poses
    ODOMETRY = 'odometry'  # known motion


@dataclass(frozen=True)
class RelativePose:
    """A measured motion between two frames: T_i_j maps points of camera j to i, (4, 4), metres."""

    i: int
    j: int
    T_i_j: Array64


@dataclass(frozen=True)
class Constraints:
    """What other sensors say; each may be absent.

    T_world_cam      (N, 4, 4) float64, metres; NaN for frames without a known pose
    odometry         measured motions between frames
    depth_m          (N, h, w) float32, Z in metres; NaN where nothing was measured
    pose_weight, odometry_weight   of a metre and of a radian of error, each a mean over what is
                     known, against the mean residual of the pairs
    depth_weight     of a measured depth against a point map, as a logarithm of its confidence
    """

    T_world_cam: Array64 | None = None
    odometry: Sequence[RelativePose] = ()
    depth_m: Array | None = None
    pose_weight: float = 1.0
    odometry_weight: float = 1.0
    depth_weight: float = 10.0

    @property
    def posed_frames(self) -> NDArray[np.intp]:
        """Frames whose pose is known."""
        if self.T_world_cam is None:
            return np.empty(0, np.intp)
        return np.flatnonzero(np.isfinite(self.T_world_cam).all(axis=(1, 2)))

    def to_relative_poses(self) -> Constraints:
        """Return the same knowledge without a world: poses become motions from one to the next."""
        motions = []
        for i, j in pairwise(self.posed_frames.tolist()):
            assert self.T_world_cam is not None
            T_i_j = np.linalg.inv(self.T_world_cam[i]) @ self.T_world_cam[j]
            motions.append(RelativePose(i, j, T_i_j))
        return replace(self, T_world_cam=None, odometry=[*self.odometry, *motions])

    def select(self, frames: Sequence[int], stride: int = 1) -> Constraints:
        """Return what is known of some of the frames, in order of time, numbered anew.

        stride  of the depth that is kept; odometry from frame to frame is chained over those that
                are left out
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

    def check(self, frames: int, shape: tuple[int, int]) -> None:
        """Raise InputError where the priors are not of ``frames`` frames of (h, w) ``shape``."""
        if self.T_world_cam is not None and self.T_world_cam.shape != (frames, 4, 4):
            raise InputError(
                f'known poses are {self.T_world_cam.shape}; give ({frames}, 4, 4), '
                'with NaN for frames without one'
            )
        if self.depth_m is not None and self.depth_m.shape != (frames, *shape):
            raise InputError(
                f'measured depth is {self.depth_m.shape}; give ({frames}, *{shape}), '
                'with NaN where nothing was measured'
            )
        for motion in self.odometry:
            if not (0 <= motion.i < frames and 0 <= motion.j < frames):
                raise InputError(
                    f'odometry from frame {motion.i} to {motion.j}, but frames are 0 '
                    f'to {frames - 1}'
                )


@dataclass(frozen=True)
class PoseFactor:
    """A pose of camera b, expected in camera a or in the world (None): T_a_b, weights of |.|."""

    a: int | None
    b: int
    expected: Sim3
    rotation_weight: float
    translation_weight: float

    def add_to(
        self,
        equations: NormalEquations,
        unknowns: ParameterLayout,
        state: AlignmentState,
        unit: float,
    ) -> float:
        """Add weight * |error| of rotation and of translation; return its value.

        unit  by which a translation is multiplied before it is weighed
        The Frobenius norm of the published smoothing, ||R - I||, is 2 sqrt(2) sin(angle / 2).
        """
        to_expected = self.expected.inverse()
        if self.a is not None:
            to_expected = to_expected @ state.cameras[self.a].inverse()
        error = to_expected @ state.cameras[self.b]
        t, w = error.translation, so3_log(error.rotation)
        t_norm, angle = np.sqrt(t @ t + (FLOOR / unit) ** 2), np.sqrt(w @ w + FLOOR**2)
        push, turn = unit * self.translation_weight, np.sqrt(2) * self.rotation_weight
        J = np.block([[np.eye(3), -hat(t)], [np.zeros((3, 3)), np.eye(3)]])
        J = J @ to_expected.adjoint()[:6, :6]
        numbers = unknowns.camera(self.b)
        if self.a is not None:
            J, numbers = np.hstack([J, -J]), np.append(numbers, unknowns.camera(self.a))
        weight = np.repeat([push / t_norm, turn / angle], 3)
        weighted = J.T * weight
        equations.add(numbers, weighted @ J, weighted @ np.concatenate([t, w]))
        return float(push * t_norm + turn * 2 * np.sin(angle / 2))


def smoothness_factors(
    frames: int, rotation_weight: float, translation_weight: float
) -> list[PoseFactor]:
    """Expect every camera where the one before it is (MonST3R, arXiv 2410.03825, eq. 5)."""
    if not rotation_weight and not translation_weight:
        return []
    still = Sim3.identity(1)[0]
    return [
        PoseFactor(n, n + 1, still, rotation_weight, translation_weight) for n in range(frames - 1)
    ]


def constraint_factors(priors: Constraints) -> list[PoseFactor]:
    """Expect cameras where poses and odometry say."""
    factors = []
    for n in priors.posed_frames:
        assert priors.T_world_cam is not None
        weight = priors.pose_weight / len(priors.posed_frames)
        factors.append(
            PoseFactor(None, int(n), Sim3.from_se3(priors.T_world_cam[n]), weight, weight)
        )
    for motion in priors.odometry:
        weight = priors.odometry_weight / len(priors.odometry)
        factors.append(PoseFactor(motion.i, motion.j, Sim3.from_se3(motion.T_i_j), weight, weight))
    return factors


def fix_gauge(
    state: AlignmentState, priors: Constraints, depths: Sequence[tuple[Array, Array]]
) -> tuple[AlignmentState, ScaleReference]:
    """Return the state in the priors' world and unit, or with the first camera as the world.

    depths  pairs of depths (P,) of the state and as measured, float32, NaN where unknown
    """
    posed = priors.posed_frames
    if not len(posed):
        state = state.transformed(state.cameras[0].inverse())
    else:
        assert priors.T_world_cam is not None
        turned = priors.T_world_cam[posed, :3, :3] @ np.swapaxes(
            state.cameras.rotation[posed], -1, -2
        )
        u, _, vt = np.linalg.svd(turned.sum(axis=0))
        rotation = (u * [1, 1, np.sign(np.linalg.det(u @ vt))]) @ vt
        state = state.transformed(Sim3(np.array(1.0), rotation, np.zeros(3)))
    scale, source = _metres(state, priors, depths)
    offset = np.zeros(3)
    if len(posed):
        assert priors.T_world_cam is not None
        offset = np.median(
            priors.T_world_cam[posed, :3, 3] - scale * state.cameras.translation[posed], axis=0
        )
    return state.transformed(Sim3(np.array(scale), np.eye(3), offset)), source


def _metres(
    state: AlignmentState, priors: Constraints, depths: Sequence[tuple[Array, Array]]
) -> tuple[float, ScaleReference]:
    """Return the length in metres of the state's unit, by the best prior that tells."""
    ratios = np.concatenate([measured / depth for depth, measured in depths] or [np.empty(0)])
    ratios = ratios[np.isfinite(ratios)]
    if ratios.size:
        return float(np.median(ratios)), ScaleReference.DEPTH
    centers, posed = state.cameras.translation, priors.posed_frames
    if len(posed):
        assert priors.T_world_cam is not None
        known = priors.T_world_cam[posed, :3, 3]
        scale = _length_ratio(
            known - known.mean(axis=0), centers[posed] - centers[posed].mean(axis=0)
        )
        if scale is not None:
            return scale, ScaleReference.POSES
    if priors.odometry:
        known = np.array([motion.T_i_j[:3, 3] for motion in priors.odometry])
        found = np.array(
            [
                (state.cameras[m.i].inverse() @ state.cameras[m.j]).translation
                for m in priors.odometry
            ]
        )
        scale = _length_ratio(known, found)
        if scale is not None:
            return scale, ScaleReference.ODOMETRY
    return BASE_SCALE / float(np.exp(state.mean_log_scale)), ScaleReference.PAIRS


def _length_ratio(known_m: Array64, found: Array64) -> float | None:
    """Return metres per unit from vectors (K, 3) known and found; None where they are too short.

    The regression of what was found on what is known: noise of the former leaves it unbiased.
    """
    square, common = float(np.square(known_m).sum()), float((known_m * found).sum())
    return square / common if square > SHORTEST_PATH_M**2 and common > 0 else None
