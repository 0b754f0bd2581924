# SPDX-License-Identifier: Apache-2.0
"""Trajectory errors against the truth: ATE and RPE of Sturm et al. (IROS 2012).

The trajectories have different map frames, so one transform is fitted between them first: SE(3),
or Sim(3) where the prediction has no metric scale. A scale about a common first pose keeps the
drift of the heading in the error, which a fitted rotation would hide.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from videodepth_ros.core.arrays import Float64Array, IndexArray, StampArray
from videodepth_ros.core.errors import InputError
from videodepth_ros.geometry.rotation import rotation_angle
from videodepth_ros.geometry.sim3 import umeyama_alignment
from videodepth_ros.geometry.trajectory import MAX_STAMP_OFFSET_NS, Trajectory, associate_stamps


class TrajectoryAlignment(str, Enum):
    """Transform fitted to the truth before errors are computed."""

    SE3 = 'se3'  # rotation and translation (Horn), as in the TUM RGB-D benchmark
    SIM3 = 'sim3'  # rotation, translation and scale (Umeyama, PAMI 1991)
    SCALE = 'scale'  # a least-squares scale; first poses coincide (Zhou et al., CVPR 2017)


@dataclass(frozen=True)
class RpeDelta:
    """Distance of the two poses of a relative pose error: frames, or seconds.

    seconds  None: ``frames`` applies
    """

    frames: int = 1
    seconds: float | None = None

    def __str__(self) -> str:
        if self.seconds is not None:
            return f'{self.seconds:g} s'
        return f'{self.frames} frames' if self.frames > 1 else '1 frame'


CONSECUTIVE_FRAMES = RpeDelta()


@dataclass(frozen=True)
class TrajectoryReport:
    """Errors of the poses with an associated true pose; NaN where there are too few.

    frames          associated poses; ``left_out``: predicted poses without a true one
    scale           factor of the predicted translations; 1 where none is fitted
    ate_rmse_m, ate_max_m   distance of the camera centres after alignment: RMS and greatest
    rpe_trans_m, rpe_rot_deg   root mean square error of the motion over ``rpe_delta``
    path_length_m   length of the true path
    """

    frames: int
    left_out: int
    alignment: TrajectoryAlignment
    scale: float
    ate_rmse_m: float
    ate_max_m: float
    rpe_delta: str
    rpe_trans_m: float
    rpe_rot_deg: float
    path_length_m: float


def evaluate_trajectory(
    predicted: Trajectory,
    truth: Trajectory,
    alignment: TrajectoryAlignment = TrajectoryAlignment.SE3,
    delta: RpeDelta = CONSECUTIVE_FRAMES,
    max_offset_ns: int = MAX_STAMP_OFFSET_NS,
) -> TrajectoryReport:
    """Evaluate a trajectory against the truth at associated stamps.

    Poses with NaN are ignored. A single associated pose has no error: NaN.
    raises  InputError if no stamps can be associated
    """
    predicted, count = _without_nan(predicted), len(predicted.stamp_ns)
    truth = _without_nan(truth)
    indices, true_indices = associate_stamps(predicted.stamp_ns, truth.stamp_ns, max_offset_ns)
    if not len(indices):
        raise InputError(
            f'0 of {count} predicted poses have a '
            f'true pose within {max_offset_ns / 1e6:g} ms '
            f'({_span(predicted)} against {_span(truth)}); '
            'the stamps must be those of the images'
        )
    _check_clock(predicted, truth, len(indices))
    predicted, truth = predicted.select(indices), truth.select(true_indices)
    scale, aligned_m, true_m = _aligned_positions(predicted, truth, alignment)
    distance = np.linalg.norm(aligned_m - true_m, axis=1)
    translation, rotation = _relative_errors(predicted, truth, scale, delta)
    steps = np.linalg.norm(np.diff(truth.positions_m, axis=0), axis=1)
    return TrajectoryReport(
        frames=len(indices),
        left_out=count - len(indices),
        alignment=alignment,
        scale=scale,
        ate_rmse_m=_rms(distance),
        ate_max_m=float(distance.max()) if len(distance) else np.nan,
        rpe_delta=str(delta),
        rpe_trans_m=_rms(translation),
        rpe_rot_deg=float(np.degrees(_rms(rotation))),
        path_length_m=float(steps.sum()),
    )


def aligned_positions(
    predicted: Trajectory,
    truth: Trajectory,
    alignment: TrajectoryAlignment = TrajectoryAlignment.SE3,
    max_offset_ns: int = MAX_STAMP_OFFSET_NS,
) -> tuple[Float64Array, Float64Array]:
    """Return the aligned predicted and the true camera centres at associated stamps, (N, 3) each.

    Empty where fewer than two poses are associated.
    """
    predicted, truth = _without_nan(predicted), _without_nan(truth)
    indices, true_indices = associate_stamps(predicted.stamp_ns, truth.stamp_ns, max_offset_ns)
    _, aligned_m, true_m = _aligned_positions(
        predicted.select(indices), truth.select(true_indices), alignment
    )
    return aligned_m, true_m


def _check_clock(predicted: Trajectory, truth: Trajectory, matched: int) -> None:
    """Raise InputError if one trajectory has the numbers of its frames as stamps.

    Whole numbers of seconds from 0 or 1 on, of which only some are stamps of the other one.
    """
    for one, other in ((predicted, truth), (truth, predicted)):
        numbers = one.stamp_ns / 1e9
        counts = len(numbers) > 2 and numbers[0] in (0, 1) and (np.diff(numbers) == 1).all()
        other_counts = (np.diff(other.stamp_ns) % 10**9 == 0).all()
        if counts and not other_counts and matched < len(numbers):
            side = 'predicted' if one is predicted else 'true'
            raise InputError(
                f'the stamps of the {side} poses are the numbers of frames, {numbers[0]:g} to '
                f'{numbers[-1]:g}, and only {matched} match: write the times of the frames in '
                'their place'
            )


def _without_nan(trajectory: Trajectory) -> Trajectory:
    """Return the trajectory without poses that have NaN."""
    return trajectory.select(np.flatnonzero(np.isfinite(trajectory.T_map_cam).all(axis=(1, 2))))


def _aligned_positions(
    predicted: Trajectory, truth: Trajectory, alignment: TrajectoryAlignment
) -> tuple[float, Float64Array, Float64Array]:
    """Return the fitted scale, the aligned and the true centres, (N, 3) each; empty for one pose.

    SCALE: positions relative to the first pose, s = sum(x . y) / sum(x . x), for odometry
    with a given initial pose (Zhou et al., CVPR 2017).
    """
    if len(predicted.stamp_ns) < 2:
        return 1.0, np.empty((0, 3)), np.empty((0, 3))
    if alignment is TrajectoryAlignment.SCALE:
        x, y = _from_first(predicted), _from_first(truth)
        dot, square = float((x * y).sum()), float((x * x).sum())
        scale = dot / square if square > 0 and dot > 0 else 1.0
        return scale, scale * x, y
    has_scale = (
        alignment is TrajectoryAlignment.SIM3 and _has_motion(predicted) and _has_motion(truth)
    )
    fit = umeyama_alignment(predicted.positions_m.T, truth.positions_m.T, with_scale=has_scale)
    aligned = fit.apply(predicted.positions_m.T)
    return float(fit.scale), aligned.T, truth.positions_m


def _has_motion(trajectory: Trajectory) -> bool:
    """Return whether the motion exceeds rounding errors: a static camera determines no scale."""
    positions = trajectory.positions_m
    return bool(np.ptp(positions, axis=0).max() > 1e-9 * np.abs(positions).max())


def _from_first(trajectory: Trajectory) -> Float64Array:
    """Return the camera centres in the frame of the first camera, (N, 3)."""
    first = trajectory.T_map_cam[0]
    return (trajectory.positions_m - first[:3, 3]) @ first[:3, :3]


def _relative_errors(
    predicted: Trajectory, truth: Trajectory, scale: float, delta: RpeDelta
) -> tuple[Float64Array, Float64Array]:
    """Return the relative pose errors over ``delta``: metres and radians, (M,) each.

    E_i = (Q_i^-1 Q_j)^-1 (P_i^-1 P_j), true poses Q, predicted poses P.
    """
    i, j = _pose_pairs(truth.stamp_ns, delta)
    scaled = predicted.T_map_cam.copy()
    scaled[:, :3, 3] *= scale
    error = np.linalg.inv(_motions(truth.T_map_cam, i, j)) @ _motions(scaled, i, j)
    return np.linalg.norm(error[:, :3, 3], axis=1), rotation_angle(error[:, :3, :3])


def _pose_pairs(stamp_ns: StampArray, delta: RpeDelta) -> tuple[IndexArray, IndexArray]:
    """Return indices (i, j) of poses ``delta`` apart; for seconds, j is the nearest in time.

    Pairs that would end after the last pose are dropped.
    """
    first = np.arange(len(stamp_ns))
    if delta.seconds is None:
        first = first[: max(len(first) - delta.frames, 0)]
        return first, first + delta.frames
    end_ns = stamp_ns + round(delta.seconds * 1e9)
    first = first[end_ns <= stamp_ns[-1]]
    right = np.searchsorted(stamp_ns, end_ns[first])
    nearer_left = end_ns[first] - stamp_ns[right - 1] <= stamp_ns[right] - end_ns[first]
    second = right - nearer_left
    return first[second > first], second[second > first]


def _motions(T_map_cam: Float64Array, i: IndexArray, j: IndexArray) -> Float64Array:
    """Return poses j in the frames of poses i, (M, 4, 4)."""
    motions: Float64Array = np.linalg.inv(T_map_cam[i]) @ T_map_cam[j]
    return motions


def _rms(values: Float64Array) -> float:
    return float(np.sqrt(np.mean(np.square(values)))) if len(values) else float('nan')


def _span(trajectory: Trajectory) -> str:
    if not len(trajectory.stamp_ns):
        return 'none'
    return f'{trajectory.stamp_ns[0] / 1e9:.3f} s to {trajectory.stamp_ns[-1] / 1e9:.3f} s'
