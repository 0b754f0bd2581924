# SPDX-License-Identifier: Apache-2.0
"""Format an evaluation as JSON and as a table."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from videodepth_ros.evaluation.accumulators import DepthErrors
from videodepth_ros.evaluation.depth import DepthReport
from videodepth_ros.evaluation.trajectory import TrajectoryReport


@dataclass(frozen=True)
class Evaluation:
    """Reports of the comparison of two recordings; None where there is nothing to compare."""

    depth: DepthReport | None
    trajectory: TrajectoryReport | None


def to_json(evaluation: Evaluation) -> str:
    """Return the evaluation as JSON; the errors of the sequence are at the top level of ``depth``.

    NaN becomes null: JSON has no NaN.
    """
    fields = asdict(evaluation)
    if fields['depth'] is not None:
        fields['depth'] = {**fields['depth'].pop('errors'), **fields['depth']}
        fields['depth']['per_frame'] = [
            {**frame.pop('errors'), **frame} for frame in fields['depth']['per_frame']
        ]
    return json.dumps(_without_nan(fields), indent=2)


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def format_table(evaluation: Evaluation) -> str:
    """Return the evaluation as lines of text."""
    lines: list[str] = []
    if evaluation.depth is not None:
        lines += _depth_lines(evaluation.depth)
    if evaluation.trajectory is not None:
        lines += ['', *_trajectory_lines(evaluation.trajectory)]
    return '\n'.join(lines).strip('\n')


def _depth_lines(report: DepthReport) -> Iterable[str]:
    by_error = sorted(report.per_frame, key=lambda frame: frame.errors.abs_rel)
    best, worst = by_error[0], by_error[-1]
    yield (
        f'depth: {report.frames} frames, alignment {report.alignment.value} '
        f'(scale {report.scale:.4g}, shift {report.shift_per_m:.4g} 1/m), '
        f'truth up to {report.max_depth_m:g} m'
    )
    yield f'{"":24}{"AbsRel":>9}{"RMSE [m]":>10}{"d < 1.25":>10}'
    yield _row('prediction', report.errors)
    yield _row(f'  best frame  {best.stamp_ns / 1e9:.2f} s', best.errors)
    yield _row(f'  worst frame {worst.stamp_ns / 1e9:.2f} s', worst.errors)
    yield _row('best constant depth', report.best_constant)
    yield _row('best vertical gradient', report.best_gradient)
    yield (
        f'boundary F1 {_number(report.boundary_f1)}   scale drift {_number(report.scale_drift)}'
        f'   flicker {_number(report.flicker)}   coverage {report.coverage:.1%}'
    )


def _row(name: str, errors: DepthErrors) -> str:
    return f'{name:24}{errors.abs_rel:>9.3f}{errors.rmse_m:>10.3f}{errors.delta_1_25:>10.3f}'


def _number(value: float) -> str:
    return '-' if math.isnan(value) else f'{value:.4f}'


def _trajectory_lines(report: TrajectoryReport) -> Iterable[str]:
    yield (
        f'trajectory: {report.frames} poses ({report.left_out} without truth), '
        f'path {report.path_length_m:.3f} m, alignment {report.alignment.value} '
        f'(scale {report.scale:.4g})'
    )
    if report.frames < 2:
        yield 'a single pose has no error: poses are compared after alignment'
        return
    yield (
        f'ATE rmse {report.ate_rmse_m:.4f} m, max {report.ate_max_m:.4f} m   '
        f'RPE over {report.rpe_delta}: {_number(report.rpe_trans_m)} m, '
        f'{_number(report.rpe_rot_deg)} deg'
    )
