# SPDX-License-Identifier: Apache-2.0
import cv2
import numpy as np
import pytest

from test.support.small_bag import START_NS, truth_m, write_scene
from videodepth_ros.bags.writer import BagWriter


def write_prediction(path, scale: float = 1.0, offset_ns: int = 0, frames: int = 5):
    """Write the truth of the scene times ``scale``, and its path turned and moved."""
    T = np.array([[0.0, -1, 0, 3], [1, 0, 0, 4], [0, 0, 1, 5], [0, 0, 0, 1]])
    poses = []
    with BagWriter(path) as bag:
        for k in range(frames):
            stamp_ns, T_map_cam = START_NS + k * 50_000_000 + offset_ns, np.eye(4)
            T_map_cam[0, 3] = 0.1 * k
            poses.append((stamp_ns, T @ T_map_cam))
            bag.write_depth('videodepth/depth/image', stamp_ns, 'optical', truth_m() * scale)
            bag.write_path('videodepth/path', stamp_ns, 'map', poses)
    return path


def test_perfect_depth_and_path(run, scene, tmp_path, capsys):
    code, facts = run('eval', write_prediction(tmp_path / 'p'), scene)
    assert code == 0
    depth, trajectory = facts['depth'], facts['trajectory']
    assert depth['frames'] == trajectory['frames'] == 5
    assert depth['abs_rel'] == depth['rmse_m'] == 0.0
    assert depth['delta_1_25'] == depth['boundary_f1'] == 1.0
    assert depth['scale_drift'] == pytest.approx(0.0)
    assert trajectory['ate_rmse_m'] == pytest.approx(0.0, abs=1e-9)
    assert trajectory['path_length_m'] == pytest.approx(0.4)
    assert trajectory['rpe_rot_deg'] == pytest.approx(0.0, abs=1e-6)
    assert depth['best_constant']['abs_rel'] > 0.1
    printed = capsys.readouterr().out
    assert 'best vertical gradient' in printed
    assert 'ATE rmse' in printed


def test_plot_writes_a_picture_of_depth_and_trajectory(run, scene, tmp_path):
    prediction = write_prediction(tmp_path / 'p', scale=1.2)
    assert run('eval', prediction, scene, '--plot', tmp_path / 'errors.png')[0] == 0
    picture = cv2.imread(str(tmp_path / 'errors.png'))
    assert picture.shape[1] == 960
    assert picture.shape[0] > 2 * 220 + 480  # two series, an error map, a trajectory
    for wrong in ('errors.jpg', 'no/folder.png'):
        with pytest.raises(SystemExit):
            run('eval', prediction, scene, '--plot', tmp_path / wrong)


def test_alignment_is_what_makes_a_wrong_scale_right(run, scene, tmp_path):
    prediction = write_prediction(tmp_path / 'p', scale=2.0)
    assert run('eval', prediction, scene)[1]['depth']['abs_rel'] == pytest.approx(1.0)
    aligned = run('eval', prediction, scene, '--align', 'scale')[1]
    assert aligned['depth']['abs_rel'] == pytest.approx(0.0, abs=1e-6)
    assert aligned['depth']['scale'] == pytest.approx(2.0)


def test_one_bag_may_hold_both(run, scene):
    code, facts = run('eval', scene, '--depth-topic', 'ground_truth/depth/image')
    assert code == 0
    assert facts['depth']['abs_rel'] == 0.0
    assert facts['trajectory'] is None


def test_stamps_may_differ_by_less_than_ten_milliseconds(run, scene, tmp_path):
    assert run('eval', write_prediction(tmp_path / 'near', offset_ns=5_000_000), scene)[0] == 0
    code, facts = run('eval', write_prediction(tmp_path / 'far', offset_ns=10**12), scene)
    assert code == 1
    assert 'stamps' in facts['error']


def test_missing_frames_are_passed_over(run, scene, tmp_path):
    facts = run('eval', write_prediction(tmp_path / 'p', frames=3), scene)[1]
    assert facts['depth']['frames'] == 3


def test_nothing_to_compare_lists_what_there_is(run, scene):
    code, facts = run('eval', scene, scene)
    assert code == 1
    assert '/ground_truth/depth/image' in facts['error']


def test_a_topic_that_is_not_there_is_named(run, scene):
    code, facts = run('eval', scene, scene, '--depth-topic', '/depth')
    assert code == 1
    assert 'topic /depth is not in the recording' in facts['error']


def test_far_truth_is_compared_only_on_request(run, tmp_path):
    far = write_scene(tmp_path / 'far', scale=25.0)  # 40 m and 100 m
    near = run('eval', far, '--depth-topic', 'ground_truth/depth/image')[1]['depth']
    assert near['best_constant']['abs_rel'] == pytest.approx(0.0, abs=1e-6)  # all at 40 m
    both = run('eval', far, '--depth-topic', 'ground_truth/depth/image', '--max-depth-m', '200')[
        1
    ]['depth']
    assert both['best_constant']['abs_rel'] > 0.1
