# SPDX-License-Identifier: Apache-2.0
"""Pixels that a consumer does not accept become unknown, in depth, confidence and cloud."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from videodepth_ros.core.errors import ConfigError
from videodepth_ros.frames import DepthMap, ScaleSource
from videodepth_ros.stream.masks import without_robot, without_uncertain
from videodepth_ros.stream.session import StepResult


def result() -> StepResult:
    """Return depth of 4x8: metres 1 to 32, its first pixel nothing hit, confidence falling."""
    depth_m = np.arange(1, 33, dtype=np.float32).reshape(4, 8)
    depth_m[0, 0] = np.inf
    confidence = np.linspace(0.0, 1.0, 32, dtype=np.float32).reshape(4, 8)
    cloud = np.ones((4, 8, 4), np.float32)
    depth = DepthMap(0, 'camera', depth_m, confidence, None, ScaleSource.FIXED)
    return StepResult(depth, None, 0.0, cloud)


def test_below_the_threshold_depth_is_unknown_but_the_sky_stays():
    before, after = result(), without_uncertain(result(), 0.5)
    unknown = before.depth.confidence < 0.5
    unknown[0, 0] = False
    np.testing.assert_array_equal(np.isnan(after.depth.depth_m), unknown)
    np.testing.assert_array_equal(np.isnan(after.cloud[..., 2]), unknown)
    assert np.isinf(after.depth.depth_m[0, 0])
    assert not np.isnan(after.cloud[..., 3]).any()
    assert before.cloud is not after.cloud


def test_without_a_threshold_or_a_mask_nothing_changes():
    before = result()
    assert without_robot(without_uncertain(before, 0.0), '', (8, 4)) is before


@pytest.mark.parametrize('size', [(8, 4), (80, 40)])
def test_depth_is_unknown_where_the_robot_is(tmp_path, size):
    mask = np.zeros(size[::-1], np.uint8)
    mask[size[1] // 2 :, : size[0] // 4] = 255
    path = str(tmp_path / f'mask{size[0]}.png')
    assert cv2.imwrite(path, mask)
    after = without_robot(result(), path, (800, 402))
    robot = np.zeros((4, 8), bool)
    robot[2:, :2] = True
    np.testing.assert_array_equal(np.isnan(after.depth.depth_m), robot)
    np.testing.assert_array_equal(after.depth.confidence[robot], 0)
    np.testing.assert_array_equal(np.isnan(after.cloud[..., 0]), robot)


def test_a_mask_that_does_not_fit_is_refused(tmp_path):
    path = str(tmp_path / 'square.png')
    assert cv2.imwrite(path, np.zeros((8, 8), np.uint8))
    with pytest.raises(ConfigError, match='is 8x8 but the image is 8x4'):
        without_robot(result(), path, (8, 4))
    with pytest.raises(ConfigError, match='cannot be read as an image'):
        without_robot(result(), str(tmp_path / 'none.png'), (8, 4))
