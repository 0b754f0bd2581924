# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from videodepth_ros.geometry.pose import interpolate_poses, invert_poses, poses_from_xyz_quat
from videodepth_ros.geometry.rotation import (
    quaternion_from_rotation,
    rotation_from_quaternion,
    so3_exp,
)

SEEDS = st.integers(0, 2**32 - 1)
FAST = settings(max_examples=40)


def poses(seed, count=6):
    rng = np.random.default_rng(seed)
    T = np.tile(np.eye(4), (count, 1, 1))
    T[:, :3, :3] = so3_exp(rng.normal(size=(count, 3)))
    T[:, :3, 3] = rng.normal(size=(count, 3)) * 5
    return T


def slerp(a, b, share):
    """Interpolate quaternions by Shoemake's formula."""
    b = b if a @ b >= 0 else -b
    angle = np.arccos(np.clip(a @ b, -1, 1))
    return (np.sin((1 - share) * angle) * a + np.sin(share * angle) * b) / np.sin(angle)


@FAST
@given(SEEDS, st.floats(0, 1))
def test_interpolation_is_linear_in_position_and_slerp_in_rotation(seed, share):
    T = poses(seed, 2)
    (between,) = interpolate_poses(np.array([0, 10**9]), T, np.array([round(share * 10**9)]))
    np.testing.assert_allclose(
        between[:3, 3], (1 - share) * T[0, :3, 3] + share * T[1, :3, 3], atol=1e-7
    )
    a, b = (np.array(quaternion_from_rotation(one[:3, :3])) for one in T)
    np.testing.assert_allclose(
        between[:3, :3], rotation_from_quaternion(*slerp(a, b, share)), atol=1e-7
    )


def test_interpolation_at_the_stamps_and_outside_them():
    stamps, T = np.array([10, 20, 40, 50, 90, 91]), poses(1)
    np.testing.assert_allclose(interpolate_poses(stamps, T, stamps), T, atol=1e-12)
    np.testing.assert_array_equal(interpolate_poses(stamps, T, np.array([-5, 9])), T[[0, 0]])
    np.testing.assert_allclose(
        interpolate_poses(stamps, T, np.array([92, 10**18])), T[[5, 5]], atol=1e-12
    )
    np.testing.assert_array_equal(
        interpolate_poses(stamps[:1], T[:1], np.array([0, 10, 20])), T[[0, 0, 0]]
    )
    assert interpolate_poses(stamps, T, np.empty(0, np.int64)).shape == (0, 4, 4)


def test_epoch_stamps_keep_their_nanoseconds():
    start = 1_700_000_000_000_000_000
    T = np.tile(np.eye(4), (2, 1, 1))
    T[1, 0, 3] = 1.0
    at = interpolate_poses(np.array([start, start + 1000]), T, start + np.array([1, 250, 999]))
    assert at[:, 0, 3] == pytest.approx([0.001, 0.25, 0.999])


@FAST
@given(SEEDS)
def test_inverse_times_pose_is_identity(seed):
    T = poses(seed)
    np.testing.assert_allclose(invert_poses(T) @ T, np.tile(np.eye(4), (6, 1, 1)), atol=1e-12)
    np.testing.assert_allclose(invert_poses(T[0]), np.linalg.inv(T[0]), atol=1e-12)


@FAST
@given(SEEDS, st.floats(0.1, 10))
def test_quaternions_of_any_length_give_poses(seed, length):
    T = poses(seed)
    rows = np.array(
        [[*one[:3, 3], *(length * np.array(quaternion_from_rotation(one[:3, :3])))] for one in T]
    )
    np.testing.assert_allclose(poses_from_xyz_quat(rows), T, atol=1e-9)


def test_unfilled_rows_are_nan():
    rows = np.array([[0, 0, 0, 0, 0, 0, 0], [0, 0, np.nan, 0, 0, 0, 1], [1, 2, 3, 0, 0, 0, 1.0]])
    found = poses_from_xyz_quat(rows)
    assert np.isnan(found[:2]).all()
    assert found[2, :3, 3].tolist() == [1, 2, 3]
    assert poses_from_xyz_quat(np.empty((0, 7))).shape == (0, 4, 4)
