# SPDX-License-Identifier: Apache-2.0
"""Timed camera poses, and the association of two series of stamps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from videodepth_ros.core.arrays import Float64Array, IndexArray, StampArray

MAX_STAMP_OFFSET_NS = 10_000_000
"""Largest time between associated stamps [ns]: half the 20 ms that the TUM RGB-D tools allow."""


@dataclass(frozen=True)
class Trajectory:
    """Poses of one camera, in order of time.

    stamp_ns   (N,) int64
    T_map_cam  (N, 4, 4) float64, pose of the camera's optical frame in the map, metres
    """

    stamp_ns: StampArray
    T_map_cam: Float64Array

    @property
    def positions_m(self) -> Float64Array:
        """Camera centres in the map, (N, 3) float64."""
        positions: Float64Array = self.T_map_cam[:, :3, 3]
        return positions

    def select(self, indices: IndexArray) -> Trajectory:
        """Return the poses at ``indices`` (M,)."""
        return Trajectory(self.stamp_ns[indices], self.T_map_cam[indices])


def associate_stamps(
    first_ns: StampArray, second_ns: StampArray, max_offset_ns: int = MAX_STAMP_OFFSET_NS
) -> tuple[IndexArray, IndexArray]:
    """Pair each stamp of the first series with the nearest of the second, each used once.

    first_ns, second_ns   (N,) and (M,) int64, increasing
    returns  indices into both, (K,) each, of the pairs at most ``max_offset_ns`` apart
    """
    if not first_ns.size or not second_ns.size:
        return np.empty(0, np.intp), np.empty(0, np.intp)
    right = np.clip(np.searchsorted(second_ns, first_ns), 1, max(second_ns.size - 1, 1))
    left = right - 1
    right = np.minimum(right, second_ns.size - 1)
    nearer_left = np.abs(second_ns[left] - first_ns) <= np.abs(second_ns[right] - first_ns)
    nearest = np.where(nearer_left, left, right)
    offset_ns = np.abs(second_ns[nearest] - first_ns)
    by_offset = np.lexsort((offset_ns, nearest))
    once = by_offset[np.unique(nearest[by_offset], return_index=True)[1]]
    kept = np.sort(once[offset_ns[once] <= max_offset_ns])
    return kept, nearest[kept]


@dataclass(frozen=True)
class StepSigmas:
    """Standard deviations of the motion into each frame of a trajectory from the one before.

    translation_m  (N,) float64, along each axis; rotation_rad (N,) float64, about each axis
    """

    translation_m: Float64Array
    rotation_rad: Float64Array
