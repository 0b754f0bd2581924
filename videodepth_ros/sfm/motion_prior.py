# SPDX-License-Identifier: Apache-2.0
"""Gaussian prior on the motion from frame to frame: none expected, or that of odometry."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from videodepth_ros.core.arrays import Float64Array, MaskArray
from videodepth_ros.geometry.rotation import so3_log
from videodepth_ros.geometry.sim3 import Sim3


@dataclass(frozen=True)
class MotionPrior:
    """Expected motion of the camera from each of N frames to the next.

    expected            N - 1 or 1 rigid transforms T_next_cam, in the unit of the reconstruction
    translation_sigma   (N - 1,) or (1,), in that unit; rotation_sigma_rad likewise
    """

    expected: Sim3
    translation_sigma: Float64Array
    rotation_sigma_rad: Float64Array

    @classmethod
    def at_rest(
        cls, translation_sigma: Float64Array, rotation_sigma_rad: Float64Array
    ) -> MotionPrior:
        """Return the prior of zero motion, sigmas (N - 1,) or (1,)."""
        return cls(Sim3.identity(1), translation_sigma, rotation_sigma_rad)

    def errors(self, T_cam_world: Sim3) -> Float64Array:
        """Return the motions beyond the expected ones, (N - 1, 6): translation and rotation."""
        error = steps_between(T_cam_world) @ self.expected.inverse()
        return np.concatenate([error.translation, so3_log(error.rotation)], axis=1)

    def weights(self) -> Float64Array:
        """Return the inverse variances of the errors, (N - 1, 6) or (1, 6)."""
        sigmas = np.stack([self.translation_sigma, self.rotation_sigma_rad], axis=1)
        return np.repeat(sigmas**-2, 3, axis=1)

    def where(self, known: MaskArray, other: MotionPrior) -> MotionPrior:
        """Return this prior at the steps ``known`` (N - 1,), and the other one elsewhere."""
        steps = len(known)

        def chosen(a: Float64Array, b: Float64Array) -> Float64Array:
            shape = (steps, *a.shape[1:])
            mask = known.reshape(steps, *(1,) * (a.ndim - 1))
            return np.where(mask, np.broadcast_to(a, shape), np.broadcast_to(b, shape))

        return replace(
            self,
            expected=Sim3.from_se3(chosen(self.expected.se3, other.expected.se3)),
            translation_sigma=chosen(self.translation_sigma, other.translation_sigma),
            rotation_sigma_rad=chosen(self.rotation_sigma_rad, other.rotation_sigma_rad),
        )


def steps_between(T_cam_world: Sim3) -> Sim3:
    """Return the N - 1 motions T_next_cam of N cameras."""
    return T_cam_world[1:] @ T_cam_world[:-1].inverse()


def chain_steps(steps: Sim3) -> Sim3:
    """Return N cameras T_cam_world from N - 1 motions; the first camera is the world."""
    chained = [np.eye(4)]
    for step in steps.se3:
        chained.append(step @ chained[-1])
    return Sim3.from_se3(np.stack(chained))
