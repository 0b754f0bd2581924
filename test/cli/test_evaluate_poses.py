# SPDX-License-Identifier: Apache-2.0
"""Where trajectories come from: files, paths, odometry and frames, on either side."""

from __future__ import annotations

import numpy as np
import pytest

from test.support.small_bag import START_NS, truth_m, write_scene
from videodepth_ros.bags.writer import BagWriter
from videodepth_ros.cli import main
from videodepth_ros.evaluation.tum import write_tum
from videodepth_ros.geometry.rotation import so3_exp
from videodepth_ros.geometry.trajectory import Trajectory

FRAMES = 6
STAMPS = START_NS + 50_000_000 * np.arange(FRAMES)


def poses(seed=0):
    """Return a camera on a winding way, the same as in every recording here."""
    rng = np.random.default_rng(seed)
    T = np.tile(np.eye(4), (FRAMES, 1, 1))
    T[:, :3, :3] = so3_exp(0.4 * rng.normal(size=(FRAMES, 3)))
    T[:, :3, 3] = rng.normal(size=(FRAMES, 3))
    return T


T_BASE_CAM = np.array([[0.0, 0, 1, 0.2], [-1, 0, 0, 0], [0, -1, 0, 0.3], [0, 0, 0, 1]])


def write_tum_file(path, T=None):
    write_tum(path, Trajectory(STAMPS, poses() if T is None else T))
    return path


def write_bag(path, how):
    """Write the trajectory as a topic of some kind, and an image that names the camera."""
    base = poses() @ np.linalg.inv(T_BASE_CAM)
    with BagWriter(path) as bag:
        bag.write_depth('camera/image', START_NS, 'optical', truth_m())
        if how in ('odometry', 'tf'):
            bag.write_transform(START_NS, 'base_link', 'optical', T_BASE_CAM, static=True)
        for k, ns in enumerate(STAMPS.tolist()):
            if how == 'odometry':
                bag.write_odometry('odom', ns, 'odom', 'base_link', base[k], np.zeros(6))
            elif how == 'tf':
                bag.write_transform(ns, 'odom', 'base_link', base[k])
            elif how == 'pose':
                bag.write_pose('vicon/camera', ns, 'world', poses()[k])
        if how == 'path':
            bag.write_path(
                'slam/path', ns, 'map', list(zip(STAMPS.tolist(), poses(), strict=True))
            )
    return path


@pytest.mark.parametrize('how', ['odometry', 'tf', 'pose', 'path'])
def test_poses_of_a_bag_are_found_where_there_is_one_source(run, tmp_path, how):
    bag, file = write_bag(tmp_path / 'bag', how), write_tum_file(tmp_path / 'a.tum')
    for sides in ((bag, file), (file, bag)):
        code, facts = run('eval', *sides)
        assert code == 0
        assert facts['depth'] is None
        assert facts['trajectory']['frames'] == FRAMES
        assert facts['trajectory']['ate_rmse_m'] == pytest.approx(0, abs=1e-6)
        assert facts['trajectory']['rpe_rot_deg'] == pytest.approx(0, abs=1e-4)


def test_two_files_with_each_alignment(run, tmp_path):
    truth = write_tum_file(tmp_path / 'truth.txt')
    T = poses()
    T[:, :3, 3] *= 2.0
    wrong = write_tum_file(tmp_path / 'wrong.tum', T)
    assert run('eval', wrong, truth)[1]['trajectory']['ate_rmse_m'] > 0.1
    for fit in ('sim3', 'scale'):
        report = run('eval', wrong, truth, '--align-poses', fit)[1]['trajectory']
        assert report['alignment'] == fit
        assert report['scale'] == pytest.approx(0.5, rel=1e-5)
        assert report['ate_rmse_m'] == pytest.approx(0, abs=1e-5)
    report = run('eval', wrong, truth, '--rpe-delta', '3')[1]['trajectory']
    assert report['rpe_delta'] == '3 frames'
    report = run('eval', wrong, truth, '--rpe-delta', '0.1s')[1]['trajectory']
    assert report['rpe_delta'] == '0.1 s'


def test_of_several_sources_one_must_be_named(run, tmp_path):
    with BagWriter(tmp_path / 'bag') as bag:
        for k, ns in enumerate(STAMPS.tolist()):
            bag.write_pose('one', ns, 'map', poses()[k])
            bag.write_pose('other', ns, 'map', poses(1)[k])
    file = write_tum_file(tmp_path / 'a.tum')
    assert run('eval', file, tmp_path / 'bag')[0] == 1
    code, facts = run('eval', file, tmp_path / 'bag', '--truth-pose-topic', 'one')
    assert code == 0
    assert facts['trajectory']['ate_rmse_m'] == pytest.approx(0, abs=1e-6)
    code, facts = run('eval', file, tmp_path / 'bag', '--truth-pose-topic', 'none')
    assert code == 1
    assert 'topic none is not in the recording' in facts['error']


def test_a_bag_is_not_compared_with_itself(run, tmp_path):
    code, facts = run('eval', write_bag(tmp_path / 'bag', 'pose'))
    assert code == 1
    assert 'nothing to compare' in facts['error']


def test_depth_is_judged_though_no_pose_has_a_partner(run, tmp_path, capsys):
    scene = write_scene(tmp_path / 'scene')
    with BagWriter(tmp_path / 'p') as bag:
        bag.write_depth('videodepth/depth/image', START_NS, 'optical', truth_m())
        bag.write_path('videodepth/path', START_NS, 'map', [(5, np.eye(4))])
    code, facts = run('eval', tmp_path / 'p', scene)
    assert code == 0
    assert facts['trajectory'] is None
    assert facts['depth']['frames'] == 1
    assert 'trajectories are not compared: 0 of 1 predicted poses' in capsys.readouterr().err


def test_one_common_pose_has_no_error(run, tmp_path, capsys):
    truth = write_tum_file(tmp_path / 'truth.tum')
    write_tum(tmp_path / 'one.tum', Trajectory(STAMPS[:1], poses()[:1]))
    code, facts = run('eval', tmp_path / 'one.tum', truth)
    assert code == 0
    assert facts['trajectory']['frames'] == 1
    assert facts['trajectory']['ate_rmse_m'] is None
    assert 'a single pose has no error' in capsys.readouterr().out


def test_compressed_depth_is_judged_too(run, tmp_path):
    scene = write_scene(tmp_path / 'scene')
    with BagWriter(tmp_path / 'p') as bag:
        for k in range(3):
            bag.write_compressed_depth(
                'videodepth/depth/image/compressedDepth',
                START_NS + k * 50_000_000,
                'optical',
                truth_m(),
            )
    facts = run('eval', tmp_path / 'p', scene)[1]
    assert facts['depth']['frames'] == 3
    assert facts['depth']['abs_rel'] < 1e-4


@pytest.mark.parametrize('delta', ['0', '-1', 'x', '0s', 's', 'nans', '1.5'])
def test_a_delta_that_is_none_is_wrong_usage(delta, capsys):
    with pytest.raises(SystemExit) as exit_info:
        main(['eval', 'a', 'b', f'--rpe-delta={delta}'])
    assert exit_info.value.code == 2
    assert 'not a number of frames' in capsys.readouterr().err
