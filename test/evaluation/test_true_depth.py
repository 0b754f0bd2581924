# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from videodepth_ros.bags.reader import open_bag
from videodepth_ros.bags.writer import BagWriter
from videodepth_ros.evaluation.true_depth import TrueDepth, median_scale, relative_error

PERIOD_NS = 100_000_000


def depth_of(n: int) -> np.ndarray:
    return np.full((6, 8), n + 1, np.float32)


@pytest.fixture
def recording(tmp_path):
    with BagWriter(tmp_path / 'scene') as writer:
        for n in range(5):
            writer.write_depth('ground_truth/depth/image', n * PERIOD_NS, 'camera', depth_of(n))
    with open_bag(tmp_path / 'scene') as bag:
        yield bag


def test_true_depth_is_found_by_stamp_in_the_order_of_time(recording):
    truth = TrueDepth(recording)
    for n in (0, 3, 3):
        np.testing.assert_array_equal(truth.at('camera', n * PERIOD_NS), depth_of(n))
    assert truth.at('camera', 3 * PERIOD_NS + PERIOD_NS // 2) is None
    np.testing.assert_array_equal(truth.at('/camera', 4 * PERIOD_NS), depth_of(4))
    assert truth.at('camera', 9 * PERIOD_NS) is None


def test_true_depth_of_another_camera_is_none(recording):
    assert TrueDepth(recording).at('rear_camera', 0) is None


def test_a_recording_without_truth_has_none(tmp_path):
    with BagWriter(tmp_path / 'scene') as writer:
        writer.write_depth('depth/image', 0, 'camera', depth_of(0))
    with open_bag(tmp_path / 'scene') as bag:
        assert TrueDepth(bag).at('camera', 0) is None


def test_errors_are_relative_after_one_scale_and_unknown_where_depth_is():
    truth = np.array([[1.0, 2.0], [4.0, np.inf]])
    depth = np.array([[0.5, 1.0], [2.2, 3.0]])
    assert median_scale([depth], [truth]) == 2.0
    assert median_scale([np.full((2, 2), np.nan)], [truth]) == 1.0
    error = relative_error(2.0 * depth, truth)
    np.testing.assert_allclose(error[:, 0], [0.0, 0.1])
    assert np.isnan(error[1, 1])
