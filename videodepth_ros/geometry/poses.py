# SPDX-License-Identifier: Apache-2.0
"""Poses over time: between two of them, and from the numbers that messages hold."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.geometry.sim3 import rotation_from_vector, vector_from_rotation

Array = NDArray[np.float64]
Stamps = NDArray[np.int64]

STATIC_EXTENT_DEPTHS = 0.02
"""Largest extent of a camera path, in median scene depths, that counts as no translation."""


def interpolate(stamp_ns: Stamps, T: Array, at_ns: Stamps) -> Array:
    """Return the poses at other times, (M, 4, 4) float64.

    stamp_ns  (N,) int64, increasing, N >= 1
    T         (N, 4, 4) float64, rigid
    at_ns     (M,) int64; outside of ``stamp_ns`` the nearest pose is returned

    Positions are interpolated linearly and rotations along the great arc, each for itself, as tf2
    does it (a screw motion would bend the path).
    """
    right = np.clip(np.searchsorted(stamp_ns, at_ns), 1, max(len(stamp_ns) - 1, 1))
    before, after = right - 1, np.minimum(right, len(stamp_ns) - 1)
    gap_ns = np.maximum(stamp_ns[after] - stamp_ns[before], 1)
    share = np.clip((at_ns - stamp_ns[before]) / gap_ns, 0.0, 1.0)[:, None]
    first, last = T[before], T[after]
    between = first.copy()
    between[:, :3, 3] += share * (last[:, :3, 3] - first[:, :3, 3])
    turn = vector_from_rotation(np.swapaxes(first[:, :3, :3], 1, 2) @ last[:, :3, :3])
    between[:, :3, :3] = first[:, :3, :3] @ rotation_from_vector(share * turn)
    return between


def inverse(T: Array) -> Array:
    """Return the inverses of rigid transforms, (..., 4, 4) float64, rigid to the last bit."""
    back = np.zeros_like(T)
    back[..., :3, :3] = np.swapaxes(T[..., :3, :3], -1, -2)
    back[..., :3, 3] = -(back[..., :3, :3] @ T[..., :3, 3, None])[..., 0]
    back[..., 3, 3] = 1.0
    return back


def from_numbers(numbers: Array) -> Array:
    """Return poses (N, 4, 4) of rows x y z qx qy qz qw, (N, 7) float64.

    Quaternions may have any length; rows with a zero quaternion or with NaN become NaN.
    """
    with np.errstate(invalid='ignore', divide='ignore'):
        x, y, z, w = (numbers[:, 3:] / np.linalg.norm(numbers[:, 3:], axis=1, keepdims=True)).T
    T = np.zeros((len(numbers), 4, 4))
    T[:, :3, :3] = np.moveaxis(
        np.array(
            [
                [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
                [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
                [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
            ]
        ),
        2,
        0,
    )
    T[:, :3, 3], T[:, 3, 3] = numbers[:, :3], 1.0
    T[~np.isfinite(T).all(axis=(1, 2))] = np.nan
    return T


def trajectory_extent(T_world_cam: Array) -> float:
    """Return the diagonal of the bounding box of camera centres; poses (N, 4, 4)."""
    return float(np.linalg.norm(np.ptp(T_world_cam[:, :3, 3], axis=0)))
