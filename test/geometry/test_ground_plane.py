# SPDX-License-Identifier: Apache-2.0
"""The ground plane in inverse depth maps whose ground is known."""

from __future__ import annotations

import numpy as np
import pytest

from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.geometry.ground_plane import camera_rays, fit_ground_plane

CAMERA = Intrinsics.centred(128, 96, 100.0)
TILT_RAD = np.radians(1.0)


def down_at(pitch_deg: float) -> np.ndarray:
    pitch = np.radians(pitch_deg)
    return np.array([0.0, np.cos(pitch), np.sin(pitch)])


def room(height: float, down: np.ndarray, wall: float = 6.0) -> np.ndarray:
    """Return the inverse depth of ground and a wall at a depth."""
    slope = camera_rays(CAMERA) @ down.astype(np.float32)
    return np.maximum(slope / height, 1 / wall).astype(np.float32)


@pytest.mark.parametrize('pitch_deg', [0.0, 12.0, 30.0])
def test_the_ground_of_a_room(pitch_deg):
    down = down_at(pitch_deg)
    plane = fit_ground_plane(room(0.8, down), CAMERA, down, TILT_RAD)
    assert plane.height == pytest.approx(0.8, rel=0.01)
    assert plane.normal @ down == pytest.approx(1.0, abs=1e-3)


def test_a_tilted_ground_is_followed():
    down = down_at(15.0)
    plane = fit_ground_plane(room(0.8, down_at(17.0), 50.0), CAMERA, down, np.radians(3))
    assert np.degrees(np.arccos(plane.normal @ down)) == pytest.approx(2.0, abs=0.4)
    assert plane.height == pytest.approx(0.8, rel=0.02)


def test_a_table_top_is_not_the_ground():
    down = down_at(20.0)
    values = room(1.0, down)
    rows = slice(70, 96), slice(20, 80)
    values[rows] = (camera_rays(CAMERA) @ down.astype(np.float32))[rows] / 0.4
    assert fit_ground_plane(values, CAMERA, down, TILT_RAD).height == pytest.approx(1.0, rel=0.02)


def test_noise_and_holes_do_not_move_it():
    down = down_at(20.0)
    rng = np.random.default_rng(0)
    values = room(1.0, down) * rng.normal(1, 0.05, (96, 128)).astype(np.float32)
    values[rng.random(values.shape) < 0.3] = np.nan
    plane = fit_ground_plane(values, CAMERA, down, TILT_RAD)
    assert plane.height == pytest.approx(1.0, rel=0.02)
    assert 0 < plane.sigma < 0.05


@pytest.mark.parametrize('pitch_deg', [-40.0, 0.0])
def test_a_wall_is_no_ground(pitch_deg):
    wall = np.full((96, 128), 0.5, np.float32)
    assert fit_ground_plane(wall, CAMERA, down_at(pitch_deg), TILT_RAD) is None


def test_a_sky_is_no_ground():
    assert fit_ground_plane(np.zeros((96, 128), np.float32), CAMERA, down_at(10), TILT_RAD) is None


def test_scaling_and_heights():
    down = down_at(20.0)
    plane = fit_ground_plane(room(1.0, down), CAMERA, down, TILT_RAD).scaled(2.0)
    assert plane.height == pytest.approx(2.0, rel=0.02)
    points = np.float32([[0, 0, 0], plane.normal * 2])
    np.testing.assert_allclose(plane.heights(points), [2.0, 0.0], atol=0.05)
