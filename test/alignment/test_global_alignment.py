# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench.room import CAMERA, depth, pair, pairs, pose, walk
from videodepth_ros.alignment.constraints import Constraints, RelativePose, ScaleReference
from videodepth_ros.alignment.global_alignment import align
from videodepth_ros.alignment.options import AlignmentOptions, FocalModel
from videodepth_ros.alignment.pairs import clip_graph, sliding_window_graph, symmetrize
from videodepth_ros.alignment.reference import published_cost
from videodepth_ros.core.errors import ConfigError, InputError
from videodepth_ros.geometry.camera import Intrinsics

pytestmark = pytest.mark.slow

FREE = AlignmentOptions(
    rotation_smoothing=0, translation_smoothing=0, max_pixels=400, function_tolerance=1e-7
)
KNOWN = replace(FREE, camera=CAMERA)


def unsure(one):
    """The same pair, worth nothing."""
    return replace(
        one,
        confidence_i=np.ones((32, 48), np.float32),
        confidence_j=np.zeros((32, 48), np.float32),
    )


def errors(result, poses):
    """Largest error of centres and rotations after one scale, and of depth; metres, radians."""
    truth = np.linalg.inv(poses[0]) @ poses
    exact = np.array([depth(T) for T in poses])
    scale = np.nanmedian(exact / result.depth)
    centers = np.abs(scale * result.T_world_cam[:, :3, 3] - truth[:, :3, 3]).max()
    turned = np.abs(result.T_world_cam[:, :3, :3] - truth[:, :3, :3]).max()
    return centers, turned, float(np.nanmax(np.abs(scale * result.depth / exact - 1)))


@pytest.mark.parametrize(
    'options',
    [KNOWN, FREE, replace(FREE, focal_model=FocalModel.PER_FRAME), replace(KNOWN, window=5)],
    ids=['known focal', 'shared focal', 'own focal', 'banded'],
)
def test_exact_pairs_give_the_exact_scene(options):
    poses = walk(6)
    result = align(pairs(poses, clip_graph(6)), options)
    assert max(errors(result, poses)) < 2e-3
    assert all(camera.fx == pytest.approx(CAMERA.fx, rel=2e-3) for camera in result.cameras)
    assert result.scale_reference is ScaleReference.PAIRS
    assert np.exp(np.log(result.pair_scale).mean()) == pytest.approx(0.5)


def test_robust_to_noise_and_outliers():
    poses = walk(6)
    noisy = pairs(poses, clip_graph(6), noise=0.02, outliers=0.1)
    centers, turned, _ = errors(align(noisy, KNOWN), poses)
    assert centers < 0.02
    assert turned < 0.01


def test_cameras_without_a_pair_of_their_own_are_resected():
    poses = walk(4)
    result = align(pairs(poses, [(0, 1), (0, 2), (0, 3)]), KNOWN)
    assert max(errors(result, poses)) < 5e-3


@pytest.mark.parametrize(
    'poses',
    [np.array([pose()] * 4), np.array([pose(turn_rad=(0, 0.05 * n, 0)) for n in range(4)])],
    ids=['standing', 'rotation only'],
)
def test_static_and_rotating_cameras(poses):
    assert max(errors(align(pairs(poses, clip_graph(4)), FREE), poses)) < 5e-3
    assert (
        max(
            errors(
                align(pairs(poses, clip_graph(4)), replace(FREE, rotation_smoothing=0.01)), poses
            )
        )
        < 5e-3
    )


def test_one_frame():
    result = align([pair(walk(1), 0, 0)], KNOWN)
    assert max(errors(result, walk(1))) < 1e-3


def test_two_frames():
    poses = walk(2)
    assert max(errors(align(pairs(poses, clip_graph(2)), KNOWN), poses)) < 2e-3


def test_a_pair_without_weight_changes_nothing():
    poses = walk(4)
    noisy = pairs(poses, clip_graph(4), noise=0.02)
    for window in (None, 3):
        options = replace(KNOWN, window=window)
        found = align([*noisy, unsure(pair(poses, 0, 2))], options)
        without = align(noisy, options)
        unit = found.pair_scale[0] / without.pair_scale[0]  # the mean of the scales counts it
        np.testing.assert_allclose(
            found.T_world_cam[:, :3, 3] / unit, without.T_world_cam[:, :3, 3], atol=2e-4
        )


def test_alignment_is_deterministic():
    noisy = pairs(walk(4), clip_graph(4), noise=0.02)
    first, second = align(noisy, FREE), align(noisy, FREE)
    np.testing.assert_array_equal(first.T_world_cam, second.T_world_cam)
    np.testing.assert_array_equal(first.depth, second.depth)


def test_the_banded_problem_is_the_dense_problem():
    poses = walk(8)
    noisy = pairs(poses, [*symmetrize(sliding_window_graph(8, (1, 2))), (7, 0)], noise=0.02)
    options = replace(KNOWN, function_tolerance=1e-6)
    dense, banded = align(noisy, options), align(noisy, replace(options, window=2))
    np.testing.assert_allclose(banded.T_world_cam, dense.T_world_cam, atol=1e-4)
    np.testing.assert_allclose(banded.depth, dense.depth, rtol=1e-3)


def test_flow_improves_poses_and_segments_moving_objects():
    poses = walk(6)
    with_flow = pairs(poses, clip_graph(6), noise=0.05, outliers=0.05, flow=True)
    for one in with_flow:
        one.flow[10:14, 20:28] += 8  # something that moves by itself
    without = [replace(one, flow=None) for one in with_flow]
    aligned = align(with_flow, replace(KNOWN, flow_weight=0.05))
    assert errors(aligned, poses)[1] < errors(align(without, KNOWN), poses)[1]
    assert aligned.moving[:, 10:14, 20:28].mean() > 0.95
    assert aligned.moving.mean() < 1.1 * 4 * 8 / (32 * 48)


def test_unknown_points_have_no_depth_of_their_own():
    poses = walk(4)
    holed = pairs(poses, clip_graph(4))
    for one in holed:
        one.points_i[:4] = np.nan
        one.points_j[:, -3:] = np.inf
        if 2 in one.edge:
            one.points_j[8:10, 8:10] = np.nan
            one.points_i[8:10, 8:10] = np.nan
    result = align(holed, KNOWN)
    assert max(errors(result, poses)) < 5e-3
    np.testing.assert_array_equal(np.isnan(result.depth[2, 8:10, 8:10]), True)
    assert np.isnan(result.depth).mean() < 0.05


def test_measured_depth_gives_metres():
    poses = walk(4)
    sparse = np.full((4, 32, 48), np.nan, np.float32)
    sparse[1:3, ::4, ::4] = np.array([depth(T) for T in poses])[1:3, ::4, ::4]
    result = align(pairs(poses, clip_graph(4), noise=0.01), KNOWN, Constraints(depth_m=sparse))
    assert result.scale_reference is ScaleReference.DEPTH
    np.testing.assert_allclose(
        result.T_world_cam[:, :3, 3], poses[:, :3, 3] - poses[0, :3, 3], atol=0.02
    )
    np.testing.assert_allclose(result.depth[1, ::4, ::4], sparse[1, ::4, ::4], rtol=5e-3)


def test_known_poses_give_metres_and_the_world():
    poses = walk(6)
    known = poses.copy()
    known[2] = np.nan
    result = align(pairs(poses, clip_graph(6), noise=0.02), KNOWN, Constraints(T_world_cam=known))
    assert result.scale_reference is ScaleReference.POSES
    np.testing.assert_allclose(result.T_world_cam, poses, atol=0.02)


def test_odometry_gives_metres():
    poses = walk(5)
    motions = [RelativePose(n, n + 1, np.linalg.inv(poses[n]) @ poses[n + 1]) for n in range(4)]
    result = align(pairs(poses, clip_graph(5), noise=0.02), KNOWN, Constraints(odometry=motions))
    assert result.scale_reference is ScaleReference.ODOMETRY
    np.testing.assert_allclose(np.linalg.inv(poses[0]) @ poses, result.T_world_cam, atol=0.02)


def test_no_other_state_nearby_costs_less():
    noisy = pairs(walk(4), clip_graph(4), noise=0.02)
    every_pixel = replace(
        KNOWN, rotation_smoothing=0.01, translation_smoothing=0.01, max_pixels=32 * 48
    )
    found = align(noisy, every_pixel)
    best, rng = published_cost(noisy, found).total, np.random.default_rng(0)
    for _ in range(20):
        T = found.T_world_cam.copy()
        T[1:, :3, 3] += 2e-3 * rng.normal(size=(3, 3))
        assert published_cost(noisy, replace(found, T_world_cam=T)).total > best


@pytest.mark.parametrize(
    'wrong, error, message',
    [
        ({'pairs': []}, InputError, 'no pairs'),
        ({'pairs': [unsure(pair(walk(2), 0, 1))]}, InputError, 'confidence above 1'),
        (
            {
                'pairs': pairs(walk(4), [(0, 1), (1, 2), (0, 3)], flow=True),
                'options': replace(KNOWN, window=2),
            },
            ConfigError,
            r'flow .*\(0, 3\)',
        ),
        ({'pairs': [pair(walk(4), 0, 1), pair(walk(4), 2, 3)]}, InputError, r'frames \[2, 3\]'),
        (
            {'options': AlignmentOptions(camera=Intrinsics(9, 9, 9.0, 9.0, 4.0, 4.0))},
            ConfigError,
            '9x9',
        ),
        ({'options': AlignmentOptions(focal_model=FocalModel.KNOWN)}, ConfigError, 'no camera'),
        (
            {'constraints': Constraints(depth_m=np.ones((2, 3, 3), np.float32))},
            InputError,
            'measured depth',
        ),
        ({'constraints': Constraints(T_world_cam=np.eye(4)[None])}, InputError, 'known poses'),
        (
            {'constraints': Constraints(odometry=[RelativePose(0, 7, np.eye(4))])},
            InputError,
            'odometry',
        ),
    ],
)
def test_invalid_inputs_are_named(wrong, error, message):
    good = {'pairs': pairs(walk(2), clip_graph(2)), 'options': KNOWN}
    with pytest.raises(error, match=message):
        align(**{**good, **wrong})


@pytest.mark.parametrize('name', ['max_pixels', 'grid_levels', 'max_iterations'])
def test_impossible_options_are_named(name):
    with pytest.raises(ConfigError, match=f'{name} is 0'):
        AlignmentOptions(**{name: 0})


def test_the_banded_problem_with_flow_is_the_dense_problem():
    poses = walk(9)
    flowing = pairs(poses, symmetrize(sliding_window_graph(9, (1, 2))), noise=0.02, flow=True)
    options = replace(KNOWN, function_tolerance=1e-6)
    dense, banded = align(flowing, options), align(flowing, replace(options, window=2))
    np.testing.assert_allclose(banded.T_world_cam, dense.T_world_cam, atol=1e-4)
