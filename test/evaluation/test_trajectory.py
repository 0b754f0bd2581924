# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from videodepth_ros.errors import InputError
from videodepth_ros.evaluation.trajectory import Trajectory, associate, evaluate_trajectory

SEEDS = st.integers(0, 2 ** 32 - 1)
FAST = settings(max_examples=50, deadline=None)


def rotation(axis_angle: np.ndarray) -> np.ndarray:
    """Rodrigues' formula."""
    angle = np.linalg.norm(axis_angle)
    x, y, z = axis_angle / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def random_pose(rng: np.random.Generator) -> np.ndarray:
    pose = np.eye(4)
    pose[:3, :3] = rotation(rng.normal(size=3))
    pose[:3, 3] = rng.normal(size=3) * 5
    return pose


def random_walk(seed: int, count: int = 20) -> Trajectory:
    rng = np.random.default_rng(seed)
    poses = np.stack([random_pose(rng) for _ in range(count)])
    return Trajectory(np.arange(count, dtype=np.int64) * 100_000_000, poses)


@FAST
@given(SEEDS)
def test_another_map_frame_is_no_error(seed):
    truth = random_walk(seed)
    moved = random_pose(np.random.default_rng(seed + 1))
    report = evaluate_trajectory(Trajectory(truth.stamp_ns, moved @ truth.T_map_cam), truth,
                                 with_scale=False)
    assert report.ate_rmse_m < 1e-8
    assert report.rpe_trans_m < 1e-8
    assert report.rpe_rot_deg < 1e-6
    assert report.frames == 20


@FAST
@given(SEEDS, st.floats(0.1, 10.0))
def test_scale_is_an_error_unless_it_is_fitted(seed, scale):
    truth = random_walk(seed)
    poses = truth.T_map_cam.copy()
    poses[:, :3, 3] *= scale
    predicted = Trajectory(truth.stamp_ns, poses)
    fitted = evaluate_trajectory(predicted, truth, with_scale=True)
    assert fitted.scale == pytest.approx(1 / scale)
    assert fitted.ate_rmse_m < 1e-8
    assert fitted.rpe_trans_m < 1e-8
    if abs(scale - 1) > 0.05:
        assert evaluate_trajectory(predicted, truth, with_scale=False).ate_rmse_m > 0.01


def test_errors_by_hand():
    poses = np.stack([np.eye(4)] * 3)
    poses[:, 0, 3] = [0.0, 1.0, 2.0]
    truth = Trajectory(np.array([0, 10, 20]), poses)
    wrong = poses.copy()
    wrong[1:, :3, :3] = rotation(np.array([0.0, 0.0, np.radians(3.0)]))
    report = evaluate_trajectory(Trajectory(truth.stamp_ns, wrong), truth, with_scale=False)
    # The first step turns 3 degrees too much; the second is turned by 3 degrees as a whole.
    assert report.rpe_rot_deg == pytest.approx(np.sqrt(3.0 ** 2 / 2))
    assert report.rpe_trans_m == pytest.approx(2 * np.sin(np.radians(1.5)) / np.sqrt(2))
    assert report.ate_rmse_m == pytest.approx(0.0, abs=1e-12)
    assert report.path_length_m == pytest.approx(2.0)


def test_ate_by_hand():
    square = np.array([[1.0, 1.0, 0], [-1.0, 1.0, 0], [-1.0, -1.0, 0], [1.0, -1.0, 0]])
    truth_poses, poses = np.stack([np.eye(4)] * 4), np.stack([np.eye(4)] * 4)
    truth_poses[:, :3, 3], poses[:, :3, 3] = square, square
    poses[:, 2, 3] = [0.1, -0.1, 0.1, -0.1]   # no rigid motion undoes a twist
    stamps = np.arange(4)
    report = evaluate_trajectory(Trajectory(stamps, poses), Trajectory(stamps, truth_poses),
                                 with_scale=False)
    assert report.ate_rmse_m == pytest.approx(0.1)


def test_association_takes_the_nearest_stamp_once_and_none_too_far():
    first, second = associate(np.array([0, 95, 104, 300]), np.array([1, 100, 200]), 10)
    assert first.tolist() == [0, 2]
    assert second.tolist() == [0, 1]
    assert associate(np.array([5]), np.array([7]), 2)[1].tolist() == [0]
    assert associate(np.array([], np.int64), np.array([7]))[0].size == 0


def test_no_common_stamps_is_an_error_with_both_spans():
    truth = random_walk(0)
    later = Trajectory(truth.stamp_ns + 10 ** 12, truth.T_map_cam)
    with pytest.raises(InputError, match=r'0 of 20 .* \(1000.000 s to 1001.900 s against 0.000 s'):
        evaluate_trajectory(later, truth, with_scale=False)
