# SPDX-License-Identifier: Apache-2.0
"""Each measurement of the scale on scenes whose scale is known."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from videodepth_ros.frames import Frame, ScaleSource
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.geometry.ground_plane import camera_rays
from videodepth_ros.scale.camera_height import measure_camera_height
from videodepth_ros.scale.depth_ratio import (
    measure_depth_ratio,
    samples_of_depth,
    samples_of_points,
)
from videodepth_ros.scale.mount import CameraMount, mount_from_pitch, mount_from_transform
from videodepth_ros.scale.odometry import OdometryScale

CAMERA = Intrinsics.centred(128, 96, 100.0)
SCALE = 40.0  # depth [m] = SCALE / inverse depth


def room_m(mount: CameraMount, wall_m: float = 6.0) -> np.ndarray:
    slope = camera_rays(CAMERA) @ mount.down.astype(np.float32)
    return np.minimum(wall_m, mount.height_m / np.maximum(slope, 1e-6)).astype(np.float32)


def points_of(depth_m: np.ndarray) -> np.ndarray:
    return (camera_rays(CAMERA) * depth_m[..., None]).reshape(-1, 3)


def test_camera_height_gives_the_scale_and_the_ground():
    mount = mount_from_pitch(15.0, 0.6)
    measurement, plane = measure_camera_height(SCALE / room_m(mount), CAMERA, mount, 7)
    assert math.exp(measurement.log_scale) == pytest.approx(SCALE, rel=0.01)
    assert (measurement.stamp_ns, measurement.source) == (7, ScaleSource.CAMERA_HEIGHT)
    assert plane.scaled(SCALE).height == pytest.approx(0.6, rel=0.01)


def test_without_a_height_there_is_ground_but_no_scale():
    mount = mount_from_pitch(15.0, 0.6)
    unknown = CameraMount(mount.down)
    measurement, plane = measure_camera_height(SCALE / room_m(mount), CAMERA, unknown, 0)
    assert measurement is None
    assert plane is not None


def test_the_mount_of_a_transform():
    T_base_cam = np.eye(4)
    T_base_cam[:3, :3] = [[0, 0, 1], [-1, 0, 0], [0, -1, 0]]  # REP-103: optical in a body frame
    T_base_cam[:3, 3] = 0.2, 0.0, 0.7
    mount = mount_from_transform(T_base_cam)
    np.testing.assert_allclose(mount.down, [0, 1, 0], atol=1e-12)
    assert mount.height_m == 0.7
    assert mount_from_transform(T_base_cam, 0.9).height_m == 0.9


@pytest.mark.parametrize('beams', [1, 4, 16, 96])
def test_lidar_of_any_number_of_beams(beams):
    rng = np.random.default_rng(beams)
    depth_m = room_m(mount_from_pitch(15.0, 0.6))
    rows = np.linspace(20, 90, beams).astype(int)
    points = (camera_rays(CAMERA) * depth_m[..., None])[rows].reshape(-1, 3)
    points *= 1 + rng.normal(0, 0.02, (len(points), 1)).astype(np.float32)
    samples = samples_of_points(points, CAMERA)
    found = measure_depth_ratio(SCALE / depth_m, samples, 0, ScaleSource.LIDAR)
    assert math.exp(found.log_scale) == pytest.approx(SCALE, rel=0.01)


def test_outliers_and_occlusion_edges_do_not_move_it():
    depth_m = room_m(mount_from_pitch(15.0, 0.6))
    depth_m[30:60, 40:80] = 1.5
    points = points_of(depth_m)
    points[::4] *= 3.0
    found = measure_depth_ratio(
        SCALE / depth_m, samples_of_points(points, CAMERA), 0, ScaleSource.LIDAR
    )
    assert math.exp(found.log_scale) == pytest.approx(SCALE, rel=0.01)


def test_points_behind_and_beside_the_camera_are_left_out():
    samples = samples_of_points(np.float32([[0, 0, -2], [9, 0, 1], [0, 0, 2]]), CAMERA)
    assert samples.depth_m.tolist() == [2.0]


def test_too_few_points_give_no_scale():
    samples = samples_of_points(np.float32([[0, 0, 2]] * 5), CAMERA)
    values = np.full((96, 128), 20, np.float32)
    assert measure_depth_ratio(values, samples, 0, ScaleSource.LIDAR) is None


@pytest.mark.parametrize('factor', [0.5, 1.0, 3.0])
def test_a_depth_image_of_another_size_and_place(factor):
    mount = mount_from_pitch(15.0, 0.6)
    depth_m = room_m(mount)
    lens = CAMERA.scaled_to(round(128 * factor), round(96 * factor))
    slope = camera_rays(lens) @ mount.down.astype(np.float32)
    sparse = np.minimum(6.0, 0.6 / np.maximum(slope, 1e-6)).astype(np.float32)
    sparse[np.random.default_rng(0).random(sparse.shape) < 0.9] = np.nan
    samples = samples_of_depth(sparse, None, CAMERA, np.eye(4))
    found = measure_depth_ratio(SCALE / depth_m, samples, 0, ScaleSource.DEPTH)
    assert math.exp(found.log_scale) == pytest.approx(SCALE, rel=0.01)


def textured_plane(shift_m: float, depth_m: float = 2.0) -> np.ndarray:
    """Return the image of a wall with a noise texture by a camera that moved to the right."""
    rng = np.random.default_rng(3)
    texture = cv2.GaussianBlur(rng.integers(0, 255, (400, 800)).astype(np.uint8), (0, 0), 2)
    texture = cv2.normalize(texture, None, 0, 255, cv2.NORM_MINMAX)
    move = np.float32([[1, 0, -200 - 250 * shift_m / depth_m], [0, 1, -80]])
    grey = cv2.warpAffine(texture, move, (320, 240))
    return np.repeat(grey[..., None], 3, axis=2)


def drive(slip=(), leap_at=None, texture=textured_plane):
    """Return the last measurement of a drive along a wall at 2 m, 2 cm a frame."""
    odometry = OdometryScale()
    camera = Intrinsics.centred(320, 240, 250.0)
    values = np.full((60, 80), SCALE / 2.0, np.float32)
    T, last = np.eye(4), None
    for k in range(60):
        frame = Frame(k * 66_000_000, 'camera', texture(0.02 * k), camera)
        T[0, 3] += 0.02 * (1.1 if k in slip else 1.0) + (1.0 if k == leap_at else 0.0)
        last = odometry.measure(odometry.view(frame, values), T.copy()) or last
    return last


def test_odometry_gives_the_scale():
    found = drive()
    assert math.exp(found.log_scale) == pytest.approx(SCALE, rel=0.02)
    assert found.source is ScaleSource.ODOMETRY


def test_odometry_is_worth_little_before_enough_keyframes_but_comes_early():
    odometry = OdometryScale()
    camera = Intrinsics.centred(320, 240, 250.0)
    values = np.full((60, 80), SCALE / 2.0, np.float32)
    T, found = np.eye(4), []
    for k in range(30):
        frame = Frame(k * 66_000_000, 'camera', textured_plane(0.01 * k), camera)
        T[0, 3] = 0.01 * k
        found.append(odometry.measure(odometry.view(frame, values), T.copy()))
    first = next(k for k, each in enumerate(found) if each)
    assert first < 8  # the first keyframe ends at 6 px, after 5 frames
    assert math.exp(found[first].log_scale) == pytest.approx(SCALE, rel=0.1)
    assert found[first].sigma >= 0.3
    assert found[-1] is None or found[-1].sigma < 0.1


def test_slip_and_a_leap_are_borne():
    found = drive(slip=(5, 6, 7, 25, 26, 27), leap_at=30)
    assert math.exp(found.log_scale) == pytest.approx(SCALE, rel=0.03)


def test_a_robot_that_stands_measures_nothing():
    odometry = OdometryScale()
    camera = Intrinsics.centred(320, 240, 250.0)
    values = np.full((60, 80), 20, np.float32)
    frames = (Frame(k * 66_000_000, 'camera', textured_plane(0), camera) for k in range(40))
    views = (odometry.view(frame, values) for frame in frames)
    assert [odometry.measure(view, np.eye(4)) for view in views] == [None] * 40


def test_images_without_corners_measure_nothing():
    assert drive(texture=lambda _: np.full((240, 320, 3), 128, np.uint8)) is None
