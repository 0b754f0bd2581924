# SPDX-License-Identifier: Apache-2.0
"""run-bag with a bag whose lidar or odometry gives the scale."""

from __future__ import annotations

import numpy as np
import pytest

from test.scale.test_measurements import CAMERA, SCALE, room_m
from videodepth_ros.bags.reader import open_bag
from videodepth_ros.bags.writer import BagWriter
from videodepth_ros.cli.bag_scale import open_scale, with_evidence
from videodepth_ros.frames import Frame, ScaleSource
from videodepth_ros.scale.fusion import MEASURED, FusionSettings
from videodepth_ros.scale.mount import MountSettings, mount_from_pitch

STEP_NS = 10**8
ROOM_M = room_m(mount_from_pitch(15.0, 0.6))
IMAGE = np.zeros((96, 128, 3), np.uint8)


@pytest.fixture
def recording(tmp_path):
    """Return a bag with a lidar at the camera, in a frame of its own, 0.6 m above the ground."""
    with BagWriter(tmp_path / 'bag') as writer:
        writer.write_transform(STEP_NS, 'camera', 'lidar', np.eye(4), static=True)
        T_base_cam = np.eye(4)
        T_base_cam[:3, :3] = [[0, 0, 1], [-1, 0, 0], [0, -1, 0]]
        T_base_cam[2, 3] = 0.6
        writer.write_transform(STEP_NS, 'base', 'camera', T_base_cam, static=True)
        for k in range(1, 9):
            writer.write_cloud('lidar/points', k * STEP_NS, 'lidar', ROOM_M, IMAGE, CAMERA, 1, 99)
    return tmp_path / 'bag'


def frames():
    for k in range(1, 9):
        yield Frame(k * STEP_NS, 'camera', IMAGE, CAMERA)


def test_clouds_of_the_bag_give_the_scale(recording):
    with open_bag(recording) as bag:
        scale = open_scale(bag, FusionSettings((ScaleSource.LIDAR,)))
        for frame in with_evidence(frames(), bag, scale):
            scale.offer(frame, SCALE / ROOM_M)
            metres = scale.metres(frame.stamp_ns)
    assert scale.source is ScaleSource.LIDAR
    assert scale.status.accepted == 8
    assert metres == pytest.approx(SCALE, rel=0.01)


def test_transforms_of_the_bag_give_the_height(recording):
    settings = FusionSettings((ScaleSource.CAMERA_HEIGHT,), MountSettings('base'))
    level = room_m(mount_from_pitch(0.0, 0.6))
    with open_bag(recording) as bag:
        scale = open_scale(bag, settings)
        frame = next(with_evidence(frames(), bag, scale))
        scale.offer(frame, SCALE / level)
        assert scale.metres(frame.stamp_ns) == pytest.approx(SCALE, rel=0.02)


def test_a_source_that_is_not_chosen_is_not_read(recording):
    with open_bag(recording) as bag:
        settings = FusionSettings(tuple(s for s in MEASURED if s is ScaleSource.DEPTH))
        scale = open_scale(bag, settings)
        assert len(list(with_evidence(frames(), bag, scale))) == 8
        assert not scale.needs('camera')
