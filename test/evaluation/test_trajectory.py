# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from videodepth_ros.core.errors import InputError
from videodepth_ros.evaluation.trajectory import RpeDelta, TrajectoryAlignment, evaluate_trajectory
from videodepth_ros.geometry.trajectory import Trajectory, associate_stamps

SEEDS = st.integers(0, 2**32 - 1)
FAST = settings(max_examples=50)


def rotation(axis_angle: np.ndarray) -> np.ndarray:
    """Return the rotation of a rotation vector by Rodrigues' formula."""
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
    report = evaluate_trajectory(Trajectory(truth.stamp_ns, moved @ truth.T_map_cam), truth)
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
    fitted = evaluate_trajectory(predicted, truth, TrajectoryAlignment.SIM3)
    assert fitted.scale == pytest.approx(1 / scale)
    assert fitted.ate_rmse_m < 1e-8
    assert fitted.rpe_trans_m < 1e-8
    if abs(scale - 1) > 0.05:
        assert evaluate_trajectory(predicted, truth).ate_rmse_m > 0.01


def test_errors_by_hand():
    poses = np.stack([np.eye(4)] * 3)
    poses[:, 0, 3] = [0.0, 1.0, 2.0]
    truth = Trajectory(np.array([0, 10, 20]), poses)
    wrong = poses.copy()
    wrong[1:, :3, :3] = rotation(np.array([0.0, 0.0, np.radians(3.0)]))
    report = evaluate_trajectory(Trajectory(truth.stamp_ns, wrong), truth)
    # The first step turns 3 degrees too much; the second is turned by 3 degrees as a whole.
    assert report.rpe_rot_deg == pytest.approx(np.sqrt(3.0**2 / 2))
    assert report.rpe_trans_m == pytest.approx(2 * np.sin(np.radians(1.5)) / np.sqrt(2))
    assert report.ate_rmse_m == pytest.approx(0.0, abs=1e-12)
    assert report.path_length_m == pytest.approx(2.0)


def test_ate_by_hand():
    square = np.array([[1.0, 1.0, 0], [-1.0, 1.0, 0], [-1.0, -1.0, 0], [1.0, -1.0, 0]])
    truth_poses, poses = np.stack([np.eye(4)] * 4), np.stack([np.eye(4)] * 4)
    truth_poses[:, :3, 3], poses[:, :3, 3] = square, square
    poses[:, 2, 3] = [0.1, -0.1, 0.1, -0.1]  # no rigid motion undoes a twist
    stamps = np.arange(4)
    report = evaluate_trajectory(Trajectory(stamps, poses), Trajectory(stamps, truth_poses))
    assert report.ate_rmse_m == pytest.approx(0.1)


def test_association_takes_the_nearest_stamp_once_and_none_too_far():
    first, second = associate_stamps(np.array([0, 95, 104, 300]), np.array([1, 100, 200]), 10)
    assert first.tolist() == [0, 2]
    assert second.tolist() == [0, 1]
    assert associate_stamps(np.array([5]), np.array([7]), 2)[1].tolist() == [0]
    assert associate_stamps(np.array([], np.int64), np.array([7]))[0].size == 0


def test_no_common_stamps_is_an_error_with_both_spans():
    truth = random_walk(0)
    later = Trajectory(truth.stamp_ns + 10**12, truth.T_map_cam)
    with pytest.raises(InputError, match=r'0 of 20 .* \(1000.000 s to 1001.900 s against 0.000 s'):
        evaluate_trajectory(later, truth)


def plain_relative_error(predicted, truth, pairs):
    """Return translation and rotation RMSE pose by pose, as in Sturm et al.."""
    squares, angles = [], []
    for i, j in pairs:
        error = np.linalg.inv(np.linalg.inv(truth[i]) @ truth[j]) @ (
            np.linalg.inv(predicted[i]) @ predicted[j]
        )
        squares.append(error[:3, 3] @ error[:3, 3])
        angles.append(np.arccos(np.clip((np.trace(error[:3, :3]) - 1) / 2, -1, 1)) ** 2)
    return np.sqrt(np.mean(squares)), np.degrees(np.sqrt(np.mean(angles)))


def plain_horn(model, data, with_scale):
    """Return aligned positions: Horn's method by the outer products of centred points."""
    W = np.zeros((3, 3))
    centred, target = model - model.mean(axis=0), data - data.mean(axis=0)
    for one, other in zip(centred, target, strict=True):
        W += np.outer(one, other)
    U, _, Vh = np.linalg.svd(W.T)
    S = np.eye(3)
    if np.linalg.det(U) * np.linalg.det(Vh) < 0:
        S[2, 2] = -1
    R = U @ S @ Vh
    scale = 1.0
    if with_scale:
        dots = sum(other @ (R @ one) for one, other in zip(centred, target, strict=True))
        scale = dots / sum(one @ one for one in centred)
    return scale * centred @ R.T + data.mean(axis=0), scale


@FAST
@given(SEEDS, st.booleans(), st.integers(1, 7))
def test_equals_evo(seed, with_scale, frames):
    metrics = pytest.importorskip('evo.core.metrics')
    PoseTrajectory3D = pytest.importorskip('evo.core.trajectory').PoseTrajectory3D
    truth, noise = random_walk(seed), np.random.default_rng(seed + 1)
    poses = truth.T_map_cam.copy()
    poses[:, :3, 3] = 1.7 * poses[:, :3, 3] + noise.normal(size=(20, 3))
    poses[:, :3, :3] = [T[:3, :3] @ rotation(0.1 * noise.normal(size=3)) for T in truth.T_map_cam]
    predicted = Trajectory(truth.stamp_ns, random_pose(noise) @ poses)
    reference, estimate = (
        PoseTrajectory3D(poses_se3=list(one.T_map_cam), timestamps=one.stamp_ns / 1e9)
        for one in (truth, predicted)
    )
    _, _, scale = estimate.align(reference, correct_scale=with_scale)

    def rms(metric):
        metric.process_data((reference, estimate))
        return metric.get_statistic(metrics.StatisticsType.rmse)

    relation, unit = metrics.PoseRelation, metrics.Unit.frames
    alignment = TrajectoryAlignment.SIM3 if with_scale else TrajectoryAlignment.SE3
    report = evaluate_trajectory(predicted, truth, alignment, RpeDelta(frames))
    assert report.scale == pytest.approx(scale)
    assert report.ate_rmse_m == pytest.approx(rms(metrics.APE(relation.translation_part)))
    rpe = (
        metrics.RPE(part, delta=frames, delta_unit=unit, all_pairs=True)
        for part in (relation.translation_part, relation.rotation_angle_deg)
    )
    assert (report.rpe_trans_m, report.rpe_rot_deg) == pytest.approx(tuple(map(rms, rpe)))


@FAST
@given(SEEDS, st.booleans(), st.integers(1, 7))
def test_equals_the_published_definitions(seed, with_scale, frames):
    truth = random_walk(seed)
    noise = np.random.default_rng(seed + 1)
    poses = 1.7 * truth.T_map_cam
    poses[:, :3, :3] = [T[:3, :3] @ rotation(0.1 * noise.normal(size=3)) for T in truth.T_map_cam]
    poses[:, :3, 3] += noise.normal(size=(20, 3))
    poses[:, 3] = 0, 0, 0, 1
    poses = random_pose(noise) @ poses
    predicted = Trajectory(truth.stamp_ns, poses)
    report = evaluate_trajectory(
        predicted,
        truth,
        TrajectoryAlignment.SIM3 if with_scale else TrajectoryAlignment.SE3,
        RpeDelta(frames),
    )
    aligned, scale = plain_horn(poses[:, :3, 3], truth.positions_m, with_scale)
    off = np.linalg.norm(aligned - truth.positions_m, axis=1)
    assert report.scale == pytest.approx(scale)
    assert report.ate_rmse_m == pytest.approx(np.sqrt(np.mean(off**2)))
    assert report.ate_max_m == pytest.approx(off.max())
    scaled = poses.copy()
    scaled[:, :3, 3] *= scale
    translation, angle = plain_relative_error(
        scaled, truth.T_map_cam, [(i, i + frames) for i in range(20 - frames)]
    )
    assert report.rpe_trans_m == pytest.approx(translation)
    assert report.rpe_rot_deg == pytest.approx(angle, rel=1e-6)


@FAST
@given(SEEDS)
def test_rpe_over_seconds_ends_at_the_nearest_pose(seed):
    rng = np.random.default_rng(seed)
    walk = random_walk(seed)
    truth = Trajectory(np.cumsum(rng.integers(10, 10**9, 20)), walk.T_map_cam)
    predicted = Trajectory(truth.stamp_ns, random_walk(seed + 1).T_map_cam)
    report = evaluate_trajectory(predicted, truth, delta=RpeDelta(seconds=1.5))
    ends = truth.stamp_ns + 1_500_000_000
    pairs = [
        (i, int(np.argmin(np.abs(truth.stamp_ns - ends[i]))))
        for i in range(20)
        if ends[i] <= truth.stamp_ns[-1]
    ]
    pairs = [(i, j) for i, j in pairs if j > i]
    expected = plain_relative_error(predicted.T_map_cam, truth.T_map_cam, pairs)
    assert (report.rpe_trans_m, report.rpe_rot_deg) == pytest.approx(expected, rel=1e-6)
    assert report.rpe_delta == '1.5 s'


@FAST
@given(SEEDS, st.floats(0.1, 10.0))
def test_scale_alignment_keeps_the_heading_error(seed, scale):
    truth = random_walk(seed)
    poses = truth.T_map_cam.copy()
    poses[:, :3, 3] *= scale
    elsewhere = random_pose(np.random.default_rng(seed + 1)) @ poses
    report = evaluate_trajectory(
        Trajectory(truth.stamp_ns, elsewhere), truth, TrajectoryAlignment.SCALE
    )
    assert report.scale == pytest.approx(1 / scale)
    assert report.ate_rmse_m < 1e-8
    poses[0, :3, :3] = poses[0, :3, :3] @ rotation(np.array([0, 0.3, 0]))  # heading at the start
    report = evaluate_trajectory(
        Trajectory(truth.stamp_ns, poses), truth, TrajectoryAlignment.SCALE
    )
    first = truth.T_map_cam[0]
    x = (poses[:, :3, 3] - poses[0, :3, 3]) @ poses[0, :3, :3]
    y = (truth.positions_m - first[:3, 3]) @ first[:3, :3]
    s = (x * y).sum() / (x * x).sum()
    assert report.scale == pytest.approx(s if s > 0 else 1.0)
    used = report.scale
    assert report.ate_rmse_m == pytest.approx(
        np.sqrt(np.mean(np.sum((used * x - y) ** 2, axis=1)))
    )


@pytest.mark.parametrize('fit', list(TrajectoryAlignment))
def test_a_single_pose_has_nan_errors(fit):
    truth = random_walk(3, count=5)
    report = evaluate_trajectory(truth.select(np.array([2])), truth, fit)
    assert report.frames == 1
    assert np.isnan([report.ate_rmse_m, report.rpe_trans_m, report.rpe_rot_deg]).all()


@pytest.mark.parametrize('fit', list(TrajectoryAlignment))
@pytest.mark.parametrize('still', ['truth', 'prediction', 'both'])
def test_a_static_camera(fit, still):
    walk, rest = random_walk(1), random_walk(2)
    rest.T_map_cam[:] = rest.T_map_cam[0]
    report = evaluate_trajectory(
        walk if still == 'truth' else rest, walk if still == 'prediction' else rest, fit
    )
    assert report.scale == 1.0
    assert np.isfinite([report.ate_rmse_m, report.rpe_trans_m, report.rpe_rot_deg]).all()
    assert (report.ate_rmse_m < 1e-9) == (still == 'both')


def test_poses_with_nan_are_left_out():
    truth = random_walk(4)
    poses = truth.T_map_cam.copy()
    poses[3:5] = np.nan
    report = evaluate_trajectory(Trajectory(truth.stamp_ns, poses), truth)
    assert (report.frames, report.left_out) == (18, 2)
    assert report.ate_rmse_m < 1e-9
    with pytest.raises(InputError, match='0 of 20'):
        evaluate_trajectory(Trajectory(truth.stamp_ns, poses * np.nan), truth)


def test_a_delta_longer_than_the_sequence_has_no_relative_error():
    truth = random_walk(5, count=4)
    for delta in (RpeDelta(4), RpeDelta(40), RpeDelta(seconds=60.0)):
        report = evaluate_trajectory(truth, truth, delta=delta)
        assert np.isnan(report.rpe_trans_m)
        assert report.ate_rmse_m < 1e-9


@pytest.mark.parametrize('first', [0, 1])
@pytest.mark.parametrize('swapped', [True, False])
def test_numbers_of_frames_are_no_stamps(first, swapped):
    numbers = Trajectory((np.arange(30) + first) * 10**9, np.tile(np.eye(4), (30, 1, 1)))
    times = Trajectory(10**9 + np.arange(30) * 10**8, np.tile(np.eye(4), (30, 1, 1)))
    pair = (times, numbers) if swapped else (numbers, times)
    with pytest.raises(InputError, match='are the numbers of frames'):
        evaluate_trajectory(*pair)
    assert evaluate_trajectory(numbers, numbers).frames == 30
