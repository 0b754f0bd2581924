# SPDX-License-Identifier: Apache-2.0
"""Camera faults do what they are named after."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from videodepth_ros.synthetic.camera_path import Carrier, Zone, look_along, random_path
from videodepth_ros.synthetic.optics import Optics, auto_exposure_gain, simulate_camera

CLEAN = Optics(0.5, (1, 1, 1), 2.2, 0.0, 1.0, 0.0, 0.0, 0.0, 0, 0.0, 0.0, 0.0)
GREY = np.full((48, 64, 3), 0.2, np.float32)


def shot(optics, radiance=GREY, motion=(0.0, 0.0)):
    rng = np.random.default_rng(0)
    return simulate_camera(
        radiance, auto_exposure_gain(radiance, optics), optics, 0.0, motion, rng
    ).astype(float)


def test_exposure_reaches_its_target():
    np.testing.assert_allclose(shot(CLEAN), 255 * 0.5, atol=1)
    np.testing.assert_allclose(shot(CLEAN, GREY * 7), 255 * 0.5, atol=1)


def test_noise_vignette_and_balance():
    assert shot(replace(CLEAN, noise=0.02)).std() > 2
    dark = shot(replace(CLEAN, vignette=0.5))
    assert dark[0, 0, 0] < dark[24, 32, 0] - 20
    warm = shot(replace(CLEAN, balance=(1.2, 1, 0.8)))
    assert warm[..., 0].mean() > warm[..., 2].mean() + 10


def test_motion_blurs_along_its_own_direction_only():
    stripes = np.full((48, 64, 3), 0.1, np.float32)
    stripes[:, np.arange(64) % 8 < 4] = 0.4
    still = shot(CLEAN, stripes)
    assert shot(CLEAN, stripes, (8.0, 0.0)).std() < 0.4 * still.std()
    assert shot(CLEAN, stripes, (0.0, 8.0)).std() == pytest.approx(still.std(), rel=0.05)


def test_a_static_camera_stands_still_and_a_wheeled_one_stays_level():
    zone = Zone((0, 0, 1), (1, 1, 2))
    rng = np.random.default_rng(0)
    path = random_path(zone, rng, Carrier.STATIC)
    np.testing.assert_array_equal(path.pose(0.0), path.pose(3.0))
    heights = [random_path(zone, rng, Carrier.WHEELS)] * 2
    assert abs(heights[0].pose(0.0)[2, 3] - heights[1].pose(2.0)[2, 3]) < 0.03


def test_a_camera_aims_at_its_target():
    zone = Zone((0, 0, 1), (4, 4, 2), (0, 0), (0, 0), target_m=(2.0, 9.0, 0.5))
    for seed in range(5):
        path = random_path(zone, np.random.default_rng(seed), Carrier.STATIC)
        local = np.linalg.inv(path.pose(0.0)) @ (2.0, 9.0, 0.5, 1.0)
        np.testing.assert_allclose(local[:2], 0, atol=1e-9)
        assert local[2] > 0


def test_the_optical_frame_has_z_ahead_and_y_down():
    pose = look_along(np.array([1.0, 2.0, 3.0]), np.pi / 2, 0.0, 0.0)
    np.testing.assert_allclose(pose[:3, 2], (0, 1, 0), atol=1e-12)
    np.testing.assert_allclose(pose[:3, 1], (0, 0, -1), atol=1e-12)
    np.testing.assert_allclose(pose[:3, 0], (1, 0, 0), atol=1e-12)
