# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np

from videodepth_ros.sfm.depth_samples import sample_log_depth


def test_depth_is_sampled_where_it_is_smooth():
    depth = np.full((10, 12), 2.0, np.float32)
    depth[:, 6:], depth[:3], depth[8, 1] = 4.0, np.inf, np.nan
    pixel = np.array([[2.2, 5.4], [5.0, 5.0], [9.0, 5.0], [9.0, 1.0], [1.0, 7.0], [-3.0, 5.0]])
    found = sample_log_depth(depth, pixel)
    assert np.allclose(
        found.log_depth, [np.log(2), np.nan, np.log(4), np.nan, np.nan, np.log(2)], equal_nan=True
    )
    assert found.at_infinity.tolist() == [False, False, False, True, False, False]


def test_zero_and_negative_depth_is_no_depth():
    depth = np.array([[0, 0, 0], [0, 0, 0], [-1, -1, -1]], np.float32)
    found = sample_log_depth(depth, np.array([[1.0, 1.0]]))
    assert np.isnan(found.log_depth).all()
    assert not found.at_infinity.any()
