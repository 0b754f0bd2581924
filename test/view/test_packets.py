# SPDX-License-Identifier: Apache-2.0
"""Frames as the page receives them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.view.packets import PacketEncoder, depth_levels, unpack
from videodepth_ros.view.source import ViewFrame

DEPTH_M = np.linspace(0.5, 40, 48 * 64, dtype=np.float32).reshape(48, 64)
CAMERA = Intrinsics(64, 48, 50.0, 52.0, 31.5, 23.5)


def test_depth_is_kept_to_a_level():
    depth_m = DEPTH_M.copy()
    depth_m[0, :2] = np.nan, np.inf
    levels, unit_m = depth_levels(depth_m)
    assert (levels[0, 0], levels[0, 1]) == (0, 65535)
    assert unit_m < 0.001
    np.testing.assert_allclose(levels[1:] * unit_m, depth_m[1:], atol=unit_m)


@pytest.mark.parametrize('value', [np.nan, np.inf, 1e-9])
def test_depth_without_a_distance(value):
    levels, unit_m = depth_levels(np.full((3, 4), value, np.float32))
    assert np.isfinite(unit_m)
    assert unit_m > 0
    assert set(levels.ravel()) == {0 if np.isnan(value) else 65535 if np.isinf(value) else 65534}


def test_a_packet_holds_the_frame():
    image = np.zeros((48, 64, 3), np.uint8)
    image[..., 0] = 200
    T = np.arange(16.0).reshape(4, 4)
    frame = ViewFrame(5_000_000_000, 'eye', image, DEPTH_M, DEPTH_M / 80, CAMERA, T, 0.25)
    header, blobs = unpack(PacketEncoder(10_000).encode(7, frame))
    assert (header['number'], header['stamp'], header['frame_id']) == (7, 5.0, 'eye')
    assert (header['age'], header['pose']) == (0.25, list(range(16)))
    assert header['depth']['camera'] == [50.0, 52.0, 31.5, 23.5]
    near_m, far_m = header['depth']['colours']
    assert 0.5 <= near_m < far_m <= 40
    seen = cv2.imdecode(np.frombuffer(blobs['image'], np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    np.testing.assert_allclose(seen, image, atol=6)
    levels = np.frombuffer(blobs['depth'], '<u2').reshape(48, 64)
    np.testing.assert_allclose(levels * header['depth']['unit'], DEPTH_M, atol=1e-3)
    shares = np.frombuffer(blobs['confidence'], np.uint8).reshape(48, 64)
    np.testing.assert_allclose(shares / 255, DEPTH_M / 80, atol=0.005)


def test_large_frames_are_thinned_out_with_their_camera():
    header, blobs = unpack(
        PacketEncoder(48 * 64 // 4).encode(0, ViewFrame(0, '', None, DEPTH_M, camera=CAMERA))
    )
    assert (header['depth']['height'], header['depth']['width']) == (24, 32)
    assert header['depth']['camera'] == [25.0, 26.0, 15.75, 11.75]
    levels = np.frombuffer(blobs['depth'], '<u2').reshape(24, 32)
    np.testing.assert_allclose(levels * header['depth']['unit'], DEPTH_M[::2, ::2], atol=1e-3)


def test_colours_follow_without_a_jump():
    encoder = PacketEncoder(10_000)
    ranges = [
        unpack(encoder.encode(k, ViewFrame(k, '', None, depth_m)))[0]['depth']['colours']
        for k, depth_m in enumerate([DEPTH_M, 2 * DEPTH_M, 2 * DEPTH_M])
    ]
    near = [each[0] for each in ranges]
    assert near[0] < near[1] < near[2] < 1.2 * near[0]
