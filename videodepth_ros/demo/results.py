# SPDX-License-Identifier: Apache-2.0
"""Figures of the demo, and their page in Markdown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from videodepth_ros.demo.graph import LiveRun
from videodepth_ros.evaluation.accumulators import DepthErrors
from videodepth_ros.evaluation.depth import DepthReport

COUNTERS = ('received', 'published', 'displaced', 'rejected', 'in_flight')


@dataclass(frozen=True)
class AlignedErrors:
    """Errors of the depth under one alignment."""

    alignment: str
    errors: DepthErrors
    boundary_f1: float


@dataclass(frozen=True)
class DemoFacts:
    """All figures of the demo.

    rate_hz   depth images per second that arrived in another process, over the whole sample
    age_*_ms  from the stamp of an image to the arrival of its depth there
    counters  of the node, including the warm-up; received is the sum of the others
    """

    scene: str
    camera_rate_hz: float
    frames_played: int
    warm_up_frames: int
    camera_late_ms: float
    frames: int
    clouds: int
    rate_hz: float
    age_p50_ms: float
    age_p99_ms: float
    age_max_ms: float
    counters: dict[str, int]
    counters_add_up: bool
    resets: dict[str, int]
    model: str
    engine: str
    network_size: str
    scale_source: str
    errors: tuple[AlignedErrors, ...]
    best_constant: DepthErrors
    best_gradient: DepthErrors
    scale_drift: float
    files: tuple[str, ...]


def demo_facts(
    scene: str,
    camera_rate_hz: float,
    live: LiveRun,
    reports: Iterable[DepthReport],
    files: tuple[str, ...],
) -> DemoFacts:
    """Return the figures of one run; ``reports`` has one for each alignment."""
    reports = tuple(reports)
    status = dict(live.status)
    ages_ms = live.depth_ages_ms()
    p50, p99, maximum = (round(float(age), 2) for age in np.percentile(ages_ms, [50, 99, 100]))
    counters = {name: int(status[name]) for name in COUNTERS}
    return DemoFacts(
        scene,
        camera_rate_hz,
        live.frames,
        live.warm_up,
        round(live.late_ms, 2),
        len(ages_ms),
        len(live.points.ages_since(live.started_ns)),
        round(len(ages_ms) * camera_rate_hz / live.frames, 2),
        p50,
        p99,
        maximum,
        counters,
        counters['received'] == sum(counters.values()) - counters['received'],
        _resets(status),
        status['model'],
        f'{status["engine"]} on {status["device"]}',
        f'{status["network_width"]}x{status["network_height"]}',
        status['scale_source'],
        tuple(
            AlignedErrors(report.alignment.value, report.errors, report.boundary_f1)
            for report in reports
        ),
        reports[0].best_constant,
        reports[0].best_gradient,
        reports[0].scale_drift,
        files,
    )


def _resets(status: dict[str, Any]) -> dict[str, int]:
    return {
        name.removeprefix('resets_'): int(count)
        for name, count in status.items()
        if name.startswith('resets_') and count
    }


def to_markdown(facts: DemoFacts) -> str:
    """Return the figures as a page in Markdown."""
    lines = [
        '# videodepth: results of the demo',
        '',
        f'A camera (scene `{facts.scene}`, {facts.frames_played} images at '
        f'{facts.camera_rate_hz:g} Hz) played through the live node: `{facts.model}` at '
        f'{facts.network_size}, {facts.engine}, metres from `{facts.scale_source}`.',
        '',
        '| quantity | value |',
        '|---|---|',
        f'| depth images that arrived in another process | {facts.frames} '
        f'({facts.rate_hz:.1f} Hz) |',
        f'| clouds | {facts.clouds} |',
        f'| age on arrival, from the stamp of the image | p50 {facts.age_p50_ms:.1f} ms, '
        f'p99 {facts.age_p99_ms:.1f} ms, maximum {facts.age_max_ms:.1f} ms |',
        f'| counters of the node (with {facts.warm_up_frames} images of warm-up) | '
        + ', '.join(f'{name} {count}' for name, count in facts.counters.items())
        + (' |' if facts.counters_add_up else ' (they do NOT add up) |'),
        f'| resets | {_listed(facts.resets)} |',
        f'| scale drift | {facts.scale_drift:.4f} |',
        '',
        '| depth against ground truth | AbsRel | RMSE [m] | d < 1.25 | boundary F1 |',
        '|---|---|---|---|---|',
        *(
            _row(f'as published, alignment {row.alignment}', row.errors, f'{row.boundary_f1:.3f}')
            for row in facts.errors
        ),
        _row('best constant depth, fitted to the ground truth', facts.best_constant),
        _row('best vertical gradient, fitted to the ground truth', facts.best_gradient),
        '',
        'Files: ' + ', '.join(f'`{name}`' for name in facts.files) + '. '
        'The bag is mcap: it opens in Foxglove and plays with `ros2 bag play`.',
        '',
    ]
    return '\n'.join(lines)


def _row(name: str, errors: DepthErrors, boundary_f1: str = '') -> str:
    return (
        f'| {name} | {errors.abs_rel:.3f} | {errors.rmse_m:.3f} | {errors.delta_1_25:.3f} | '
        f'{boundary_f1} |'
    )


def _listed(counts: dict[str, int]) -> str:
    return ', '.join(f'{name} {count}' for name, count in counts.items()) or 'none'
