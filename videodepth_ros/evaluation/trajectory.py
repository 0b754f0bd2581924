# SPDX-License-Identifier: Apache-2.0
"""Errors of a camera trajectory against truth: ATE and RPE of Sturm et al. (IROS 2012).

The two trajectories start in different map frames, so one similarity is fitted between them first:
rigid, or with a scale where the prediction has no metres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.errors import InputError
from videodepth_ros.geometry import sim3

Array = NDArray[np.float64]
Stamps = NDArray[np.int64]

MAX_OFFSET_NS = 10_000_000


@dataclass(frozen=True)
class Trajectory:
    """Poses of one camera, in order of time.

    stamp_ns   (N,) int64
    T_map_cam  (N, 4, 4) float64, optical frame of the camera in the map, metres
    """

    stamp_ns: Stamps
    T_map_cam: Array

    @property
    def positions_m(self) -> Array:
        """Camera centres in the map, (N, 3) float64."""
        positions: Array = self.T_map_cam[:, :3, 3]
        return positions

    def at(self, indices: NDArray[np.intp]) -> Trajectory:
        """Return the poses at ``indices`` (M,)."""
        return Trajectory(self.stamp_ns[indices], self.T_map_cam[indices])


@dataclass(frozen=True)
class TrajectoryReport:
    """Errors of the poses that have a true pose of the same time.

    scale           by which the predicted translations were multiplied; 1 where none was fitted
    ate_rmse_m      root mean square distance of the camera centres after alignment
    rpe_trans_m, rpe_rot_deg   root mean square error of the motion from one pose to the next
    path_length_m   length of the true path
    """

    frames: int
    scale: float
    ate_rmse_m: float
    rpe_trans_m: float
    rpe_rot_deg: float
    path_length_m: float


def associate(first_ns: Stamps, second_ns: Stamps, max_offset_ns: int = MAX_OFFSET_NS
              ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pair each stamp of the first series with the nearest of the second, each used once.

    first_ns, second_ns   (N,) and (M,) int64, increasing
    returns  indices into both, (K,) each, of the pairs no further apart than ``max_offset_ns``
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


def evaluate_trajectory(predicted: Trajectory, truth: Trajectory, *, with_scale: bool,
                        max_offset_ns: int = MAX_OFFSET_NS) -> TrajectoryReport:
    """Compare a trajectory with the truth at the stamps that both have.

    with_scale   fit a scale too, for predictions without metres
    raises       InputError if fewer than two stamps agree
    """
    indices, true_indices = associate(predicted.stamp_ns, truth.stamp_ns, max_offset_ns)
    if len(indices) < 2:
        raise InputError(f'{len(indices)} of {len(predicted.stamp_ns)} predicted poses have a '
                         f'true pose within {max_offset_ns / 1e6:g} ms '
                         f'({_span(predicted)} against {_span(truth)}); '
                         'the stamps must be those of the images')
    predicted, truth = predicted.at(indices), truth.at(true_indices)
    fit = sim3.fit(predicted.positions_m.T, truth.positions_m.T, with_scale=with_scale)
    scale = float(fit.scale)
    distance = np.linalg.norm(fit.apply(predicted.positions_m.T) - truth.positions_m.T, axis=0)
    translation, rotation = _relative_errors(predicted, truth, scale)
    steps = np.linalg.norm(np.diff(truth.positions_m, axis=0), axis=1)
    return TrajectoryReport(len(indices), scale, _rms(distance), _rms(translation),
                            float(np.degrees(_rms(rotation))), float(steps.sum()))


def _relative_errors(predicted: Trajectory, truth: Trajectory, scale: float
                     ) -> tuple[Array, Array]:
    """Return the error of each step from pose to pose: metres and radians, (N - 1,) each."""
    scaled = predicted.T_map_cam.copy()
    scaled[:, :3, 3] *= scale
    error = np.linalg.inv(_steps(truth.T_map_cam)) @ _steps(scaled)
    # The angle from sine and cosine: arccos of the trace alone loses small angles to rounding.
    r = error[:, :3, :3]
    sine = np.stack([r[:, 2, 1] - r[:, 1, 2], r[:, 0, 2] - r[:, 2, 0], r[:, 1, 0] - r[:, 0, 1]])
    angle = np.arctan2(np.linalg.norm(sine, axis=0), np.trace(r, axis1=1, axis2=2) - 1)
    return np.linalg.norm(error[:, :3, 3], axis=1), angle


def _steps(T_map_cam: Array) -> Array:
    """Return each pose in the frame of the pose before it, (N - 1, 4, 4)."""
    steps: Array = np.linalg.inv(T_map_cam[:-1]) @ T_map_cam[1:]
    return steps


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def _span(trajectory: Trajectory) -> str:
    if not len(trajectory.stamp_ns):
        return 'none'
    return f'{trajectory.stamp_ns[0] / 1e9:.3f} s to {trajectory.stamp_ns[-1] / 1e9:.3f} s'
