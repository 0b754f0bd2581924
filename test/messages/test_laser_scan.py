# SPDX-License-Identifier: Apache-2.0
"""A scan is read as it was written."""

from __future__ import annotations

import math

import numpy as np
import pytest

from videodepth_ros.messages.laser_scan import points_from_scan, write_scan


def test_a_scan_is_read_as_it_was_written():
    messages = pytest.importorskip('sensor_msgs.msg', reason='ROS is not installed')
    ranges_m = np.full(360, np.nan, np.float32)
    ranges_m[180], ranges_m[270], ranges_m[90] = 2.0, 3.0, np.inf
    message = messages.LaserScan()
    write_scan(ranges_m, -math.pi, 5.0, 0.1, message)
    np.testing.assert_array_equal(np.asarray(message.ranges, np.float32), ranges_m)
    assert message.angle_max == pytest.approx(math.pi - message.angle_increment, abs=1e-5)
    assert (message.range_max, message.scan_time) == pytest.approx((5.0, 0.1))
    np.testing.assert_allclose(points_from_scan(message), [[2, 0, 0], [0, 3, 0]], atol=1e-5)
