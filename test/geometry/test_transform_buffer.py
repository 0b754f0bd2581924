# SPDX-License-Identifier: Apache-2.0
"""Transforms as they come: interpolation, no extrapolation, frames at two stamps, horizon."""

from __future__ import annotations

import numpy as np
import pytest

from videodepth_ros.geometry.rotation import so3_exp
from videodepth_ros.geometry.transform_buffer import TransformBuffer

S = 10**9


def at(x: float, yaw: float = 0.0) -> np.ndarray:
    T = np.eye(4)
    T[:3, :3] = so3_exp(np.array([[0, 0, yaw]]))[0]
    T[0, 3] = x
    return T


@pytest.fixture
def buffer():
    """Return a robot that drives 1 m/s along x of odom, with a camera and a lidar on it."""
    made = TransformBuffer()
    made.add('base', 'camera', 0, at(0.2), is_static=True)
    made.add('base', 'lidar', 0, at(-0.3), is_static=True)
    for k in range(5):
        made.add('odom', 'base', k * S, at(float(k)))
    return made


def test_static_frames_at_any_stamp(buffer):
    np.testing.assert_allclose(buffer.lookup('camera', 99 * S, 'lidar', 99 * S), at(-0.5))


def test_interpolation(buffer):
    np.testing.assert_allclose(buffer.lookup('odom', S * 3 // 2, 'camera', S * 3 // 2), at(1.7))


@pytest.mark.parametrize('stamp_ns', [-1, 4 * S + 1])
def test_nothing_is_extrapolated(buffer, stamp_ns):
    assert buffer.lookup('odom', stamp_ns, 'camera', stamp_ns) is None
    assert buffer.lookup('odom', 4 * S, 'camera', 4 * S) is not None


def test_each_frame_at_a_stamp_of_its_own(buffer):
    np.testing.assert_allclose(buffer.lookup('camera', 2 * S, 'lidar', S), at(-1.5))


def test_without_motion_known_static_frames_must_do(buffer):
    np.testing.assert_allclose(buffer.lookup('camera', 9 * S, 'lidar', 8 * S), at(-0.5))


def test_frames_that_are_not_connected(buffer):
    assert buffer.lookup('camera', 0, 'moon', 0) is None


def test_ancestors(buffer):
    assert buffer.parents('camera') == ['camera', 'base', 'odom']
    assert buffer.parents('moon') == ['moon']


def test_a_cycle_ends():
    buffer = TransformBuffer()
    buffer.add('a', 'b', 0, at(1.0), is_static=True)
    buffer.add('b', 'a', 0, at(1.0), is_static=True)
    assert buffer.parents('a') == ['a', 'b']


def test_transforms_out_of_order_are_sorted_and_old_ones_dropped():
    buffer = TransformBuffer(horizon_s=2.0)
    for k in (0, 2, 1, 4, 3):
        buffer.add('odom', 'base', k * S, at(float(k)))
    np.testing.assert_allclose(buffer.lookup('odom', S * 7 // 2, 'base', S * 7 // 2), at(3.5))
    assert buffer.lookup('odom', S, 'base', S) is None


def test_another_parent_replaces_the_first(buffer):
    buffer.add('mast', 'camera', 0, at(7.0), is_static=True)
    assert buffer.parents('camera') == ['camera', 'mast']


def test_after_a_jump_of_the_clock_what_moves_is_dropped(buffer):
    buffer.clear()
    assert buffer.parents('camera') == ['camera', 'base']
