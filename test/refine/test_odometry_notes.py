# SPDX-License-Identifier: Apache-2.0
"""Odometry without a way to the camera, or at another time."""

from __future__ import annotations

import numpy as np
import pytest

from videodepth_ros.bags.reader import open_bag
from videodepth_ros.bags.writer import BagWriter
from videodepth_ros.refine.odometry_notes import odometry_notes

NS = 1_700_000_000_000_000_000


def notes(path, child='base_link', transforms=(), topic='odom', offset_ns=0):
    with BagWriter(path) as bag:
        for k in range(3):
            bag.write_odometry(topic, NS + k, 'odom', child, np.eye(4), np.zeros(6))
        for parent, frame in transforms:
            bag.write_transform(NS, parent, frame, np.eye(4), static=True)
    with open_bag(path) as bag:
        return odometry_notes(bag, '/camera_optical', np.array([NS - 1, NS + 1]) + offset_ns)


@pytest.mark.parametrize(
    'transforms', [(), [('camera_link', 'camera_optical')], [('base_link', 'laser')]]
)
def test_odometry_without_a_transform_to_the_camera_gets_a_note(transforms, tmp_path):
    (note,) = notes(tmp_path / 'bag', transforms=transforms)
    assert "/odom (of 'base_link') is not used" in note
    assert "the camera 'camera_optical'; record /tf_static" in note


def test_odometry_that_leads_to_the_camera_gets_none(tmp_path):
    mount = [('base_link', 'mast'), ('mast', 'camera_optical')]
    assert notes(tmp_path / 'mounted', transforms=mount) == ()
    assert notes(tmp_path / 'itself', child='camera_optical') == ()


@pytest.mark.parametrize('offset_ns', [-NS + 5, -10, 10, 3600 * 10**9])
def test_odometry_of_another_clock_than_that_of_the_images_gets_a_note(offset_ns, tmp_path):
    (note,) = notes(tmp_path / 'bag', child='camera_optical', offset_ns=offset_ns)
    assert note.startswith('the odometry /odom is not used: its stamps, 1700000000.000 to ')
    assert note.endswith('record both with one clock')


def test_results_of_this_package_and_recordings_without_odometry_get_none(tmp_path):
    assert notes(tmp_path / 'own', topic='videodepth/odometry') == ()
    with BagWriter(tmp_path / 'none') as bag:
        bag.write_pose('pose', NS, 'map', np.eye(4))
    with open_bag(tmp_path / 'none') as bag:
        assert odometry_notes(bag, 'camera', np.array([NS])) == ()
