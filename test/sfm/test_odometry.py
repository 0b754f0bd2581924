# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from test.support.film import CAMERA, bent, film, winding
from videodepth_ros.geometry.rotation import so3_exp
from videodepth_ros.geometry.sim3 import Sim3
from videodepth_ros.sfm.odometry import fit_odometry, name_frames, robust_length_ratio
from videodepth_ros.sfm.reconstruction import reconstruct

FRAMES = 30
METRES_PER_UNIT = 1.7


def odometry_of(poses, noise=0.01, seed=0):
    """Return the steps (N - 1, 4, 4) of poses with noise: a share of the step, and 1 mrad."""
    rng = np.random.default_rng(seed)
    steps = np.linalg.inv(poses[:-1]) @ poses[1:]
    steps[:, :3, 3] *= 1 + noise * rng.standard_normal((len(steps), 1))
    steps[:, :3, :3] = steps[:, :3, :3] @ so3_exp(0.001 * rng.standard_normal((len(steps), 3)))
    return steps


def leap(steps, at, metres):
    steps[at, 0, 3] += metres


def slip(steps, first, last, factor):
    steps[first:last, :3, 3] *= factor


def path(poses):
    return float(np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1).sum())


@pytest.fixture(scope='module')
def cameras():
    """Return the cameras of a winding walk in another unit, with a millimetre of noise."""
    poses = winding(FRAMES)
    noisy = poses.copy()
    noisy[:, :3, 3] += 0.001 * np.random.default_rng(1).standard_normal((FRAMES, 3))
    noisy[:, :3, 3] /= METRES_PER_UNIT
    return poses, Sim3.from_se3(np.linalg.inv(noisy))


FAULTS = {
    'none': (lambda steps: None, []),
    'a leap of 0.5 m': (lambda steps: leap(steps, 14, 0.5), [15]),
    'a leap of 2 m': (lambda steps: leap(steps, 14, 2.0), [15]),
    'a leap of 50 m': (lambda steps: leap(steps, 14, 50.0), [15]),
    'three leaps': (
        lambda steps: [leap(steps, *one) for one in ((3, 2.0), (14, -0.5), (25, 9.0))],
        [4, 15, 26],
    ),
    'five slipping steps': (lambda steps: slip(steps, 8, 13, 2.0), [9, 10, 11, 12, 13]),
    'slip of a tenth': (lambda steps: slip(steps, 8, 11, 1.1), [9, 10, 11]),
    'a leap at the first frame': (lambda steps: leap(steps, 0, 2.0), [1]),
    'a leap at the last frame': (lambda steps: leap(steps, -1, 50.0), [FRAMES - 1]),
    'standing wheels': (lambda steps: slip(steps, 8, 10, 0.0), [9, 10]),
}


@pytest.mark.parametrize('fault', FAULTS)
def test_leaps_and_slips_are_left_out_of_the_scale_and_named(cameras, fault):
    poses, T_cam_world = cameras
    damage, expected = FAULTS[fault]
    steps = odometry_of(poses)
    damage(steps)
    fit = fit_odometry(T_cam_world, np.ones(FRAMES - 1, np.bool_), steps)
    assert fit.metres_per_unit == pytest.approx(METRES_PER_UNIT, rel=0.01)
    assert set(expected) <= set(fit.outlier_frames.tolist())
    beside = {frame + step for frame in expected for step in (-1, 0, 1)}
    assert set(fit.outlier_frames.tolist()) <= beside
    assert fit.is_usable


@pytest.mark.parametrize('jitter_m', [0.005, 0.01, 0.02])
def test_poses_that_jitter_leave_the_scale_unbiased(cameras, jitter_m):
    """Up to a seventh of a step: its length alone would be 18 % too long."""
    poses, T_cam_world = cameras
    ratios = []
    for seed in range(6):
        noisy = poses.copy()
        noisy[:, :3, 3] += jitter_m * np.random.default_rng(seed).standard_normal((FRAMES, 3))
        fit = fit_odometry(T_cam_world, np.ones(FRAMES - 1, np.bool_), odometry_of(noisy))
        ratios.append(fit.metres_per_unit / METRES_PER_UNIT)
    assert np.mean(ratios) == pytest.approx(1, abs=0.01)
    assert np.ptp(ratios) < 0.06


@pytest.mark.parametrize('unit_m', [0.001, 0.3048])
def test_odometry_in_another_unit_has_the_scale_of_that_unit(cameras, unit_m):
    poses, T_cam_world = cameras
    steps = odometry_of(poses)
    steps[:, :3, 3] /= unit_m
    fit = fit_odometry(T_cam_world, np.ones(FRAMES - 1, np.bool_), steps)
    assert fit.metres_per_unit == pytest.approx(METRES_PER_UNIT / unit_m, rel=0.01)
    assert fit.is_usable


def test_frozen_odometry_is_not_usable_and_where_it_freezes_is_named(cameras):
    poses, T_cam_world = cameras
    visible = np.ones(FRAMES - 1, np.bool_)
    assert not fit_odometry(T_cam_world, visible, np.tile(np.eye(4), (29, 1, 1))).is_usable
    frozen = poses.copy()
    frozen[18:] = frozen[17]
    fit = fit_odometry(T_cam_world, visible, odometry_of(frozen))
    assert fit.metres_per_unit == pytest.approx(METRES_PER_UNIT, rel=0.01)
    assert set(range(18, FRAMES)) <= set(fit.outlier_frames.tolist())


def test_odometry_of_another_motion_is_not_usable(cameras):
    poses, T_cam_world = cameras
    steps = odometry_of(poses)[::-1]
    fit = fit_odometry(T_cam_world, np.ones(FRAMES - 1, np.bool_), steps)
    assert not fit.is_usable


def test_without_motion_there_is_no_scale():
    still = np.tile(np.eye(4), (4, 1, 1))
    fit = fit_odometry(Sim3.from_se3(still), np.ones(3, np.bool_), still[1:])
    assert np.isnan(fit.metres_per_unit)
    assert not fit.is_usable


def test_unseen_steps_are_used_unless_they_leap(cameras):
    poses, T_cam_world = cameras
    steps, is_visible = odometry_of(poses), np.ones(FRAMES - 1, np.bool_)
    is_visible[10:13] = False
    leap(steps, 12, 5.0)
    fit = fit_odometry(T_cam_world, is_visible, steps)
    assert fit.is_used[10:13].tolist() == [True, True, False]
    assert fit.outlier_frames.tolist() == [13]


def test_an_outlier_weighs_as_much_as_its_step():
    estimated = np.tile([0.1, 0.0, 0.0], (9, 1))
    known = 2 * estimated
    known[4] += 1000.0
    assert robust_length_ratio(estimated, known, 0.01) == pytest.approx(2.0)
    assert robust_length_ratio(estimated, 0 * known, 0.01) is None


def test_frames_are_named_by_their_runs():
    assert name_frames(np.array([3, 7, 8, 9])) == 'frames 3, 7 to 9 (from 0)'
    assert name_frames(np.array([3])) == 'frame 3 (from 0)'


@pytest.mark.slow
def test_odometry_gives_metres_and_carries_through_black_frames():
    shot = film(winding(FRAMES))
    images = shot.images.copy()
    images[12:16] = 0
    steps = odometry_of(shot.poses)
    leap(steps, 22, 2.0)
    found = reconstruct(images, bent(shot.depth), CAMERA, odometry_m=steps)
    T = found.T_world_cam.copy()
    T[:, :3, 3] *= found.metres_per_unit
    assert path(T) == pytest.approx(path(shot.poses), rel=0.03)
    across = (np.linalg.inv(T[11]) @ T[16])[:3, 3]
    true = (np.linalg.inv(shot.poses[11]) @ shot.poses[16])[:3, 3]
    assert np.linalg.norm(across - true) < 0.03 * path(shot.poses[11:17])
    assert found.odometry_outliers.tolist() == [23]
    assert any('leaps or slips at frame 23 (from 0)' in note for note in found.warnings())
