# SPDX-License-Identifier: Apache-2.0
"""Rigid transforms SE(3) as matrices (..., 4, 4): inversion, interpolation, conversion."""

from __future__ import annotations

import numpy as np

from videodepth_ros.core.arrays import Float64Array, StampArray
from videodepth_ros.geometry.rotation import rotations_from_unit_quaternions, so3_exp, so3_log

STATIC_EXTENT_DEPTHS = 0.02
"""Camera path extent [median scene depths] at and below which a camera counts as static: the
parallax is noise."""


def interpolate_poses(stamp_ns: StampArray, T: Float64Array, query_ns: StampArray) -> Float64Array:
    """Interpolate poses at the stamps ``query_ns`` (M,); return (M, 4, 4) float64.

    stamp_ns  (N,) int64, increasing, N >= 1
    T         (N, 4, 4) float64, rigid
    query_ns  (M,) int64; outside ``stamp_ns`` the nearest pose is returned

    Linear in position, spherical linear in rotation, each on its own, as in tf2; a screw motion
    would bend the path.
    """
    right = np.clip(np.searchsorted(stamp_ns, query_ns), 1, max(len(stamp_ns) - 1, 1))
    before, after = right - 1, np.minimum(right, len(stamp_ns) - 1)
    gap_ns = np.maximum(stamp_ns[after] - stamp_ns[before], 1)
    share = np.clip((query_ns - stamp_ns[before]) / gap_ns, 0.0, 1.0)[:, None]
    first, last = T[before], T[after]
    between = first.copy()
    between[:, :3, 3] += share * (last[:, :3, 3] - first[:, :3, 3])
    rotation = so3_log(np.swapaxes(first[:, :3, :3], 1, 2) @ last[:, :3, :3])
    between[:, :3, :3] = first[:, :3, :3] @ so3_exp(share * rotation)
    return between


def invert_poses(T: Float64Array) -> Float64Array:
    """Return the inverses (..., 4, 4) of rigid transforms by transposition, rigid to the bit."""
    inverse = np.zeros_like(T)
    inverse[..., :3, :3] = np.swapaxes(T[..., :3, :3], -1, -2)
    inverse[..., :3, 3] = -(inverse[..., :3, :3] @ T[..., :3, 3, None])[..., 0]
    inverse[..., 3, 3] = 1.0
    return inverse


def poses_from_xyz_quat(rows: Float64Array) -> Float64Array:
    """Return the poses (N, 4, 4) of rows x y z qx qy qz qw, (N, 7) float64.

    Quaternions may have any length; rows with a zero quaternion or NaN give NaN.
    """
    with np.errstate(invalid='ignore', divide='ignore'):
        q = rows[:, 3:] / np.linalg.norm(rows[:, 3:], axis=1, keepdims=True)
        T = np.zeros((len(rows), 4, 4))
        T[:, :3, :3] = rotations_from_unit_quaternions(q)
    T[:, :3, 3], T[:, 3, 3] = rows[:, :3], 1.0
    T[~np.isfinite(T).all(axis=(1, 2))] = np.nan
    return T


def trajectory_extent(T_world_cam: Float64Array) -> float:
    """Return the diagonal of the bounding box of the camera centres of poses (N, 4, 4)."""
    return float(np.linalg.norm(np.ptp(T_world_cam[:, :3, 3], axis=0)))
