# SPDX-License-Identifier: Apache-2.0
"""State of the global alignment, and the layout of its parameters in the normal equations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from videodepth_ros.alignment.options import FocalModel
from videodepth_ros.core.arrays import Edge, Float32Array, Float64Array, IndexArray
from videodepth_ros.geometry.block_solver import BORDER, FIXED
from videodepth_ros.geometry.sim3 import SIM3_DOF, Sim3

SE3_DOF = 6
"""Parameters of a rigid twist; a Sim(3) twist has `SIM3_DOF` = 7."""


@dataclass(frozen=True)
class AlignmentState:
    """All parameters except the depths, which are eliminated.

    cameras    N transforms of scale 1, camera to world
    pairs      E similarities, from each pair's frame and unit to the world
    log_focal  (N,) float64, log of fx in pixels
    aspect     fy / fx, fixed
    """

    cameras: Sim3
    pairs: Sim3
    log_focal: Float64Array
    aspect: float

    @property
    def mean_log_scale(self) -> float:
        """Mean log scale of the pairs: the gauge freedom of the point-map residuals."""
        return float(np.log(self.pairs.scale).mean())

    def rays(self, frame: int, offset_px: Float32Array) -> Float32Array:
        """Return the rays k = ((u - cx) / fx, (v - cy) / fy, 1), (3, P), of offsets (2, P)."""
        fx = np.exp(self.log_focal[frame])
        rays = np.ones((3, offset_px.shape[1]), np.float32)
        np.divide(offset_px[0], np.float32(fx), out=rays[0])
        np.divide(offset_px[1], np.float32(fx * self.aspect), out=rays[1])
        return rays

    def points_in_camera(self, frame: int, pair: IndexArray, points: Float32Array) -> Float32Array:
        """Transform points (M, 3, P) of pairs (M,) into the camera of a frame."""
        T_cam_pair: Sim3 = self.cameras[frame].inverse() @ self.pairs[pair]
        return T_cam_pair.apply(points)

    def transformed(self, T_new_world: Sim3) -> AlignmentState:
        """Return the state in another world frame and unit."""
        cameras = T_new_world @ self.cameras
        return AlignmentState(
            Sim3(np.ones_like(cameras.scale), cameras.rotation, cameras.translation),
            T_new_world @ self.pairs,
            self.log_focal,
            self.aspect,
        )


class ParameterLayout:
    """Parameter layout: 7 per camera (rigid twist, own log focal length), 7 per pair (Sim(3)).

    The shared log focal length and the multiplier of the scale constraint follow.
    """

    def __init__(
        self,
        frame_count: int,
        edges: Sequence[Edge],
        focal: FocalModel,
        *,
        fix_first_camera: bool,
        window: int | None,
        flow: bool = False,
    ) -> None:
        """Assign every parameter to a block along time, to the border, or fix it.

        fix_first_camera  the first camera defines the world
        window            pairs further apart are loop closures, in the border [frames]; None: one
                          block, faster up to about a hundred pairs
        flow              couples a frame to later cameras too, so that blocks are twice as long
        """
        self.frame_count = frame_count
        self._per_frame_focal = focal is FocalModel.PER_FRAME
        self._first_pair = SIM3_DOF * frame_count
        self._shared_focal = self._first_pair + SIM3_DOF * len(edges)
        self.scale_multiplier = self._shared_focal + 1
        span = frame_count if window is None else window * (2 if flow else 1)
        block = [frame // span for frame in range(frame_count)]
        far = frame_count if window is None else window
        block += [min(i, j) // span if abs(i - j) <= far else BORDER for i, j in edges]
        self.block_of = np.append(np.repeat(block, SIM3_DOF), [BORDER, BORDER]).astype(np.intp)
        if not self._per_frame_focal:
            self.block_of[SE3_DOF : self._first_pair : SIM3_DOF] = FIXED
        if focal is not FocalModel.SHARED:
            self.block_of[self._shared_focal] = FIXED
        if fix_first_camera:
            self.block_of[:SE3_DOF] = FIXED

    def camera_twist(self, frame: int) -> IndexArray:
        """Return the indices of a camera's twist, (6,)."""
        return SIM3_DOF * frame + np.arange(SE3_DOF)

    def pair_twists(self, pair: IndexArray) -> IndexArray:
        """Return the indices of the twists of pairs (M,), (7 M,)."""
        index: IndexArray = self._first_pair + SIM3_DOF * pair[:, None] + np.arange(SIM3_DOF)
        return index.ravel()

    def pair_log_scales(self) -> IndexArray:
        """Return the indices of the log scales of all pairs, (E,)."""
        return np.arange(self._first_pair + SE3_DOF, self._shared_focal, SIM3_DOF)

    def log_focal(self, frame: int) -> int:
        """Return the index of a frame's log focal length."""
        return SIM3_DOF * frame + SE3_DOF if self._per_frame_focal else self._shared_focal

    def apply_step(self, state: AlignmentState, step: Float64Array) -> AlignmentState:
        """Return the state after a step of all parameters."""
        twists = step[: self._shared_focal].reshape(-1, SIM3_DOF)
        cameras = twists[: self.frame_count].copy()
        cameras[:, SE3_DOF] = 0
        focal_step = step[[self.log_focal(n) for n in range(self.frame_count)]]
        return AlignmentState(
            state.cameras.retract(cameras),
            state.pairs.retract(twists[self.frame_count :]),
            state.log_focal + focal_step,
            state.aspect,
        )
