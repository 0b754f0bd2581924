# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench.room import walk
from videodepth_ros.geometry.sim3 import Sim3
from videodepth_ros.sfm.bundle_adjustment import BundleAdjuster
from videodepth_ros.sfm.initialization import initialize_by_pnp
from videodepth_ros.sfm.motion_prior import MotionPrior
from videodepth_ros.sfm.options import ReconstructionOptions, TrackingOptions
from videodepth_ros.sfm.reprojection import (
    FOCAL_COLUMN,
    POINT_COLUMN,
    RESIDUAL_COLUMN,
    BundleState,
    NoiseModel,
    Observations,
    Rays,
    compute_jacobian,
    compute_residuals,
)
from videodepth_ros.sfm.robust_adjustment import adjust_robustly

FOCAL_PX, FRAMES_PER_BLOCK = 300.0, 12
OPTIONS = ReconstructionOptions(tracking=TrackingOptions(max_track_length=FRAMES_PER_BLOCK))
REST = MotionPrior.at_rest(np.array([2.0]), np.array([0.5]))
NOISE = NoiseModel(0.5, 0.2, 0.2, False, 0.0, np.log(FOCAL_PX), REST)


def exact_observations(frames=12, points=120, seed=0):
    """Return exact observations of points in front of a moving camera, and the true state."""
    rng = np.random.default_rng(seed)
    poses = walk(frames)
    T_cam_world = Sim3.from_se3(np.linalg.inv(poses))
    world = np.stack(
        [rng.uniform(-2, 3, points), rng.uniform(-1.5, 1.5, points), rng.uniform(6, 10, points)],
        axis=1,
    )
    begin = rng.integers(0, frames - 4, points)
    track, frame, xy, log_depth = [], [], [], []
    for p in range(points):
        for n in range(begin[p], min(begin[p] + 8, frames)):
            x, y, z = T_cam_world.rotation[n] @ world[p] + T_cam_world.translation[n]
            track.append(p)
            frame.append(n)
            xy.append([FOCAL_PX * x / z, FOCAL_PX * y / z])
            log_depth.append(np.log(z))
    track, first = np.array(track), np.searchsorted(track, np.arange(points))
    observations = Observations(
        track,
        np.array(frame),
        np.array(xy),
        np.array(log_depth),
        first,
        frames,
        np.zeros(len(track), np.bool_),
    )
    truth = BundleState(
        T_cam_world, np.zeros(frames), -observations.log_prior_depth[first], np.log(FOCAL_PX), 1.0
    )
    return observations, truth


def disturbed(truth, size=0.02, seed=1):
    rng = np.random.default_rng(seed)
    twist = np.zeros((len(truth.log_prior_scale), 7))
    twist[1:, :6] = size * rng.standard_normal((len(twist) - 1, 6))
    return replace(
        truth,
        T_cam_world=truth.T_cam_world.retract(twist),
        log_inverse_depth=truth.log_inverse_depth
        + 0.2 * rng.standard_normal(truth.log_inverse_depth.shape),
    )


def positions(state):
    return state.T_cam_world.inverse().translation


def test_the_true_state_has_zero_residuals():
    observations, truth = exact_observations()
    errors = compute_residuals(observations, truth, NOISE)
    assert np.abs(errors.pixel).max() < 1e-9
    assert np.abs(errors.log_depth).max() < 1e-9


LENS = 2
POINT = 8 + LENS


@pytest.mark.parametrize('column', range(POINT + 1))
def test_jacobian_matches_finite_differences(column):
    observations, truth = exact_observations(frames=6, points=30)
    fields = np.random.default_rng(7).standard_normal((len(observations.track), LENS, 2))
    observations = replace(observations, lens_fields=fields)
    state = replace(disturbed(truth), lens=np.array([0.3, -0.2]))
    noise = replace(NOISE, pixel_sigma=1e6, log_depth_sigma=1e6, is_measured=True)  # weights of 1
    frame, step = 3, 1e-6
    at = (observations.frame == frame) & (observations.reference_frame != frame)

    def errors(sign):
        moved = state
        if column < 7:
            twist = np.zeros((observations.frames, 7))
            twist[frame, column] = sign * step if column < 6 else 0
            scale = state.log_prior_scale.copy()
            scale[frame] += sign * step if column == 6 else 0
            moved = replace(
                state, T_cam_world=state.T_cam_world.retract(twist), log_prior_scale=scale
            )
        if column == FOCAL_COLUMN:
            moved = replace(state, log_focal=state.log_focal + sign * step)
        if FOCAL_COLUMN < column < POINT:
            step_of_lens = sign * step * (np.arange(LENS) == column - FOCAL_COLUMN - 1)
            moved = replace(state, lens=state.lens + step_of_lens)
        if column == POINT:
            moved = replace(state, log_inverse_depth=state.log_inverse_depth + sign * step)
        found = compute_residuals(observations, moved, noise)
        return np.column_stack([found.pixel, found.log_depth])[at]

    rays = Rays.compute(observations, state)
    J = compute_jacobian(
        observations, state, noise, rays, compute_residuals(observations, state, noise, rays)
    )[at]
    numeric = (errors(1) - errors(-1)) / (2 * step)
    assert np.allclose(J[:, :, column], numeric, rtol=1e-4, atol=1e-10)
    assert J.shape[2] == POINT + 2
    assert (J[..., POINT] == J[..., POINT_COLUMN]).all()
    assert (J[..., POINT + 1] == J[..., RESIDUAL_COLUMN]).all()


def test_cameras_come_from_pixels_and_the_unit_from_the_prior():
    observations, truth = exact_observations()
    found = BundleAdjuster(observations, FRAMES_PER_BLOCK).solve(disturbed(truth), NOISE, 30)
    assert np.abs(positions(found) - positions(truth)).max() < 0.01
    assert np.abs(found.log_inverse_depth - truth.log_inverse_depth).max() < 0.02


def test_many_blocks_give_the_solution_of_one_block():
    observations, truth = exact_observations(frames=24)
    start = disturbed(truth)
    one, many = (BundleAdjuster(observations, group).solve(start, NOISE, 30) for group in (24, 8))
    assert np.allclose(positions(one), positions(many), atol=1e-6)


def test_parallax_outweighs_a_wrong_prior():
    observations, truth = exact_observations()
    bent = observations.log_prior_depth + 0.3 * observations.xy[:, 0] / 200
    flicker = 0.1 * np.random.default_rng(4).standard_normal(observations.frames)
    wrong = replace(observations, log_prior_depth=bent + flicker[observations.frame])
    start = initialize_by_pnp(wrong, np.zeros(len(wrong.track), np.bool_), FOCAL_PX, 1.0)
    found = adjust_robustly(wrong, start, NOISE, OPTIONS)
    ratio = np.linalg.norm(positions(found.state)[-1]) / np.linalg.norm(positions(truth)[-1])
    assert np.abs(positions(found.state) / ratio - positions(truth)).max() < 0.02
    assert 0.05 < found.noise.log_depth_sigma < 0.4
    assert not found.noise.is_measured
    assert found.log_depth_sigma.shape == found.state.log_inverse_depth.shape


def test_a_measured_prior_is_detected():
    observations, truth = exact_observations()
    noisy = replace(
        observations,
        log_prior_depth=observations.log_prior_depth
        + 0.01 * np.random.default_rng(5).standard_normal(observations.log_prior_depth.shape),
    )
    found = adjust_robustly(noisy, disturbed(truth), NOISE, OPTIONS)
    assert found.noise.log_depth_sigma < 0.03
    assert found.noise.is_measured
    assert np.abs(positions(found.state) - positions(truth)).max() < 0.01


def test_observations_of_moving_points_are_removed():
    observations, truth = exact_observations()
    moving = observations.track % 10 == 0
    xy = observations.xy.copy()
    xy[moving, 0] += 12 * (observations.frame - observations.reference_frame)[moving]
    found = adjust_robustly(replace(observations, xy=xy), disturbed(truth), NOISE, OPTIONS)
    assert np.abs(positions(found.state) - positions(truth)).max() < 0.02
    assert len(found.observations.track) < len(observations.track)


def test_an_unknown_focal_length_is_estimated():
    observations, truth = exact_observations()
    start = replace(disturbed(truth), log_focal=np.log(1.2 * FOCAL_PX))
    found = adjust_robustly(
        observations,
        start,
        replace(NOISE, log_focal_sigma=0.25, log_focal=start.log_focal),
        OPTIONS,
    )
    assert np.exp(found.state.log_focal) == pytest.approx(FOCAL_PX, rel=0.02)
