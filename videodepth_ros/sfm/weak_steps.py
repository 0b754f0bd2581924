# SPDX-License-Identifier: Apache-2.0
"""Steps whose translation the images hardly determine, and steady motion as their prior.

Where only far points are tracked, as beside a wall without texture, an image determines the
rotation of the camera but not its position: reprojection errors let the camera leap. Its velocity
before and after is a better guess than none.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from videodepth_ros.core.arrays import Float64Array, MaskArray
from videodepth_ros.sfm.motion_options import WeakStepOptions
from videodepth_ros.sfm.motion_prior import MotionPrior, chain_steps, steps_between
from videodepth_ros.sfm.options import DEFAULTS, ReconstructionOptions
from videodepth_ros.sfm.reprojection import (
    BundleState,
    NoiseModel,
    Observations,
    Rays,
    compute_jacobian,
    compute_residuals,
)
from videodepth_ros.sfm.robust_adjustment import SparseReconstruction, adjust_in_rounds


def translation_sigmas(
    observations: Observations, state: BundleState, noise: NoiseModel
) -> Float64Array:
    """Return the sigma of each camera's position by its pixels alone, (N,), in the unit of depth.

    The points are taken as known, so that the sigma is a lower bound; infinite without points.
    """
    rays = Rays.compute(observations, state)
    residuals = compute_residuals(observations, state, noise, rays)
    J = compute_jacobian(observations, state, noise, rays, residuals)[:, :2, :6]
    information = np.zeros((observations.frames, 6, 6))
    np.add.at(information, observations.frame, J.transpose(0, 2, 1) @ J)
    sigmas = np.full(observations.frames, np.inf)
    regular = np.linalg.matrix_rank(information) == 6
    covariance = np.linalg.inv(information[regular])[:, :3, :3]
    sigmas[regular] = np.sqrt(np.trace(covariance, axis1=1, axis2=2))
    return sigmas


def find_weak_steps(
    sparse: SparseReconstruction, is_visible: MaskArray, options: WeakStepOptions
) -> MaskArray:
    """Return the visible steps (N - 1,) whose translation is hardly determined; few, or none.

    A camera that stands, or whose steps are all of the size of their error, has none.
    """
    length = np.linalg.norm(steps_between(sparse.state.T_cam_world).translation, axis=1)
    sigma = translation_sigmas(sparse.observations, sparse.state, sparse.noise)[1:]
    typical = float(np.median(length[is_visible])) if is_visible.any() else 0.0
    weak = is_visible & (sigma > options.max_sigma * typical)
    if np.count_nonzero(weak) > options.max_share * np.count_nonzero(is_visible):
        return np.zeros_like(is_visible)
    return np.asarray(weak)


def steady_weak_steps(
    sparse: SparseReconstruction, is_visible: MaskArray, options: ReconstructionOptions = DEFAULTS
) -> tuple[SparseReconstruction, MaskArray]:
    """Adjust with steady motion at the weak steps; return which they are, (N - 1,) bool."""
    is_weak = np.zeros_like(is_visible)
    for _ in range(options.weak_steps.rounds):
        found = is_weak | find_weak_steps(sparse, is_visible, options.weak_steps)
        if (found == is_weak).all():
            break
        is_weak = found
        sparse = _expect_steady_motion(sparse, is_weak, is_visible, options)
    return sparse, is_weak


def _expect_steady_motion(
    sparse: SparseReconstruction,
    is_weak: MaskArray,
    is_visible: MaskArray,
    options: ReconstructionOptions,
) -> SparseReconstruction:
    """Adjust again, the translation of weak steps expected between those before and after."""
    strong = np.flatnonzero(is_visible & ~is_weak)
    if not len(strong):
        return sparse
    steps = steps_between(sparse.state.T_cam_world)
    every = np.arange(len(is_weak))
    steady = np.stack(
        [np.interp(every, strong, axis[strong]) for axis in steps.translation.T], axis=1
    )
    expected = replace(steps, translation=np.where(is_weak[:, None], steady, steps.translation))
    speed = np.linalg.norm(steady, axis=1)
    prior = MotionPrior(
        expected,
        options.weak_steps.speed_sigma * np.maximum(speed, np.median(speed)),
        np.broadcast_to(sparse.noise.motion.rotation_sigma_rad, len(is_weak)),
    ).where(is_weak, sparse.noise.motion)
    T_cam_world = chain_steps(expected) @ sparse.state.T_cam_world[0]
    return adjust_in_rounds(
        sparse.observations,
        replace(sparse.state, T_cam_world=T_cam_world),
        replace(sparse.noise, motion=prior),
        options.robust_adjustment.iterations[-1:],
        options,
    )
