# SPDX-License-Identifier: Apache-2.0
"""A pan from a tripod, which a translation along a plane explains as well."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from videodepth_ros.geometry.rotation import so3_exp, so3_log
from videodepth_ros.geometry.sim3 import Sim3
from videodepth_ros.sfm.motion_prior import MotionPrior
from videodepth_ros.sfm.reprojection import BundleState, NoiseModel, Observations
from videodepth_ros.sfm.robust_adjustment import SparseReconstruction
from videodepth_ros.sfm.turning import as_turning_camera

FRAMES, ASSUMED_PX, TELEPHOTO_PX, NOISE_PX = 24, 512.0, 1280.0, 0.2
REST = MotionPrior.at_rest(np.array([2.0]), np.array([0.5]))


def recording(
    turn_rad, step, focal_px, prior_scale=None, drift_px=0.0, noise_px=NOISE_PX, frames=FRAMES
):
    """Return a camera that turns and moves by a step per frame, as assumed to move along a plane.

    prior_scale  of the depth of each frame's prior, (frames,)
    drift_px     of a track in a frame; noise_px: of each of its pixels
    """
    rng, drift_rng = np.random.default_rng(0), np.random.default_rng(2)
    drift = drift_px * drift_rng.standard_normal((frames, 1500, 2)).cumsum(axis=0)
    prior_scale = np.ones(frames) if prior_scale is None else prior_scale
    z = rng.uniform(2, 12, 1500)
    world = np.column_stack(
        [rng.uniform(-0.4, 0.9, 1500) * z, rng.uniform(-0.2, 0.2, 1500) * z, z]
    )
    rows = []
    for n in range(frames):
        turn = so3_exp(np.array([0, -n * turn_rad, 0]))
        x, y, depth = turn @ (world - [n * step, 0, 0]).T
        xy = focal_px * np.column_stack([x, y]) / depth[:, None]
        for track in np.flatnonzero((depth > 0.1) & (np.abs(xy) < [320, 180]).all(axis=1)):
            pixel = xy[track] + drift[n, track] + noise_px * rng.standard_normal(2)
            rows.append((track, n, *pixel, np.log(depth[track] * prior_scale[n])))
    track, frame, u, v, log_depth = np.array(sorted(rows)).T
    names, track = np.unique(track.astype(np.intp), return_inverse=True)
    start = np.searchsorted(track, np.arange(len(names)))
    observations = Observations(
        track.astype(np.intp),
        frame.astype(np.intp),
        np.column_stack([u, v]),
        log_depth,
        start,
        frames,
        np.zeros(len(track), np.bool_),
    )
    T = np.tile(np.eye(4), (frames, 1, 1))
    T[:, 0, 3] = -0.1 * np.arange(frames)
    state = BundleState(
        Sim3.from_se3(T), np.zeros(frames), np.full(len(names), -1.0), np.log(ASSUMED_PX), 1.0
    )
    noise = NoiseModel(NOISE_PX, 0.5, 0.5, False, 0.25, np.log(ASSUMED_PX), REST)
    return SparseReconstruction(observations, state, noise, np.full(len(names), 0.01))


def test_a_pan_of_a_long_lens_is_no_translation():
    rng = np.random.default_rng(1)
    prior_scale = np.exp(0.1 * rng.standard_normal(FRAMES))
    sparse = recording(0.01, 0.0, TELEPHOTO_PX, prior_scale)
    found = as_turning_camera(sparse, is_calibrated=False)
    assert found is not None
    assert not found.has_parallax
    assert found.state.T_cam_world.translation == pytest.approx(np.zeros((FRAMES, 3)))
    assert np.exp(found.state.log_focal) == pytest.approx(TELEPHOTO_PX, rel=0.3)
    focal_px = np.exp(found.state.log_focal)
    angle = np.linalg.norm(so3_log(found.state.T_cam_world.rotation[-1]))
    assert angle * focal_px == pytest.approx((FRAMES - 1) * 0.01 * TELEPHOTO_PX, rel=0.05)
    scale = np.exp(found.state.log_prior_scale) * prior_scale
    assert scale / np.median(scale) == pytest.approx(np.ones(FRAMES), abs=0.05)


def test_a_calibrated_camera_that_turns_keeps_its_focal_length():
    found = as_turning_camera(recording(0.02, 0.0, ASSUMED_PX), is_calibrated=True)
    assert found is not None
    assert found.state.log_focal == np.log(ASSUMED_PX)
    assert so3_log(found.state.T_cam_world.rotation[-1]) == pytest.approx(
        [0, -0.02 * (FRAMES - 1), 0], abs=0.003
    )


@pytest.mark.parametrize('is_calibrated', [True, False])
@pytest.mark.parametrize('turn_rad', [0.0, 0.01])
def test_a_camera_that_moves_is_left_alone(is_calibrated, turn_rad):
    assert as_turning_camera(recording(turn_rad, 0.05, ASSUMED_PX), is_calibrated) is None


@pytest.mark.parametrize('turn_rad', [0.0, 0.01])
def test_tracks_that_drift_are_no_parallax(turn_rad):
    sparse = recording(turn_rad, 0.0, ASSUMED_PX, drift_px=0.1, noise_px=0.1)
    assert as_turning_camera(sparse, is_calibrated=True) is not None


def test_a_camera_that_creeps_is_left_alone():
    sparse = recording(0.0, 0.002, ASSUMED_PX, noise_px=0.1, frames=48)
    assert as_turning_camera(sparse, is_calibrated=True) is None


def test_a_pan_is_not_assumed_where_the_prior_agrees_with_the_motion():
    """Flat ground from above, by a camera of unknown focal length, may be a pan as well."""
    sparse = recording(0.01, 0.0, TELEPHOTO_PX)
    noise = replace(sparse.noise, log_depth_sigma=0.1)
    assert as_turning_camera(replace(sparse, noise=noise), is_calibrated=False) is None


def test_nothing_tracked_is_no_turn():
    sparse = recording(0.01, 0.0, TELEPHOTO_PX)
    none = sparse.observations.select(np.zeros(len(sparse.observations.frame), np.bool_))
    assert as_turning_camera(replace(sparse, observations=none), is_calibrated=True) is None
