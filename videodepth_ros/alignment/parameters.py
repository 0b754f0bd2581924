# SPDX-License-Identifier: Apache-2.0
"""What is sought, and the number of each unknown in the normal equations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.core.arrays import Edge
from videodepth_ros.geometry.block_solver import BORDER, FIXED
from videodepth_ros.geometry.sim3 import SIM3_DOF, Sim3

Array = NDArray[np.float32]
Array64 = NDArray[np.float64]
Indices = NDArray[np.intp]

RIGID = 6


class FocalModel(str, Enum):
    """What is known of the focal length."""

    KNOWN = 'known'  # calibrated: it takes no step
    SHARED = 'shared'  # one for all frames
    PER_FRAME = 'per_frame'  # a zoom lens, or pictures of several cameras


@dataclass(frozen=True)
class AlignmentState:
    """All that is sought, but for the depths.

    cameras    N transforms of scale 1, from each camera to the world
    pairs      E similarities, from each pair's frame and unit to the world
    log_focal  (N,) float64, logarithm of fx in pixels
    aspect     fy / fx, given
    """

    cameras: Sim3
    pairs: Sim3
    log_focal: Array64
    aspect: float

    @property
    def mean_log_scale(self) -> float:
        """Mean logarithm of the pairs' scales: the one number that the residuals cannot tell."""
        return float(np.log(self.pairs.scale).mean())

    def rays(self, frame: int, offset: Array) -> Array:
        """Return k = ((u - cx) / fx, (v - cy) / fy, 1), (3, P), of offsets (2, P) in pixels."""
        fx = np.exp(self.log_focal[frame])
        rays = np.ones((3, offset.shape[1]), np.float32)
        np.divide(offset[0], np.float32(fx), out=rays[0])
        np.divide(offset[1], np.float32(fx * self.aspect), out=rays[1])
        return rays

    def seen(self, frame: int, pair: Indices, points: Array) -> Array:
        """Return what pairs (M,) say of a frame, ``points`` (M, 3, P), in its camera."""
        into_camera: Sim3 = self.cameras[frame].inverse() @ self.pairs[pair]
        return into_camera.apply(points)

    def transformed(self, by: Sim3) -> AlignmentState:
        """Return the same scene in another world frame and unit; one similarity for all."""
        moved = by @ self.cameras
        return AlignmentState(
            Sim3(np.ones_like(moved.scale), moved.rotation, moved.translation),
            by @ self.pairs,
            self.log_focal,
            self.aspect,
        )


class ParameterLayout:
    """Numbers: 7 for each camera (its twist of 6, its own focal length), 7 for each pair.

    After them come the shared focal length and the multiplier that keeps the scale.
    """

    def __init__(
        self,
        frames: int,
        edges: Sequence[Edge],
        focal: FocalModel,
        *,
        fix_first_camera: bool,
        window: int | None,
        flow: bool = False,
    ) -> None:
        """Number the unknowns and lay them out along time.

        fix_first_camera  the first camera is the world, and stays
        flow        ties a frame to cameras after it too, so that groups are twice as long
        window      pairs further apart than this close loops, and lie in the border; None puts
                    all in one group, which is quicker for a hundred pairs or fewer
        """
        self.frames = frames
        self._own_focal = focal is FocalModel.PER_FRAME
        self._first_pair = SIM3_DOF * frames
        self._shared_focal = self._first_pair + SIM3_DOF * len(edges)
        self.multiplier = self._shared_focal + 1
        span = frames if window is None else window * (2 if flow else 1)
        group = [frame // span for frame in range(frames)]
        far = frames if window is None else window
        group += [min(i, j) // span if abs(i - j) <= far else BORDER for i, j in edges]
        self.group_of = np.append(np.repeat(group, SIM3_DOF), [BORDER, BORDER]).astype(np.intp)
        if not self._own_focal:
            self.group_of[RIGID : self._first_pair : SIM3_DOF] = FIXED
        if focal is not FocalModel.SHARED:
            self.group_of[self._shared_focal] = FIXED
        if fix_first_camera:
            self.group_of[:RIGID] = FIXED

    def camera(self, frame: int) -> Indices:
        """Return the numbers of a camera's twist, (6,)."""
        return SIM3_DOF * frame + np.arange(RIGID)

    def pairs(self, index: Indices) -> Indices:
        """Return the numbers of the twists of pairs (M,), (M * 7,)."""
        numbers: Indices = self._first_pair + SIM3_DOF * index[:, None] + np.arange(SIM3_DOF)
        return numbers.ravel()

    def pair_scales(self) -> Indices:
        """Return the numbers of the log scales of all pairs, (E,)."""
        return np.arange(self._first_pair + RIGID, self._shared_focal, SIM3_DOF)

    def focal(self, frame: int) -> int:
        """Return the number of the log focal length that a frame has."""
        return SIM3_DOF * frame + RIGID if self._own_focal else self._shared_focal

    def moved(self, state: AlignmentState, step: Array64) -> AlignmentState:
        """Return the state after a step of all unknowns."""
        twists = step[: self._shared_focal].reshape(-1, SIM3_DOF)
        cameras = twists[: self.frames].copy()
        cameras[:, RIGID] = 0
        log_focal = state.log_focal + step[[self.focal(n) for n in range(self.frames)]]
        return AlignmentState(
            state.cameras.retract(cameras),
            state.pairs.retract(twists[self.frames :]),
            log_focal,
            state.aspect,
        )
