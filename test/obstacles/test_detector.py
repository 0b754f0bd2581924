# SPDX-License-Identifier: Apache-2.0
"""Obstacles of single scenes: band, slopes, holes, flying pixels, frames before, scan."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from test.support.boxes import BoxScene, camera_at
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.geometry.ground_plane import camera_rays
from videodepth_ros.obstacles.detector import ObstacleDetector
from videodepth_ros.obstacles.options import ObstacleParameters
from videodepth_ros.obstacles.scan import scan_ranges
from videodepth_ros.scale.mount import CameraMount, mount_from_transform

SMALL = Intrinsics.centred(320, 240, 250.0)
POSE = camera_at(0.5, 8.0)
MOUNT = mount_from_transform(POSE)
PARAMETERS = ObstacleParameters()
PLAIN = BoxScene(np.empty((0, 2, 3)))
BOX = BoxScene(np.array([[[2.0, -0.3, 0.0], [2.5, 0.3, 0.4]]]))
LOW, HANGING = (
    BoxScene(np.array([[[2.0, -0.3, bottom], [2.5, 0.3, top]]]))
    for bottom, top in ((0.0, 0.05), (1.8, 2.2))
)


def detect(depth_m, *, detector=None, k=1, mount=MOUNT, pose=None, confidence=None, **changes):
    detector = detector or ObstacleDetector()
    parameters = replace(PARAMETERS, **changes)
    return detector.step(depth_m, SMALL, k * 10**8, mount, parameters, pose, confidence)


def in_map(found):
    return found.points_m @ POSE[:3, :3].T + POSE[:3, 3]


def depth_of(scene):
    return scene.cast(POSE, SMALL)[0]


def test_a_box_is_found_where_it_is_and_the_ground_is_not():
    points = in_map(detect(depth_of(BOX)))
    assert len(points) > 10
    low, high = BOX.boxes[0]
    assert (points >= low - 0.02).all()
    assert (points <= high + 0.02).all()
    assert points[:, 0].min() == pytest.approx(2.0, abs=0.02)


@pytest.mark.parametrize('scene', [PLAIN, LOW, HANGING])
def test_what_the_robot_passes_over_or_under_is_none(scene):
    assert not len(detect(depth_of(scene)).points_m)


def test_there_is_one_point_in_each_voxel():
    points = detect(depth_of(BOX), obstacles_voxel_m=0.2)
    cells = np.floor((points.points_m @ points.T_ground_cam[:3, :3].T + [0, 0, 0.5]) / 0.2)
    assert len(np.unique(cells, axis=0)) == len(cells)
    assert len(cells) < len(detect(depth_of(BOX), obstacles_voxel_m=0.05).points_m)


def test_obstacles_end_at_the_range():
    assert not len(detect(depth_of(BOX), obstacles_max_range_m=1.9).points_m)


def test_a_slope_is_ground():
    rays = camera_rays(SMALL).astype(np.float64) @ POSE[:3, :3].T
    level = 0.5 / np.maximum(-rays[..., 2], 1e-9)
    rise = np.tan(np.radians(6))  # from 1.5 m ahead on
    slope = (0.5 + rise * 1.5) / np.maximum(rise * rays[..., 0] - rays[..., 2], 1e-9)
    depth_m = np.where(level * rays[..., 0] > 1.5, slope, level).astype(np.float32)
    found = detect(np.where(depth_m < 20, depth_m, np.nan).astype(np.float32))
    assert not len(found.points_m)
    distances = (depth_m * rays[..., 0])[(depth_m > 0) & (depth_m < 20)]
    assert (rise * (distances.clip(0, 5) - 1.5)).max() > 0.3  # well above min_height_m


def test_pixels_between_two_surfaces_are_none():
    depth_m = depth_of(BOX)
    between = depth_m.copy()
    edge = np.flatnonzero(np.abs(np.diff(depth_m[125])) > 0.5)
    assert len(edge) == 2
    rows = np.flatnonzero(np.abs(np.diff(depth_m[:, edge[0] + 1] - depth_m[:, edge[0]])) >= 0)
    for row in rows:
        left, right = depth_m[row, edge[0] - 1], depth_m[row, edge[0] + 2]
        if abs(left - right) > 0.5:
            between[row, edge[0]] = (left + right) / 2
    low, high = BOX.boxes[0]
    points = in_map(detect(between))
    assert (points <= high + 0.1).all()
    assert (points >= low - 0.1).all()


def test_a_hole_is_found_on_request():
    rays = camera_rays(SMALL).astype(np.float64) @ POSE[:3, :3].T
    depth_m = depth_of(PLAIN)
    place = rays * depth_m[..., None]
    hole = (np.abs(place[..., 0] - 2.2) < 0.4) & (np.abs(place[..., 1]) < 0.4)
    depth_m[hole] = (1.1 / -rays[..., 2])[hole]
    assert not len(detect(depth_m).points_m)
    points = in_map(detect(depth_m, obstacles_negative=True))
    assert len(points) > 10
    assert np.abs(points[:, 0] - 2.2).max() < 0.5
    assert np.abs(points[:, 2]).max() < 0.05


def test_confidence_is_required():
    depth_m = depth_of(BOX)
    confidence = np.full(depth_m.shape, 0.4, np.float32)
    assert len(detect(depth_m, confidence=confidence, obstacles_confidence=0.3).points_m)
    assert detect(depth_m, mount=None, confidence=confidence, obstacles_confidence=0.5) is None


def test_without_a_mount_the_ground_is_fitted():
    found = detect(depth_of(BOX), mount=None)
    assert found.plane.height == pytest.approx(0.5, abs=0.02)
    assert len(found.points_m) > 10


def test_without_ground_in_view_the_mount_gives_it():
    wall = np.full((240, 320), 0.6, np.float32)
    mount = CameraMount(np.array([0.0, 1.0, 0.0]), 0.5)
    assert len(detect(wall, mount=mount).points_m)
    assert detect(wall, mount=None) is None


@pytest.mark.parametrize('moves', [True, False])
def test_what_two_frames_deny_is_not_published(moves):
    detector = ObstacleDetector()
    plain, box = depth_of(PLAIN), depth_of(BOX)
    counts = [
        len(detect(depth_m, detector=detector, k=k, pose=POSE if moves else None).points_m)
        for k, depth_m in enumerate((plain, plain, box, box, plain), 1)
    ]
    assert counts[:3] == [0, 0, 0]
    assert counts[3] > 10
    assert counts[4] == 0
    assert len(detect(box, detector=detector, k=9, obstacles_temporal=False).points_m) > 10


def test_old_frames_have_no_vote():
    detector = ObstacleDetector()
    for k in (1, 2):
        detect(depth_of(PLAIN), detector=detector, k=k)
    assert len(detect(depth_of(BOX), detector=detector, k=50).points_m) > 10


def test_the_scan_has_obstacles_free_beams_and_unknown_ones():
    found = detect(depth_of(BOX))
    ranges = scan_ranges(found, POSE, PARAMETERS)
    assert ranges.shape == (360,)
    assert ranges[180] == pytest.approx(2.0, abs=0.05)
    assert np.isposinf(ranges[[200, 160]]).all()
    assert np.isnan(ranges[[0, 90, 270]]).all()


def test_a_doubtful_beam_is_unknown():
    detector = ObstacleDetector()
    for k in (1, 2):
        detect(depth_of(PLAIN), detector=detector, k=k)
    found = detect(depth_of(BOX), detector=detector, k=3)
    assert np.isnan(scan_ranges(found, POSE, PARAMETERS)[180])


def test_a_bed_is_an_obstacle_where_the_ground_is_known_not_to_be_in_view():
    bed = BoxScene(np.array([[[0.1, -9.0, 0.0], [9.0, 9.0, 0.2]]]))
    depth_m = depth_of(bed)
    assert not len(detect(depth_m).points_m)  # it passes for the ground
    found = detect(depth_m, mount=replace(MOUNT, sees_ground=False))
    assert found.plane.height == pytest.approx(0.5)
    assert in_map(found)[:, 2] == pytest.approx(0.2, abs=0.02)
