# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from test.support.film import CAMERA, bent, film, sideways, turning
from videodepth_ros.alignment.hierarchy import align_hierarchy
from videodepth_ros.alignment.options import AlignmentOptions, HierarchyOptions, PairGraphOptions
from videodepth_ros.alignment.pair_graph import build_pair_graph
from videodepth_ros.alignment.providers.geometric import GeometricPairProvider
from videodepth_ros.core.errors import InputError
from videodepth_ros.geometry.rotation import so3_log
from videodepth_ros.geometry.sim3 import umeyama_alignment
from videodepth_ros.sfm.reconstruction import Reconstruction, reconstruct

pytestmark = pytest.mark.slow

FRAMES = 16
QUICK = AlignmentOptions(camera=CAMERA, max_pixels=400)


@pytest.fixture(scope='module')
def shot():
    return film(sideways(FRAMES))


def ate(T, poses, **how):
    source, target = T[:, :3, 3].T, poses[:, :3, 3].T
    error = umeyama_alignment(source, target, **how).apply(source) - target
    return float(np.sqrt(np.square(error).sum(axis=0).mean()))


def path(poses):
    return float(np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1).sum())


def spread(depth, true):
    """Return AbsRel after one scale, and how the scale of single frames spreads."""
    ratio = true / depth
    ratio /= np.nanmedian(ratio)
    scales = np.nanmedian(ratio, axis=(1, 2))
    return float(np.nanmean(np.abs(1 / ratio - 1))), float(np.nanstd(scales))


def refined(shot, depth, found, clip=6):
    settings = HierarchyOptions(QUICK, QUICK)
    clips = list(
        align_hierarchy(
            GeometricPairProvider(depth, found),
            build_pair_graph(len(depth), PairGraphOptions(clip_length=clip)),
            settings,
        )
    )
    return (
        np.concatenate([clip.T_world_cam for clip in clips]),
        np.concatenate([clip.depth for clip in clips]),
    )


def test_measured_depth_gives_a_metric_trajectory_and_stays_as_it_is(shot):
    found = reconstruct(shot.images, shot.depth, CAMERA)
    assert ate(found.T_world_cam, shot.poses, with_scale=False) < 0.01 * path(shot.poses)
    assert np.abs(found.log_depth_correction).max() < 0.01


def test_a_prior_that_is_wrong_and_flickers_is_corrected_by_parallax(shot):
    prior = bent(shot.depth)
    T, depth = refined(shot, prior, reconstruct(shot.images, prior, CAMERA))
    assert ate(T, shot.poses) < 0.02 * path(shot.poses)
    before, after = spread(prior, shot.depth), spread(depth, shot.depth)
    assert after[0] < before[0] / 3
    assert after[1] < before[1] / 3


def test_the_unit_is_that_of_the_prior(shot):
    found = reconstruct(shot.images, 3 * shot.depth, CAMERA)
    assert path(found.T_world_cam) == pytest.approx(3 * path(shot.poses), rel=0.05)


def test_an_unknown_focal_length_is_estimated(shot):
    found = reconstruct(shot.images, shot.depth, None)
    assert found.camera.fx == pytest.approx(CAMERA.fx, rel=0.1)
    assert found.camera.fx == found.camera.fy


def test_every_run_gives_the_same_and_survives_its_file(shot, tmp_path):
    prior = bent(shot.depth)
    first, second = (reconstruct(shot.images, prior, CAMERA) for _ in range(2))
    first.save(tmp_path / 'found.npz')
    read = Reconstruction.load(tmp_path / 'found.npz')
    for other in (second, read):
        assert np.array_equal(first.T_world_cam, other.T_world_cam)
        assert np.array_equal(first.log_depth_correction, other.log_depth_correction)
        assert np.array_equal(first.fallback_log_depth, other.fallback_log_depth, equal_nan=True)
        assert first.camera == other.camera
        assert np.array_equal(first.tracked_points, other.tracked_points)
        assert first.reprojection_sigma == other.reprojection_sigma


def test_well_constrained_poses_have_no_warnings(shot):
    assert reconstruct(shot.images, shot.depth, CAMERA).warnings() == ()


def test_poses_from_noise_are_reported_as_unreliable(shot):
    noise = np.random.default_rng(0).integers(0, 256, shot.images.shape).astype(np.uint8)
    warnings = reconstruct(noise, shot.depth, CAMERA).warnings()
    assert warnings
    assert all('unreliable' in warning for warning in warnings)


def test_frames_without_tracks_are_reported(shot):
    images = shot.images.copy()
    images[7:9] = 0
    lost, *_ = reconstruct(images, shot.depth, CAMERA).warnings()
    assert 'lost at frames 7 to 8 (from 0)' in lost


def test_progress_grows_to_one(shot):
    shares = []
    reconstruct(shot.images[:4], shot.depth[:4], CAMERA, shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_larger_images_give_the_same_cameras(shot):
    large = np.repeat(np.repeat(shot.images, 2, axis=1), 2, axis=2)
    found = reconstruct(large, shot.depth, CAMERA)
    assert found.camera == CAMERA or found.camera.fx == pytest.approx(CAMERA.fx)
    assert ate(found.T_world_cam, shot.poses) < 0.03 * path(shot.poses)


def test_a_camera_that_only_turns_stays_in_its_place():
    shot = film(turning(12))
    prior = bent(shot.depth, flicker=0.0)
    found = reconstruct(shot.images, prior, CAMERA)
    away = np.linalg.norm(found.T_world_cam[:, :3, 3] - found.T_world_cam[0, :3, 3], axis=1)
    assert away.max() < 0.02 * np.median(prior)
    turn = found.T_world_cam[0, :3, :3].T @ found.T_world_cam[-1, :3, :3]
    assert np.linalg.norm(so3_log(turn)) == pytest.approx(0.22, abs=0.01)


def test_noise_of_a_camera_that_stands_does_not_bend_the_prior(shot):
    noise = np.random.default_rng(2).normal(0, 4, (FRAMES, *shot.images.shape[1:]))
    images = (shot.images[:1] + noise).clip(0, 255).astype(np.uint8)
    prior = np.repeat(bent(shot.depth)[:1], FRAMES, axis=0)
    found = reconstruct(images, prior, CAMERA)
    assert np.ptp(found.log_depth_correction, axis=(1, 2)).max() == 0
    assert np.abs(found.log_depth_correction).max() < 0.05


def test_what_moves_by_itself_does_not_move_the_camera(shot):
    images, depth = shot.images.copy(), shot.depth.copy()
    card = np.random.default_rng(5).integers(0, 255, (8, 8, 1)).astype(np.uint8)
    card = np.repeat(np.kron(card[..., 0], np.ones((5, 5), np.uint8))[..., None], 3, axis=-1)
    for n in range(FRAMES):
        images[n, 40:80, 20 + 4 * n : 60 + 4 * n] = card
        depth[n, 40:80, 20 + 4 * n : 60 + 4 * n] = 1.0
    found = reconstruct(images, depth, CAMERA)
    assert ate(found.T_world_cam, shot.poses) < 0.03 * path(shot.poses)
    (pair,) = GeometricPairProvider(depth, found).pairs([(0, 8)])
    assert np.median(pair.confidence_i[45:75, 25:55]) < np.median(pair.confidence_i)


def unseen(shot, name):
    """Return images and depth of recordings in which little can be known."""
    images, depth = shot.images.copy(), shot.depth.copy()
    if name == 'one frame':
        return images[:1], depth[:1]
    if name == 'identical frames':
        return np.repeat(images[:1], FRAMES, 0), np.repeat(depth[:1], FRAMES, 0)
    if name == 'no texture':
        return np.full_like(images, 99), depth
    if name == 'a keyframe without depth':
        depth[6] = np.nan
    if name == 'frames without depth and of the sky':
        depth[3], depth[4] = np.nan, np.inf
    if name == 'black frames':
        images[7:10] = 0
    if name == 'a cut':
        images[8:] = images[8:, ::-1, ::-1]
    return images, depth


@pytest.mark.parametrize(
    'name',
    [
        'one frame',
        'identical frames',
        'no texture',
        'a keyframe without depth',
        'frames without depth and of the sky',
        'black frames',
        'a cut',
    ],
)
def test_little_to_see_is_no_end(shot, name):
    images, depth = unseen(shot, name)
    T, found = refined(shot, depth, reconstruct(images, depth, CAMERA))
    assert T.shape == (len(images), 4, 4)
    assert np.isfinite(T).all()
    assert np.isfinite(found).any(axis=(1, 2)).all()
    if name in ('identical frames', 'no texture'):
        assert path(T) < 1e-3


def test_points_of_the_sky_are_unknown(shot):
    depth = shot.depth.copy()
    depth[:, :20] = np.inf
    (pair,) = GeometricPairProvider(depth, reconstruct(shot.images, depth, CAMERA)).pairs([(1, 4)])
    assert np.isnan(pair.points_i[:20]).all()
    assert (pair.confidence_i[:20] == 1).all()
    assert (pair.confidence_i[30:] > 1).all()


def test_both_views_of_a_pair_lie_in_one_place(shot):
    (pair,) = GeometricPairProvider(
        shot.depth, reconstruct(shot.images, shot.depth, CAMERA)
    ).pairs([(2, 5)])
    T_i_j = np.linalg.inv(shot.poses[2]) @ shot.poses[5]
    assert pair.edge == (2, 5)
    back = (pair.points_j - T_i_j[:3, 3]) @ T_i_j[:3, :3]
    assert np.median(np.abs(back[..., 2] / shot.depth[5] - 1)) < 0.01


@pytest.mark.parametrize(
    'broken, message',
    [
        (lambda images, depth: (images[:3], depth, CAMERA), '3 images and 16 depth maps'),
        (lambda images, depth: (images, depth, replace(CAMERA, width=80)), '80x120'),
        (lambda images, depth: (images, np.full_like(depth, np.nan), CAMERA), 'no depth in any'),
    ],
)
def test_inputs_that_do_not_match_are_rejected(shot, broken, message):
    with pytest.raises(InputError, match=message):
        reconstruct(*broken(shot.images, shot.depth))
