# SPDX-License-Identifier: Apache-2.0
"""Twist and covariances of the poses of a trajectory, for nav_msgs/Odometry."""

from __future__ import annotations

import numpy as np

from videodepth_ros.core.arrays import Float64Array, IndexArray
from videodepth_ros.geometry.rotation import so3_log
from videodepth_ros.geometry.trajectory import StepSigmas, Trajectory


def twists(trajectory: Trajectory) -> Float64Array:
    """Return the twist of each pose (N, 6) in its own frame, by central differences.

    Linear [m/s] and angular [rad/s]; zero where there is only one pose.
    """
    before, after = _neighbours(len(trajectory.stamp_ns))
    seconds = _seconds(trajectory)
    R, p = trajectory.T_map_cam[:, :3, :3], trajectory.positions_m
    R_inverse = np.swapaxes(R, 1, 2)
    linear = R_inverse @ (p[after] - p[before])[:, :, None]
    rotation = so3_log(R_inverse[before] @ R[after])
    angular = R_inverse @ R[before] @ rotation[:, :, None]
    return np.asarray(np.concatenate([linear, angular], axis=1)[:, :, 0] / seconds[:, None])


def covariances(trajectory: Trajectory, sigmas: StepSigmas) -> tuple[Float64Array, Float64Array]:
    """Return the covariances of the poses and of the twists, (N, 6, 6) each.

    The errors of the steps are taken as independent and alike in all directions, so that those
    of the poses are a random walk from the first one; an error of rotation moves all that comes
    later. Loop closures are not taken into account: the covariances are on the safe side.
    """
    count = len(trajectory.stamp_ns)
    rotation = np.cumsum(sigmas.rotation_rad**2)
    step_m = np.linalg.norm(np.diff(trajectory.positions_m, axis=0, prepend=np.nan), axis=1)
    step_m[0] = 0.0
    translation = np.cumsum(sigmas.translation_m**2 + rotation * step_m**2)
    before, after = _neighbours(count)
    per_s2 = _seconds(trajectory) ** -2
    velocities = [
        (one[np.minimum(before + 1, after)] ** 2 + one[after] ** 2) * per_s2
        for one in (sigmas.translation_m, sigmas.rotation_rad)
    ]
    return _diagonal(translation, rotation), _diagonal(*velocities)


def _diagonal(translation: Float64Array, rotation: Float64Array) -> Float64Array:
    """Return covariances (N, 6, 6) of variances (N,)."""
    found = np.zeros((len(translation), 6, 6))
    for axis in range(3):
        found[:, axis, axis] = translation
        found[:, 3 + axis, 3 + axis] = rotation
    return found


def _neighbours(count: int) -> tuple[IndexArray, IndexArray]:
    """Return the indices before and after each of ``count`` poses, (N,) each."""
    here = np.arange(count)
    return np.maximum(here - 1, 0), np.minimum(here + 1, count - 1)


def _seconds(trajectory: Trajectory) -> Float64Array:
    """Return the time from the pose before to the one after each, (N,)."""
    before, after = _neighbours(len(trajectory.stamp_ns))
    seconds = (trajectory.stamp_ns[after] - trajectory.stamp_ns[before]) / 1e9
    return np.asarray(np.maximum(seconds, 1e-9))
