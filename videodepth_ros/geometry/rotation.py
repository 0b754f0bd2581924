# SPDX-License-Identifier: Apache-2.0
"""Rotations SO(3): exponential and logarithm, quaternions, in batches.

Quaternions are (x, y, z, w), as in ROS messages and TUM files.
"""

from __future__ import annotations

import numpy as np

from videodepth_ros.core.arrays import Float64Array
from videodepth_ros.core.errors import InputError

SMALL_ANGLE_RAD = 1e-8
"""Angle below which sin(x) / x is taken at this value: no division by zero."""


def hat(vector: Float64Array) -> Float64Array:
    """Return the skew-symmetric matrices (..., 3, 3) of the cross product with (..., 3)."""
    x, y, z = vector[..., 0], vector[..., 1], vector[..., 2]
    zero = np.zeros_like(x)
    return np.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*vector.shape, 3)


def so3_exp(vector: Float64Array) -> Float64Array:
    """Return the rotation matrices (..., 3, 3) of rotation vectors (..., 3), radians.

    Rodrigues' formula.
    """
    angle = np.maximum(np.linalg.norm(vector, axis=-1), SMALL_ANGLE_RAD)[..., None, None]
    K = hat(vector)
    return np.eye(3) + np.sin(angle) / angle * K + (1 - np.cos(angle)) / angle**2 * (K @ K)


def so3_log(R: Float64Array) -> Float64Array:
    """Return the rotation vectors (..., 3), radians, of rotation matrices (..., 3, 3).

    The axis is undefined at an angle of pi; the zero vector is returned there.
    """
    axis = _scaled_axis(R)
    length, angle = np.linalg.norm(axis, axis=-1), rotation_angle(R)
    ratio = np.where(length > SMALL_ANGLE_RAD, angle / np.maximum(length, SMALL_ANGLE_RAD), 0.5)
    vectors: Float64Array = ratio[..., None] * axis
    return vectors


def nearest_rotation(M: Float64Array) -> Float64Array:
    """Return the rotation (3, 3) nearest to a matrix (orthogonal Procrustes; Kabsch, 1976)."""
    u, _, vt = np.linalg.svd(M)
    rotation: Float64Array = (u * [1, 1, np.sign(np.linalg.det(u @ vt))]) @ vt
    return rotation


def rotation_angle(R: Float64Array) -> Float64Array:
    """Return the angles (...,), radians, of rotation matrices (..., 3, 3).

    arctan2 of sine and cosine: arccos of the trace loses small angles to rounding.
    """
    sine, cosine = np.linalg.norm(_scaled_axis(R), axis=-1), np.trace(R, axis1=-2, axis2=-1) - 1
    angle: Float64Array = np.arctan2(sine, cosine)
    return angle


def _scaled_axis(R: Float64Array) -> Float64Array:
    """Return the axes (..., 3) of rotations, of length 2 sin(angle)."""
    return np.stack(
        [R[..., 2, 1] - R[..., 1, 2], R[..., 0, 2] - R[..., 2, 0], R[..., 1, 0] - R[..., 0, 1]], -1
    )


def rotations_from_unit_quaternions(q: Float64Array) -> Float64Array:
    """Return the rotation matrices (..., 3, 3) of unit quaternions (..., 4); NaN stays NaN."""
    x, y, z, w = np.moveaxis(q, -1, 0)
    R: Float64Array = np.stack(
        [
            np.stack([1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)], -1),
            np.stack([2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)], -1),
            np.stack([2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)], -1),
        ],
        -2,
    )
    return R


def rotation_from_quaternion(x: float, y: float, z: float, w: float) -> Float64Array:
    """Return the rotation matrix (3, 3) of a quaternion of any length but zero.

    raises  InputError if the quaternion is zero or not finite, as in a message left empty
    """
    q = np.array([x, y, z, w], np.float64)
    length = float(np.linalg.norm(q))
    if not (np.isfinite(length) and length > 1e-9):
        raise InputError(f'quaternion ({x}, {y}, {z}, {w}) is no rotation; its length must be 1')
    return rotations_from_unit_quaternions(q / length)


def quaternion_from_rotation(R: Float64Array) -> tuple[float, float, float, float]:
    """Return the unit quaternion (x, y, z, w), w >= 0, of a rotation matrix (3, 3).

    The eigenvector of the largest eigenvalue of Bar-Itzhack's symmetric matrix (J. Guidance 23(6),
    2000): free of branches, and the nearest rotation where R is slightly off.
    raises  InputError if R is not a rotation (to 1e-3)
    """
    if R.shape != (3, 3) or not np.allclose(R @ R.T, np.eye(3), atol=1e-3) or np.linalg.det(R) < 0:
        raise InputError(f'{R.tolist()} is not a rotation matrix')
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = R
    symmetric = (
        np.array(
            [
                [xx - yy - zz, yx + xy, zx + xz, zy - yz],
                [yx + xy, yy - xx - zz, zy + yz, xz - zx],
                [zx + xz, zy + yz, zz - xx - yy, yx - xy],
                [zy - yz, xz - zx, yx - xy, xx + yy + zz],
            ]
        )
        / 3.0
    )
    q = np.linalg.eigh(symmetric)[1][:, -1]
    x, y, z, w = (q if q[3] >= 0 else -q).tolist()
    return x, y, z, w
