# SPDX-License-Identifier: Apache-2.0
"""Trajectory files of the TUM RGB-D benchmark (Sturm et al., IROS 2012).

One pose per line: ``timestamp tx ty tz qx qy qz qw``, seconds and metres; # starts a comment.
Files that end in .csv are those of EuRoC MAV (Burri et al., IJRR 2016): nanoseconds, and w first.
"""

from __future__ import annotations

import logging
from decimal import Decimal, InvalidOperation
from pathlib import Path

import numpy as np

from videodepth_ros.core.errors import BagError, InputError
from videodepth_ros.geometry.pose import poses_from_xyz_quat
from videodepth_ros.geometry.rotation import quaternion_from_rotation
from videodepth_ros.geometry.trajectory import Trajectory

log = logging.getLogger('videodepth')

EUROC_SUFFIX = '.csv'
TUM_SUFFIXES = ('.tum', '.txt', EUROC_SUFFIX)


def write_tum(path: Path, trajectory: Trajectory) -> None:
    """Write a trajectory; stamps are exact to the nanosecond.

    raises  BagError if it cannot be written
    """
    lines = []
    for ns, T in zip(trajectory.stamp_ns.tolist(), trajectory.T_map_cam, strict=True):
        numbers = [*T[:3, 3].tolist(), *quaternion_from_rotation(T[:3, :3])]
        lines.append(
            ' '.join([f'{ns // 10**9}.{ns % 10**9:09d}', *(f'{number:.9f}' for number in numbers)])
        )
    try:
        path.write_text('\n'.join([*lines, '']))
    except OSError as error:
        raise BagError(f'{path} cannot be written: {error}') from error


def read_tum(path: Path) -> Trajectory:
    """Read a trajectory, sorted by time; poses with NaN stay NaN.

    Numbers are separated by blanks or commas; the names of the columns may stand above them. Of
    several poses of one stamp the first is kept, with a warning.
    raises  InputError with the line number if a line is not a pose; BagError if the file cannot be
            read
    """
    try:
        lines = path.read_text(encoding='utf-8-sig', errors='replace').splitlines()
    except OSError as error:
        raise BagError(f'{path} cannot be read: {error}') from error
    if path.suffix == EUROC_SUFFIX:
        return _trajectory(path, *_euroc_rows(path, lines))
    stamps: list[np.int64] = []
    rows: list[list[float]] = []
    for number, line in enumerate(lines, 1):
        words = line.partition('#')[0].replace(',', ' ').split()
        is_heading = bool(words) and words[0].isidentifier() and words[-1].isidentifier()
        if not words or (is_heading and not rows):
            continue
        try:
            stamps.append(np.int64(int((Decimal(words[0]) * 10**9).to_integral_value())))
            rows.append([float(word) for word in words[1:]])
        except (ValueError, InvalidOperation, OverflowError) as error:
            raise InputError(
                f'{path} line {number} is not a pose with a time in seconds: {line.strip()!r}; '
                f'the files of EuRoC, in nanoseconds and with w first, end in {EUROC_SUFFIX}'
            ) from error
        if len(rows[-1]) != 7:
            raise InputError(
                f'{path} line {number} has {len(words)} numbers; a pose has 8: '
                'timestamp tx ty tz qx qy qz qw'
            )
    return _trajectory(path, stamps, rows)


def _euroc_rows(path: Path, lines: list[str]) -> tuple[list[np.int64], list[list[float]]]:
    """Parse ground truth of EuRoC MAV: ns, position, quaternion w x y z, other columns."""
    stamps: list[np.int64] = []
    rows: list[list[float]] = []
    for number, line in enumerate(lines, 1):
        words = line.partition('#')[0].replace(',', ' ').split()
        if not words:
            continue
        try:
            stamp = np.int64(int(words[0]))
            x, y, z, qw, qx, qy, qz = (float(word) for word in words[1:8])
        except (ValueError, OverflowError) as error:
            if not rows:
                continue  # the names of the columns
            raise InputError(
                f'{path} line {number} is not a pose of EuRoC, which is: time in nanoseconds, '
                f'x y z, qw qx qy qz: {line.strip()!r}'
            ) from error
        stamps.append(stamp)
        rows.append([x, y, z, qx, qy, qz, qw])
    if not rows:
        raise InputError(
            f'{path} has no pose of EuRoC: time in nanoseconds, x y z, qw qx qy qz; name a '
            'trajectory in the format of TUM .tum or .txt'
        )
    return stamps, rows


def _trajectory(path: Path, stamps: list[np.int64], rows: list[list[float]]) -> Trajectory:
    ns, first, count = np.unique(np.array(stamps, np.int64), return_index=True, return_counts=True)
    if repeated := ns[count > 1].tolist():
        log.warning(
            '%s: %d poses are left out, for their stamps repeat, the first of them at %.9f s; of '
            'each stamp the first pose is kept',
            path,
            len(stamps) - len(ns),
            repeated[0] / 1e9,
        )
    return Trajectory(ns, poses_from_xyz_quat(np.array(rows, float).reshape(-1, 7))[first])
