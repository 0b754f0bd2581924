# SPDX-License-Identifier: Apache-2.0
"""The map's z axis is up, known by what knows it best."""

from __future__ import annotations

import numpy as np
import pytest

from test.support import refined_results as m
from videodepth_ros.bags.reader import open_bag
from videodepth_ros.geometry.rotation import so3_exp
from videodepth_ros.results.gravity import align_to_gravity
from videodepth_ros.results.map_attachment import attach_map

T_BASE_IMU = np.eye(4)  # mounted askew
T_BASE_IMU[:3, :3] = so3_exp(np.array([2.0, 0.5, -1.0]))


def write_imu(frame='imu_link', gravity=9.81, connected=True, covariance=0.0, samples=400):
    """Write what an accelerometer on the robot measures: gravity, the drive and noise."""

    def write(bag):
        rng = np.random.default_rng(0)
        if connected:
            bag.write_transform(m.START_NS, 'base_link', frame, T_BASE_IMU, static=True)
        for ns in np.linspace(m.STAMPS[0] - 10**8, m.STAMPS[-1] + 10**8, samples).astype(int):
            R_world_imu = (m.base_at(int(ns)) @ T_BASE_IMU)[:3, :3]
            a = R_world_imu.T @ np.array([0.3, 0.6, gravity]) + rng.normal(0, 1.0, 3)
            message = m.imu_message(int(ns), frame, a.tolist())
            message.linear_acceleration_covariance[0] = covariance
            bag.write('/imu/data', int(ns), message)

    return write


def made_upright(path, world=None):
    """Return what made it upright, and the true world's up as it is in the map, (3,)."""
    world = m.odd_world() if world is None else world
    with open_bag(path) as bag:
        made = align_to_gravity(bag, attach_map(bag, m.OPTICAL), m.trajectory(world))
    return made.source, (made.T_map_world @ world)[:3, 2], made.T_map_world @ world


def test_an_imu_gives_gravity(tmp_path):
    path = m.write_bag(tmp_path / 'in', m.write_static, write_imu())
    gravity_source, up, T = made_upright(path)
    assert gravity_source == 'imu /imu/data'
    assert np.degrees(np.arccos(up[2])) < 6  # the drive itself accelerates by 0.7 m/s2: 4 degrees
    np.testing.assert_allclose(T[:3, 3], 0, atol=0.02)  # the base begins at the origin ...
    assert abs(np.degrees(np.arctan2(T[1, 0], T[0, 0]))) < 6  # ... and looks along x


@pytest.mark.parametrize(
    'useless',
    [
        write_imu(connected=False),
        write_imu(gravity=0.0),
        write_imu(covariance=-1.0),
        write_imu(samples=5),
    ],
    ids=['not connected', 'without gravity', 'not measured', 'too short'],
)
def test_an_invalid_imu_is_not_used(tmp_path, useless):
    gravity_source, up, _ = made_upright(m.write_bag(tmp_path / 'in', m.write_static, useless))
    assert gravity_source == 'frame base_link'
    np.testing.assert_allclose(up, [0, 0, 1], atol=1e-9)


def test_an_imu_gives_gravity_for_a_single_image(tmp_path):
    path = m.write_bag(tmp_path / 'in', m.write_static, write_imu())
    poses = m.trajectory(m.odd_world()).select(np.array([0]))
    with open_bag(path) as bag:
        made = align_to_gravity(bag, attach_map(bag, m.OPTICAL), poses)
    assert made.source == 'imu /imu/data'
    # the base turns by 24 degrees, which one pose does not show
    assert np.degrees(np.arccos((made.T_map_world @ m.odd_world())[2, 2])) < 6


def test_a_camera_alone_is_held_upright_in_the_mean(tmp_path):
    gravity_source, up, _ = made_upright(m.write_bag(tmp_path / 'in'))
    assert gravity_source == 'camera'
    assert np.degrees(np.arccos(up[2])) == pytest.approx(np.degrees(m.TILT), abs=2)


def test_the_map_of_a_camera_alone_begins_at_it_and_looks_along_its_view(tmp_path):
    path = m.write_bag(tmp_path / 'in')
    with open_bag(path) as bag:
        poses = m.trajectory(m.odd_world())
        made = align_to_gravity(bag, attach_map(bag, m.OPTICAL), poses)
    first = made.T_map_world @ poses.T_map_cam[0]
    np.testing.assert_allclose(first[:3, 3], 0, atol=1e-9)
    assert first[0, 2] > 0.9
    assert first[1, 2] == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(np.linalg.det(made.T_map_world[:3, :3]), 1)


@pytest.mark.parametrize('world', [np.eye(4), m.odd_world()])
def test_the_map_does_not_depend_on_the_world_that_the_poses_are_in(tmp_path, world):
    path = m.write_bag(tmp_path / 'in', m.write_static)
    np.testing.assert_allclose(
        made_upright(path, world)[2], made_upright(path, np.eye(4))[2], atol=1e-9
    )


def test_a_camera_that_looks_straight_down_has_a_map_all_the_same(tmp_path):
    path = m.write_bag(tmp_path / 'in')
    poses = m.trajectory()
    down = np.array([[0.0, -1, 0], [-1, 0, 0], [0, 0, -1]])
    poses.T_map_cam[:, :3, :3] = down
    with open_bag(path) as bag:
        made = align_to_gravity(bag, attach_map(bag, m.OPTICAL), poses)
    R = made.T_map_world[:3, :3]
    np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-9)
    assert made.source == 'camera'
