# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import pytest

from videodepth_ros.frames import Frame
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.mvs.views import Outline
from videodepth_ros.stream import motion_stereo
from videodepth_ros.stream.corner_tracking import IDENTITY_POSE, Pose
from videodepth_ros.stream.motion_stereo import DEFAULTS, MotionStereo, choose_by_parallax
from videodepth_ros.stream.stabilization import TrackedFrame
from videodepth_ros.stream.temporal_filter import TemporalFilter
from videodepth_ros.synthetic.scenes import render_scene

pytestmark = pytest.mark.slow

FRAMES = 12
PERIOD_NS = 100_000_000


@cache
def scene():
    return tuple(render_scene('living_room', 0, FRAMES, 320, 240, 10.0))


def frame(seen, k):
    return Frame(k * PERIOD_NS, 'camera', seen.image, seen.camera)


def pose(seen):
    rotation = seen.T_map_cam[:3, :3].T
    return Pose(rotation, -rotation @ seen.T_map_cam[:3, 3])


def tracked(seen, k, **changes):
    """Return what a tracker without errors gives."""
    ones = np.ones(seen.depth_m.shape, np.float32)
    return replace(TrackedFrame(ones, seen.camera, pose(seen), 1.0, 1.0, k == 0), **changes)


def waved(depth_m, height=0.3):
    """Return depth (h, w) with waves across the image, as of a network that guesses."""
    across = np.sin(np.linspace(0, 4 * np.pi, depth_m.shape[1], dtype=np.float32))
    return depth_m * np.exp(height * across)


def error(seen, depth_m):
    """Return the mean deviation of log depth, but for its scale."""
    known = np.isfinite(seen.depth_m)
    log_ratio = np.log(depth_m[known] / seen.depth_m[known])
    return np.abs(log_ratio - np.median(log_ratio)).mean()


def refined(stereo):
    """Return the depth of each frame of the scene by true poses and wrong depth."""
    return [
        waved(seen.depth_m)
        * stereo.refine(frame(seen, k), waved(seen.depth_m), tracked(seen, k)).factor
        for k, seen in enumerate(scene())
    ]


def test_stereo_takes_much_of_a_smooth_error_away():
    depths, last = refined(MotionStereo()), scene()[-1]
    assert error(last, depths[-1]) < 0.6 * error(last, waved(last.depth_m))


def test_poses_of_tracked_corners_do_nearly_as_well():
    temporal, with_stereo = (TemporalFilter() for _ in range(2))
    errors = []
    for k, seen in enumerate(scene()):
        wrong_m = waved(seen.depth_m)
        stabilized_m = (
            wrong_m * temporal.correct(frame(seen, k), wrong_m, motion_stereo=False).factor
        )
        stereo_m = wrong_m * with_stereo.correct(frame(seen, k), wrong_m).factor
        errors.append((error(seen, stabilized_m), error(seen, stereo_m)))
    stabilized, stereo = np.mean(errors[4:], axis=0)
    assert stereo < 0.85 * stabilized


def test_a_camera_that_stands_has_no_stereo():
    stereo, seen = MotionStereo(), scene()[0]
    for k in range(5):
        factor, _ = stereo.refine(frame(seen, k), waved(seen.depth_m), tracked(seen, k))
        np.testing.assert_allclose(factor, 1, rtol=1e-5)


def test_noise_is_averaged_over_time():
    stereo, seen, rng = MotionStereo(), scene()[0], np.random.default_rng(0)
    noisy, steadied = [], []
    for k in range(30):
        noise = cv2.resize(rng.normal(0, 0.03, (12, 16)), (320, 240)).astype(np.float32)
        depth_m = seen.depth_m * np.exp(noise)
        factor, _ = stereo.refine(frame(seen, k), depth_m, tracked(seen, k))
        noisy.append(np.log(depth_m))
        steadied.append(np.log(depth_m * factor))
    assert np.std(steadied[10:], axis=0).mean() < 0.6 * np.std(noisy[10:], axis=0).mean()


def test_depth_that_changes_with_the_image_is_taken_at_once():
    stereo, seen = MotionStereo(), scene()[0]
    near = (slice(80, 160), slice(100, 200))
    for k in range(8):
        stereo.refine(frame(seen, k), seen.depth_m, tracked(seen, k))
    image, depth_m = seen.image.copy(), seen.depth_m.copy()
    image[near], depth_m[near] = 255 - image[near], 0.93 * depth_m[near]
    entered = replace(seen, image=image)
    factor, _ = stereo.refine(frame(entered, 8), depth_m, tracked(seen, 8))
    np.testing.assert_allclose(factor[100:140, 120:180], 1, atol=0.02)


def test_depth_that_leaps_is_taken_at_once():
    stereo, seen = MotionStereo(), scene()[0]
    for k in range(8):
        stereo.refine(frame(seen, k), seen.depth_m, tracked(seen, k))
    factor, _ = stereo.refine(frame(seen, 8), 0.8 * seen.depth_m, tracked(seen, 8))
    np.testing.assert_allclose(factor, 1, atol=0.01)


def test_a_camera_that_stands_before_things_that_move_has_no_stereo():
    """Corners of a walking person give a pose that the rest of the image contradicts."""
    stereo, seen = MotionStereo(), scene()[0]
    for k, other in enumerate(scene()):
        factor, matched = stereo.refine(
            frame(seen, k), waved(seen.depth_m), tracked(seen, k, pose=pose(other))
        )
        np.testing.assert_allclose(factor, 1, rtol=1e-5)
        assert matched.max() == 0


def test_flow_that_is_left_over_counts_against_what_moves_by_itself():
    blocks = np.random.default_rng(0).integers(0, 256, (15, 12, 3), np.uint8)
    patch, shares = cv2.resize(blocks, (50, 60)), []
    for most_px in (DEFAULTS.most_left_over_px, np.inf):
        stereo = MotionStereo(replace(DEFAULTS, most_left_over_px=most_px))
        for k, seen in enumerate(scene()):
            image = seen.image.copy()
            rows, columns = slice(60 + 6 * k, 120 + 6 * k), slice(140, 190)
            image[rows, columns] = patch
            moving = replace(seen, image=image)
            _, matched = stereo.refine(frame(moving, k), waved(seen.depth_m), tracked(seen, k))
        shares.append(cv2.resize(matched, (320, 240))[rows, columns].mean() / matched.mean())
    assert shares[0] < 0.6
    assert shares[0] < 0.9 * shares[1]


def test_poses_that_few_corners_agree_on_are_not_used():
    stereo = MotionStereo()
    for k, seen in enumerate(scene()):
        poor = tracked(seen, k, inlier_share=0.4)
        _, matched = stereo.refine(frame(seen, k), waved(seen.depth_m), poor)
        assert matched.max() == 0


def test_the_unit_of_the_world_does_not_matter():
    plain, scaled = MotionStereo(), MotionStereo()
    for k, seen in enumerate(scene()):
        unit_m = 1.1**k
        depth_m = waved(seen.depth_m)
        expected, _ = plain.refine(frame(seen, k), depth_m, tracked(seen, k))
        now = tracked(seen, k, unit_m=unit_m, pose=pose(seen).scaled(unit_m))
        factor, _ = scaled.refine(frame(seen, k), depth_m * np.float32(unit_m), now)
        assert np.abs(np.log(factor / expected)).mean() < 1e-3


def test_another_world_begins_without_what_was_before():
    stereo = MotionStereo()
    refined(stereo)
    seen = scene()[0]
    factor, _ = stereo.refine(frame(seen, 99), waved(seen.depth_m), tracked(seen, 0))
    np.testing.assert_allclose(factor, 1, rtol=1e-5)


def test_images_are_matched_at_most_every_period(monkeypatch):
    matched, match_view = [], motion_stereo.match_view
    monkeypatch.setattr(
        motion_stereo,
        'match_view',
        lambda view, *rest: matched.append(view) or match_view(view, *rest),
    )
    stereo, slow = MotionStereo(), 4
    for k, seen in enumerate(scene()):
        close = replace(frame(seen, k), stamp_ns=k * PERIOD_NS // slow)
        stereo.refine(close, waved(seen.depth_m), tracked(seen, k))
    assert FRAMES // slow - 1 <= len(matched) <= FRAMES // slow + 1


@pytest.mark.parametrize('fill', [np.nan, np.inf, 0.0])
def test_depth_that_is_unknown_everywhere_stays_as_it_is(fill):
    stereo = MotionStereo()
    for k, seen in enumerate(scene()[:4]):
        factor, _ = stereo.refine(
            frame(seen, k), np.full((24, 32), fill, np.float32), tracked(seen, k)
        )
        assert factor.dtype == np.float32
        assert (factor == 1).all()


def test_depth_that_is_unknown_in_places_has_a_finite_factor():
    stereo = MotionStereo()
    for k, seen in enumerate(scene()):
        depth_m = waved(seen.depth_m)
        depth_m[:40], depth_m[60:90, 100:150] = np.inf, np.nan
        factor, _ = stereo.refine(frame(seen, k), depth_m, tracked(seen, k))
        assert np.isfinite(factor).all()
        assert (factor > 0).all()


def test_keyframes_are_chosen_by_parallax():
    camera = Intrinsics.centred(160, 120, 160.0)
    points_m = np.stack(np.meshgrid([-0.2, 0.2], [-0.2, 0.2], [1.0]), -1).reshape(-1, 3)

    def at(x_m):
        T_map_cam = np.eye(4)
        T_map_cam[0, 3] = x_m
        return Outline(points_m, camera, T_map_cam)

    keyframes = [at(px / 160) for px in (0.5, 3.0, 5.0, 9.0, 25.0, 130.0)]
    assert choose_by_parallax(at(0.0), keyframes) == [2, 3, 4]
    assert choose_by_parallax(at(0.0), keyframes[:2]) == [1]
    assert choose_by_parallax(at(0.0), keyframes[:1]) == []


def test_a_surface_that_was_hidden_takes_nothing_over():
    seen = scene()[0]
    options = DEFAULTS
    start = TrackedFrame(seen.depth_m, seen.camera, IDENTITY_POSE, 1.0, 1.0, is_first=True)
    near = motion_stereo._view_of(frame(seen, 0), np.full((24, 32), 2, np.float32), start, options)
    far = motion_stereo._view_of(frame(seen, 1), np.full((24, 32), 3, np.float32), start, options)
    ones = np.ones(near.grey.shape, np.float32)
    ratio = motion_stereo._LogRatio(0.1 * ones, ones)
    last = motion_stereo._Refined(near, ratio, near.prior_per_m)
    assert motion_stereo._carried(last, near, options).weight.mean() > 0.95
    assert motion_stereo._carried(last, far, options).weight.max() == 0
