# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import pytest

from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.stream.corner_tracking import (
    DEFAULTS,
    IDENTITY_POSE,
    Corners,
    Pose,
    detect_corners,
    refine_pose_and_depths,
    track_and_localize,
    track_corners,
)
from videodepth_ros.synthetic.scenes import render_scene

CAMERA = Intrinsics(320, 240, 300.0, 300.0, 159.5, 119.5)
COUNT = 200


@cache
def scene():
    return tuple(render_scene('living_room', 0, 6, 320, 240, 10.0))


def grey(seen):
    return cv2.cvtColor(seen.image, cv2.COLOR_RGB2GRAY)


def pixels_of(points_m, pose):
    seen_m = points_m @ pose.rotation.T + pose.translation_m
    return (seen_m[:, :2] / seen_m[:, 2:] * 300 + (159.5, 119.5)).astype(np.float32)


def cloud(pose, wrong=0.15):
    """Return corners as a camera at ``pose`` sees them, and how much farther they truly are."""
    rng = np.random.default_rng(1)
    rays_m = rng.uniform((-1, -0.7, 2), (1, 0.7, 5), (COUNT, 3))
    farther = rng.normal(0, wrong, COUNT)
    seen = pixels_of(rays_m * np.exp(farther)[:, None], pose)
    zero = np.zeros(COUNT)
    return Corners(seen, np.zeros((COUNT, 3)), rays_m, zero), farther


def test_a_camera_that_moved_tells_how_far_corners_are():
    true_pose = IDENTITY_POSE.perturbed(np.array([0.02, -0.03, 0.01, 0.4, 0.1, -0.1]))
    corners, farther = cloud(true_pose)
    pose = IDENTITY_POSE
    for _ in range(4):
        corners, pose = refine_pose_and_depths(corners, pose, CAMERA, np.ones(COUNT, bool))
    np.testing.assert_allclose(pose.rotation, true_pose.rotation, atol=0.02)
    off = corners.log_depth - farther
    assert np.std(off) < 0.3 * np.std(farther)


def test_a_camera_that_turned_tells_nothing():
    corners, _ = cloud(IDENTITY_POSE.perturbed(np.array([0.02, -0.1, 0.01, 0, 0, 0])))
    corners, pose = refine_pose_and_depths(corners, IDENTITY_POSE, CAMERA, np.ones(COUNT, bool))
    np.testing.assert_allclose(corners.log_depth, 0, atol=0.01)
    np.testing.assert_allclose(pose.translation_m, 0, atol=0.01)


def test_corners_that_do_not_agree_do_not_move_the_camera():
    true_pose = IDENTITY_POSE.perturbed(np.array([0, 0, 0, 0.3, 0, 0]))
    corners, _ = cloud(true_pose, wrong=0.0)
    astray = np.arange(COUNT) % 4 == 0
    corners = replace(corners, pixels=corners.pixels + 30 * astray[:, None].astype(np.float32))
    _, pose = refine_pose_and_depths(corners, IDENTITY_POSE, CAMERA, ~astray)
    np.testing.assert_allclose(pose.translation_m, true_pose.translation_m, atol=0.01)


def test_where_many_corners_slide_what_was_believed_counts_for_more():
    corners, _ = cloud(IDENTITY_POSE.perturbed(np.array([0, 0, 0, 0.3, 0, 0])))
    inliers = np.arange(COUNT) % 5 >= 3
    sliding = np.random.default_rng(2).normal(0, 6, (COUNT, 2)) * ~inliers[:, None]
    astray = replace(corners, pixels=corners.pixels + sliding.astype(np.float32))
    exact, _ = refine_pose_and_depths(corners, IDENTITY_POSE, CAMERA, inliers)
    vague, _ = refine_pose_and_depths(astray, IDENTITY_POSE, CAMERA, inliers)
    assert np.std(vague.log_depth[inliers]) < 0.5 * np.std(exact.log_depth[inliers])


def test_a_step_leaves_the_pose_a_rotation():
    pose = IDENTITY_POSE.perturbed(np.array([1.0, 2.0, -1.0, 1.0, 2.0, 3.0]))
    np.testing.assert_allclose(pose.rotation @ pose.rotation.T, np.eye(3), atol=1e-12)
    assert pose.scaled(2.0).translation_m == pytest.approx([2, 4, 6])


def test_a_rendered_camera_is_found():
    first, last = scene()[0], scene()[-1]
    corners = detect_corners(grey(first), first.depth_m, first.camera, IDENTITY_POSE)
    pose, before = IDENTITY_POSE, grey(first)
    for seen in scene()[1:]:
        located = track_and_localize(corners, pose, before, grey(seen), seen.camera)
        corners, pose, before = located.corners, located.pose, grey(seen)
    assert located.inliers.mean() > 0.8
    column, row = located.corners.pixels[located.inliers].astype(int).T
    true_m = last.depth_m[row.clip(0, 239), column.clip(0, 319)]
    assert np.median(np.abs(np.log(located.z_m[located.inliers] / true_m))) < 0.03
    assert (located.variance <= DEFAULTS.log_depth_sigma**2 + 1e-12).all()


def test_new_corners_lie_where_the_camera_sees_them():
    seen = scene()[0]
    pose = Pose(IDENTITY_POSE.perturbed(np.array([0.1, 0.4, 0.2, 0, 0, 0])).rotation, np.ones(3))
    corners = detect_corners(grey(seen), seen.depth_m, CAMERA, pose)
    np.testing.assert_allclose(pixels_of(corners.points_m, pose), corners.pixels, atol=1e-3)


def test_new_corners_keep_their_distance_from_those_kept():
    seen = scene()[0]
    found = detect_corners(grey(seen), seen.depth_m, CAMERA, IDENTITY_POSE)
    half = found.select(np.arange(len(found)) % 2 == 0)
    added = detect_corners(grey(seen), seen.depth_m, CAMERA, IDENTITY_POSE, half)
    gaps = np.linalg.norm(added.pixels[:, None] - half.pixels[None], axis=2)
    assert len(added) > 10
    assert gaps.min() > 9
    assert len(half.concatenated(added)) == len(half) + len(added)


def test_corners_that_leave_the_image_are_given_up():
    seen = scene()[0]
    image = grey(seen)
    corners = detect_corners(image, seen.depth_m, seen.camera, IDENTITY_POSE)
    left = track_corners(corners, image, np.roll(image, 12, axis=1))
    assert 50 < len(left) < len(corners)
    assert (left.pixels[:, 0] < image.shape[1]).all()


def test_a_camera_is_lost_where_nothing_is_found_again():
    seen = scene()[0]
    corners = detect_corners(grey(seen), seen.depth_m, seen.camera, IDENTITY_POSE)
    assert (
        track_and_localize(
            corners, IDENTITY_POSE, grey(seen), np.zeros((240, 320), np.uint8), seen.camera
        )
        is None
    )
