# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from bench.room import depth as room_depth
from test.support.film import CAMERA, winding
from videodepth_ros.geometry.camera import backproject
from videodepth_ros.refine.landmark_scale import landmark_scale
from videodepth_ros.sfm.depth_correction import Landmarks

FRAMES, UNIT_M = 6, 1.25
"""Frames, and metres per unit of the reconstruction."""


@pytest.fixture(scope='module')
def scene():
    """Return true depth in metres, landmarks and poses in the unit of the reconstruction."""
    poses, rng = winding(FRAMES), np.random.default_rng(0)
    depth_m = np.stack([room_depth(T, CAMERA) for T in poses])
    T, row, column = poses[2], rng.integers(0, 120, 300), rng.integers(0, 160, 300)
    world_m = backproject(depth_m[2], CAMERA)[row, column] @ T[:3, :3].T + T[:3, 3]
    count = len(world_m)
    everywhere = np.zeros(count, np.intp), np.full(count, FRAMES - 1)
    landmarks = Landmarks(world_m / UNIT_M, np.full(count, 0.01), *everywhere, *everywhere)
    T_world_cam = poses.copy()
    T_world_cam[:, :3, 3] /= UNIT_M
    return depth_m, landmarks, T_world_cam


def scanned(depth_m, rows):
    """Return what a lidar of some rings measures."""
    found = np.full(depth_m.shape, np.nan, np.float32)
    found[:, rows, ::3] = depth_m[:, rows, ::3]
    return found


def test_the_scale_is_that_of_the_returns_beside_landmarks(scene):
    depth_m, landmarks, T = scene
    found = landmark_scale(scanned(depth_m, slice(40, 80, 8)), landmarks, T, [CAMERA] * FRAMES)
    assert found == pytest.approx(UNIT_M, rel=0.01)


def test_a_third_of_wrong_returns_does_not_change_the_scale(scene):
    depth_m, landmarks, T = scene
    wrong = scanned(depth_m, slice(0, 120, 8))
    wrong[:2] *= 3
    found = landmark_scale(wrong, landmarks, T, [CAMERA] * FRAMES)
    assert found == pytest.approx(UNIT_M, rel=0.02)


def test_no_scale_without_returns_or_certain_landmarks(scene):
    depth_m, landmarks, T = scene
    nothing = np.full(depth_m.shape, np.nan, np.float32)
    assert np.isnan(landmark_scale(nothing, landmarks, T, [CAMERA] * FRAMES))
    vague = Landmarks(**{**vars(landmarks), 'log_depth_sigma': np.ones(300)})
    scan = scanned(depth_m, slice(40, 80, 8))
    assert np.isnan(landmark_scale(scan, vague, T, [CAMERA] * FRAMES))
