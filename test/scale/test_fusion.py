# SPDX-License-Identifier: Apache-2.0
"""The fused scale of a stream: evidence before and after its frame, several at once, none."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from test.scale.test_measurements import CAMERA, SCALE, points_of, room_m
from test.support.instant_engine import InstantEngine
from videodepth_ros.core.errors import ConfigError
from videodepth_ros.frames import Frame, ScaleSource
from videodepth_ros.models.catalogue import InverseDepthUnit, card
from videodepth_ros.scale.fusion import MEASURED, FusedScale, FusionSettings
from videodepth_ros.scale.mount import MountSettings, mount_from_pitch
from videodepth_ros.scale.parameters import fusion_settings
from videodepth_ros.stream.parameters import StreamParameters
from videodepth_ros.stream.session import DepthSession, SessionSettings

FRAME_NS = 66_000_000
MOUNT = mount_from_pitch(15.0, 0.6)
ROOM_M = room_m(MOUNT)
VALUES = SCALE / ROOM_M
IMAGE = np.zeros((96, 128, 3), np.uint8)
T_BASE_CAM = np.eye(4)
T_BASE_CAM[:3, :3] = [[0, -math.sin(0.2618), math.cos(0.2618)], [-1, 0, 0], -MOUNT.down]
T_BASE_CAM[2, 3] = 0.6


def step(scale, k, values=VALUES):
    stamp_ns = k * FRAME_NS
    if scale.needs('camera'):
        scale.offer(Frame(stamp_ns, 'camera', IMAGE, CAMERA), values)
    return scale.metres(stamp_ns)


def fused(*sources, **mount):
    return FusedScale(FusionSettings(sources or MEASURED, MountSettings(**mount)))


def test_without_evidence_there_is_no_scale_and_no_work():
    scale = fused()
    assert not scale.needs('camera')
    assert step(scale, 0) is None
    assert scale.source is None


def test_height_by_parameters():
    scale = fused(height_m=0.6, pitch_deg=15.0)
    assert step(scale, 0) == pytest.approx(SCALE, rel=0.01)
    assert scale.source is ScaleSource.CAMERA_HEIGHT
    assert scale.ground(SCALE).height == pytest.approx(0.6, rel=0.01)


def test_height_by_a_frame_on_the_ground():
    scale = fused()
    scale.transforms.add('base_footprint', 'camera', 0, T_BASE_CAM, is_static=True)
    assert step(scale, 0) == pytest.approx(SCALE, rel=0.01)


def test_down_by_an_imu():
    scale = fused(height_m=0.6)
    scale.orientations.add('imu', 0, T_BASE_CAM[:3, :3])
    scale.orientations.add('imu', FRAME_NS, T_BASE_CAM[:3, :3])
    scale.transforms.add('imu', 'camera', 0, np.eye(4), is_static=True)
    assert step(scale, 0) == pytest.approx(SCALE, rel=0.01)


def test_a_transform_may_come_after_its_frame():
    scale = fused(base_frame='base')
    scale.transforms.add('base', 'camera', 0, T_BASE_CAM)
    assert step(scale, 1) is None
    scale.transforms.add('base', 'camera', 2 * FRAME_NS, T_BASE_CAM)
    assert step(scale, 3) == pytest.approx(SCALE, rel=0.01)
    assert scale.status.transform_failures == 0


def test_a_transform_that_never_comes_is_counted():
    scale = fused(base_frame='base')
    found = [step(scale, k) for k in range(20)]
    assert found == [None] * 20
    assert 8 < scale.status.transform_failures < 20


@pytest.mark.parametrize('lag', [0, 1, 3])
def test_points_belong_to_the_frame_of_their_stamp(lag):
    """Depth and points of each frame have a factor of their own, which cancels."""
    scale = fused(ScaleSource.LIDAR)
    factors = np.float32([1.0, 1.3] * 8)
    for k in range(16):
        if k >= lag:
            points = points_of(ROOM_M) / factors[k - lag]
            scale.add_points((k - lag) * FRAME_NS, 'camera', points)
        step(scale, k, VALUES * factors[k])
    assert scale.metres(15 * FRAME_NS) == pytest.approx(SCALE, rel=0.01)
    assert (scale.status.accepted, scale.status.rejected) == (16 - 2 * lag, 0)


def test_points_in_the_frame_of_the_lidar():
    scale = fused(ScaleSource.LIDAR)
    T = np.eye(4)
    T[:3, 3] = 0.1, -0.4, 0.2
    scale.transforms.add('camera', 'lidar', 0, T, is_static=True)
    scale.add_points(0, 'lidar', points_of(ROOM_M) - T[:3, 3].astype('f4'))
    assert step(scale, 0) == pytest.approx(SCALE, rel=0.01)


def test_points_without_a_transform_are_counted():
    scale = fused(ScaleSource.LIDAR)
    scale.add_points(0, 'lidar', points_of(ROOM_M))
    assert [step(scale, k) for k in range(10)] == [None] * 10
    assert scale.status.transform_failures == 1


def test_a_depth_image():
    scale = fused(ScaleSource.DEPTH)
    scale.add_depth(0, 'camera', ROOM_M, None)
    assert step(scale, 0) == pytest.approx(SCALE, rel=0.01)


def test_several_sources_are_fused():
    scale = fused(height_m=0.66, pitch_deg=15.0)  # 10 % too high
    for k in range(40):
        scale.add_points(k * FRAME_NS, 'camera', points_of(ROOM_M))
        step(scale, k)
    assert scale.source is ScaleSource.LIDAR
    assert SCALE < scale.metres(40 * FRAME_NS) < 1.05 * SCALE


def test_only_the_chosen_source_counts():
    scale = fused(ScaleSource.LIDAR, height_m=1.2, pitch_deg=15.0)
    scale.add_points(0, 'camera', points_of(ROOM_M))
    assert step(scale, 0) == pytest.approx(SCALE, rel=0.01)


def test_a_session_is_metric_from_its_first_frame_and_names_the_source():
    model = replace(
        card('nano'), unit=InverseDepthUnit.NOMINAL, patch=16, min_size_px=16, max_pixels=128 * 96
    )

    class Room(InstantEngine):
        def step(self, image, state):
            return VALUES.copy(), state

    scale = fused(height_m=0.6, pitch_deg=15.0)
    session = DepthSession(model, Room, SessionSettings(edge_ratio=1.0), scale)
    result = session.step(Frame(0, 'camera', IMAGE, CAMERA))
    assert result.depth.scale_source is ScaleSource.CAMERA_HEIGHT
    np.testing.assert_allclose(result.depth.depth_m, ROOM_M, rtol=0.01)
    assert result.metres == pytest.approx(SCALE, rel=0.01)


def test_fixed_is_the_factor_alone():
    session = DepthSession(
        replace(card('nano'), patch=16, min_size_px=16, max_pixels=128 * 96),
        InstantEngine,
        SessionSettings(fixed_scale=True, scale_factor=0.5),
        fused(height_m=0.6),
    )
    result = session.step(Frame(0, 'camera', IMAGE, CAMERA))
    assert (result.depth.scale_source, result.metres) == (ScaleSource.FIXED, 40.0)


def test_sources_of_the_parameters():
    assert fusion_settings(StreamParameters()).sources == MEASURED
    lidar = fusion_settings(StreamParameters(scale_source='lidar', base_frame='/base'))
    assert (lidar.sources, lidar.mount.base_frame) == ((ScaleSource.LIDAR,), 'base')
    with pytest.raises(ConfigError, match=r'scale\.prior'):
        fusion_settings(StreamParameters(scale_source='prior'))
    with pytest.raises(ConfigError, match='relative'):
        fusion_settings(StreamParameters(scale_source='intrinsics', model='flashdepth-s'))
