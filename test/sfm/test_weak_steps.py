# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from videodepth_ros.geometry.sim3 import Sim3
from videodepth_ros.sfm.motion_options import WeakStepOptions
from videodepth_ros.sfm.motion_prior import MotionPrior
from videodepth_ros.sfm.reprojection import BundleState, NoiseModel, Observations
from videodepth_ros.sfm.robust_adjustment import SparseReconstruction
from videodepth_ros.sfm.weak_steps import find_weak_steps, steady_weak_steps, translation_sigmas

FRAMES, STEP, FOCAL_PX = 20, 0.1, 300.0
BLIND = [9, 10, 11, 12]  # frames that observe far points only
REST = MotionPrior.at_rest(np.array([2.0]), np.array([0.5]))
NOISE = NoiseModel(0.3, 0.2, 0.2, False, 0.0, np.log(FOCAL_PX), REST)
VISIBLE = np.ones(FRAMES - 1, np.bool_)


def beside_a_blank_wall(leap=0.0):
    """Return a camera that moves by STEP; near points are hidden in BLIND, after a leap there."""
    rng = np.random.default_rng(0)
    rows, inverse = [], []
    for track in range(800):
        far = track < 40
        z = 200.0 if far else rng.uniform(2, 4)
        first = 0 if far else int(rng.integers(0, FRAMES - 3))
        x, y = rng.uniform(-0.5, 0.5, 2) * z
        frames = [
            n
            for n in range(first, FRAMES if far else min(first + 8, FRAMES))
            if far or n not in BLIND
        ]
        if len(frames) < 2:
            continue
        for n in frames:
            xy = FOCAL_PX * np.array([x - STEP * (n - first), y]) / z
            rows.append((len(inverse), n, *(xy + 0.3 * rng.standard_normal(2)), np.log(z)))
        inverse.append(-np.log(z))
    track, frame, u, v, log_depth = np.array(rows).T
    track, frame = track.astype(np.intp), frame.astype(np.intp)
    start = np.searchsorted(track, np.arange(len(inverse)))
    no_loop = np.zeros(len(track), np.bool_)
    observations = Observations(
        track, frame, np.column_stack([u, v]), log_depth, start, FRAMES, no_loop
    )
    T = np.tile(np.eye(4), (FRAMES, 1, 1))
    T[:, 0, 3] = -STEP * np.arange(FRAMES)
    T[BLIND[0] :, 0, 3] -= leap
    state = BundleState(
        Sim3.from_se3(T), np.zeros(FRAMES), np.array(inverse), np.log(FOCAL_PX), 1.0
    )
    return SparseReconstruction(observations, state, NOISE, np.full(len(inverse), 0.01))


def steps(sparse):
    return np.linalg.norm(np.diff(sparse.state.T_cam_world.translation, axis=0), axis=1)


def test_frames_of_far_points_have_large_sigmas():
    sparse = beside_a_blank_wall()
    sigma = translation_sigmas(sparse.observations, sparse.state, sparse.noise)
    seen = np.setdiff1d(np.arange(1, FRAMES), BLIND)
    assert sigma[BLIND].min() > 10 * np.median(sigma[seen])
    found = find_weak_steps(sparse, VISIBLE, WeakStepOptions())
    assert (1 + np.flatnonzero(found)).tolist() == BLIND


def test_motion_is_steady_where_the_images_do_not_determine_it():
    leaping = beside_a_blank_wall(leap=0.8)
    found, is_weak = steady_weak_steps(leaping, VISIBLE)
    assert set(BLIND) <= set(1 + np.flatnonzero(is_weak)) <= {*BLIND, BLIND[-1] + 1}
    assert steps(leaping).max() > 0.8
    assert steps(found) == pytest.approx(STEP, rel=0.3)


def test_a_camera_whose_steps_are_all_weak_is_left_alone():
    sparse = beside_a_blank_wall()
    none, is_weak = steady_weak_steps(sparse, np.isin(np.arange(1, FRAMES), BLIND))
    assert none is sparse
    assert not is_weak.any()
