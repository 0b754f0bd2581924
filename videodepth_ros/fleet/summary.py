# SPDX-License-Identifier: Apache-2.0
"""A page over all bags of an output folder: counts, histograms, failures and the worst bags."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from videodepth_ros.core.options import Value
from videodepth_ros.fleet.manifest import DONE, FAILED, Entry
from videodepth_ros.fleet.options import SUMMARY, SummaryOptions
from videodepth_ros.fleet.place import Place
from videodepth_ros.results.report import template

PAGE = 'summary.html'
HISTOGRAMS = {
    'scale_drift': 'drift of the scale',
    'ate_rmse_m': 'trajectory error, ATE rmse [m]',
    'abs_rel': 'depth error, AbsRel',
    'duration_s': 'duration of the recording [s]',
    'path_length_m': 'length of the path [m]',
    'seconds': 'computing time [s]',
}
"""Figures that the page shows, and their names."""
RANKED_BY = 'ate_rmse_m', 'scale_drift', 'abs_rel', 'left_out'
"""Figures of which the first that any bag has ranks the worst bags."""


@dataclass(frozen=True)
class Bar:
    """A bin of a histogram, in SVG coordinates; ``text`` has its range and count."""

    x: float
    y: float
    width: float
    height: float
    text: str


@dataclass(frozen=True)
class Histogram:
    """A histogram in SVG coordinates."""

    name: str
    width: int
    height: int
    bars: tuple[Bar, ...]
    least: str
    greatest: str
    median: str
    most: int


def write_summary(entries: Mapping[str, Entry], folder: Place) -> str:
    """Write the page into the folder of the results; return its path."""
    page = folder / PAGE
    page.write(render_summary(entries, folder).encode())
    return str(page)


def render_summary(
    entries: Mapping[str, Entry], folder: Place, options: SummaryOptions = SUMMARY
) -> str:
    """Render the page, HTML without external files."""
    bags = sorted(entries.values(), key=lambda entry: entry.name)
    done = [entry for entry in bags if entry.status == DONE]
    ranked_by, worst = worst_bags(done, options.worst)
    series = {
        name: [value for e in done if (value := figure(e, name)) is not None]
        for name in HISTOGRAMS
    }
    return template('videodepth_ros.fleet', 'summary.html.j2').render(
        title=f'{bags[0].command if bags else "fleet"}: {len(bags)} bags',
        folder=str(folder),
        facts=_facts(bags, done),
        histograms=[
            draw_histogram(HISTOGRAMS[name], values, options)
            for name, values in series.items()
            if values
        ],
        failed=[entry for entry in bags if entry.status == FAILED],
        ranked_by=HISTOGRAMS.get(ranked_by, ranked_by),
        worst=[_card(entry, ranked_by, folder) for entry in worst],
    )


def figure(entry: Entry, name: str) -> float | None:
    """Return a figure of a bag; None if it has none."""
    return entry.seconds if name == 'seconds' else entry.figures.get(name)


def worst_bags(done: Sequence[Entry], count: int) -> tuple[str, list[Entry]]:
    """Return the figure that ranks bags, and those with its largest values, worst first."""
    names = [name for name in RANKED_BY if any(name in entry.figures for entry in done)]
    if not names:
        return 'notes', sorted(done, key=lambda entry: -len(entry.notes))[:count]
    name = names[0]
    ranked = [entry for entry in done if name in entry.figures]
    return name, sorted(ranked, key=lambda entry: -entry.figures[name])[:count]


def draw_histogram(
    name: str, values: Sequence[float], options: SummaryOptions = SUMMARY
) -> Histogram:
    """Lay out a histogram of some values."""
    counts, edges = np.histogram(values, min(options.bins, 1 + math.isqrt(len(values)) * 2))
    left, right, top, bottom = 8, options.chart_width_px - 8, 24, options.chart_height_px - 22
    width, most = (right - left) / len(counts), int(counts.max())
    bars = []
    for n, count in enumerate(counts.tolist()):
        height = (bottom - top) * count / most
        text = f'{edges[n]:.3g} to {edges[n + 1]:.3g}: {count}'
        bars.append(Bar(left + n * width, bottom - height, width - 1, height, text))
    return Histogram(
        name,
        options.chart_width_px,
        options.chart_height_px,
        tuple(bars),
        f'{edges[0]:.3g}',
        f'{edges[-1]:.3g}',
        f'{float(np.median(values)):.3g}',
        most,
    )


def _facts(bags: Sequence[Entry], done: Sequence[Entry]) -> list[tuple[str, Value]]:
    sources = sorted({entry.scale_source or 'unknown' for entry in done})
    counts = {one: sum((e.scale_source or 'unknown') == one for e in done) for one in sources}
    frames = sum(entry.figures.get('frames', 0) for entry in done)
    return [
        ('done', f'{len(done)} of {len(bags)}'),
        ('failed', sum(entry.status == FAILED for entry in bags)),
        ('frames', f'{frames:.0f}'),
        ('metres from', ', '.join(f'{one} ({count})' for one, count in counts.items())),
        ('computing time', f'{sum(entry.seconds for entry in bags) / 3600:.2f} h'),
        ('settings', ', '.join(sorted({_settings(entry) for entry in bags}))),
        ('version', ', '.join(sorted({entry.version for entry in done if entry.version}))),
    ]


def _settings(entry: Entry) -> str:
    return ' '.join(f'{name}={value}' for name, value in entry.settings.items()) or 'defaults'


def _card(entry: Entry, ranked_by: str, folder: Place) -> dict[str, str]:
    """Return what the page shows of one of the worst bags."""
    picture = b''
    if entry.preview:
        preview = folder / f'previews/{entry.name}.jpg'
        picture = preview.read() if preview.exists() else b''
    report = next((path for path in entry.outputs if path.endswith('report.html')), '')
    value = figure(entry, ranked_by)
    return {
        'name': entry.name,
        'value': f'{len(entry.notes)}' if value is None else f'{value:.4g}',
        'jpeg': base64.b64encode(picture).decode(),
        'report': report.removeprefix(str(folder)).lstrip('/'),
        'notes': '; '.join(entry.notes),
    }
