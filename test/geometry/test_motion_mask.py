# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np

from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.geometry.motion_mask import ego_flow, segment_motion

CAMERA = Intrinsics(16, 12, 20.0, 20.0, 8.0, 6.0)


def test_a_static_camera_has_zero_flow():
    flow = ego_flow(np.full((12, 16), 2.0, np.float32), CAMERA, np.eye(4), CAMERA)
    np.testing.assert_allclose(flow, 0, atol=1e-5)


def test_flow_of_a_translation_is_the_disparity():
    T_other_cam = np.eye(4)
    T_other_cam[0, 3] = -0.5
    flow = ego_flow(np.full((12, 16), 2.0, np.float32), CAMERA, T_other_cam, CAMERA)
    np.testing.assert_allclose(flow, np.broadcast_to([-5.0, 0.0], flow.shape), atol=1e-5)


def test_flow_behind_the_other_camera_is_nan():
    T_other_cam = np.eye(4)
    T_other_cam[2, 3] = -3.0
    flow = ego_flow(np.full((12, 16), 2.0, np.float32), CAMERA, T_other_cam, CAMERA)
    assert np.isnan(flow).all()


def test_a_moving_block_is_segmented():
    errors = np.random.default_rng(0).random((3, 12, 16)).astype(np.float32)
    errors[:, 3:6, 4:9] += 12
    found = segment_motion(list(errors))
    assert found[3:6, 4:9].all()
    assert found.sum() == 15


def test_noise_in_a_static_scene_is_not_motion():
    errors = np.random.default_rng(0).random((3, 12, 16)).astype(np.float32)
    errors[0, 2, 2] = np.nan
    assert not segment_motion(list(errors)).any()
