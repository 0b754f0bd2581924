# SPDX-License-Identifier: Apache-2.0
"""A page over all bags of an output folder: counts, histograms, failures and the worst bags."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from videodepth_ros.core.arrays import Float64Array
from videodepth_ros.core.options import Value
from videodepth_ros.core.words import counted, duration_text
from videodepth_ros.fleet.manifest import DONE, FAILED, Entry
from videodepth_ros.fleet.options import SUMMARY, SummaryOptions
from videodepth_ros.fleet.place import Place
from videodepth_ros.results.report import template

PAGE = 'summary.html'


@dataclass(frozen=True)
class Shown:
    """Name and unit of a figure on the page, where a value of 1 is ``per_unit``."""

    name: str
    unit: str = ''
    per_unit: float = 1.0

    def text(self, value: float) -> str:
        """Return a value with its unit."""
        return f'{value * self.per_unit:.3g} {self.unit}'.rstrip()


HISTOGRAMS = {
    'ate_rmse_m': Shown('trajectory error, ATE rmse', 'm'),
    'scale_drift': Shown('drift of the scale', '%', 100.0),
    'abs_rel': Shown('depth error, AbsRel'),
    'duration_s': Shown('duration of the recording', 's'),
    'path_length_m': Shown('length of the path', 'm'),
    'seconds': Shown('computing time', 's'),
}
"""Figures that the page shows."""
FIGURES = {**HISTOGRAMS, 'left_out': Shown('frames left out'), 'notes': Shown('number of notes')}
RANKED_BY = 'ate_rmse_m', 'scale_drift', 'abs_rel', 'left_out'
"""Figures of which the first that any bag has ranks the worst bags."""


@dataclass(frozen=True)
class Bar:
    """A bin of a histogram, in SVG coordinates; ``text`` has its range and count."""

    x: float
    y: float
    width: float
    height: float
    count: int
    text: str


@dataclass(frozen=True)
class Tick:
    """A mark on the axis of a histogram, in SVG coordinates."""

    x: float
    text: str


@dataclass(frozen=True)
class Histogram:
    """A histogram in SVG coordinates; ``median_x`` is that of the median."""

    name: str
    width: int
    height: int
    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]
    median: str
    median_x: float


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
        title=f'{bags[0].command if bags else "fleet"}: {counted(len(bags), "bag")}',
        folder=str(folder),
        facts=_facts(bags, done),
        histograms=[
            draw_histogram(HISTOGRAMS[name], values, options)
            for name, values in series.items()
            if values
        ],
        failed=[entry for entry in bags if entry.status == FAILED],
        ranked_by=FIGURES[ranked_by].name,
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


def bin_edges(values: Sequence[float], most: int) -> Float64Array:
    """Return the edges of equal bins from 0, or below, to at least the greatest value.

    Their width is 1, 2 or 5 times a power of ten.
    """
    least, greatest = min(0.0, *values), max(0.0, *values)
    needed = (greatest - least) / most or 1.0
    power = 10.0 ** math.floor(math.log10(needed))
    width = power * next(digit for digit in (1, 2, 5, 10) if digit * power >= needed)
    first, last = math.floor(least / width), max(1, math.ceil(greatest / width))
    return np.arange(first, last + 1, dtype=np.float64) * width


def draw_histogram(
    shown: Shown, values: Sequence[float], options: SummaryOptions = SUMMARY
) -> Histogram:
    """Lay out a histogram of some values."""
    scaled = [value * shown.per_unit for value in values]
    edges = bin_edges(scaled, min(options.bins, 4 + 2 * math.isqrt(len(values))))
    counts, _ = np.histogram(np.clip(scaled, edges[0], edges[-1]), edges)
    left, right, top, bottom = 12, options.chart_width_px - 20, 44, options.chart_height_px - 22
    per_unit = (right - left) / (edges[-1] - edges[0])
    places = (left + (edges - edges[0]) * per_unit).tolist()
    bars = []
    for n, count in enumerate(counts.tolist()):
        height = (bottom - top) * count / int(counts.max())
        text = f'{edges[n]:.3g} to {edges[n + 1]:.3g} {shown.unit}: {count}'
        width = places[n + 1] - places[n]
        bars.append(Bar(places[n] + 1, bottom - height, width - 2, height, count, text))
    step = math.ceil(len(edges) / options.ticks)
    median = float(np.median(values))
    return Histogram(
        shown.name + (f' [{shown.unit}]' if shown.unit else ''),
        options.chart_width_px,
        options.chart_height_px,
        tuple(bars),
        tuple(Tick(places[n], f'{edges[n]:.4g}') for n in range(0, len(edges), step)),
        shown.text(median),
        left + (median * shown.per_unit - edges[0]) * per_unit,
    )


def _facts(bags: Sequence[Entry], done: Sequence[Entry]) -> list[tuple[str, Value]]:
    sources = sorted({entry.scale_source or 'unknown' for entry in done})
    counts = {one: sum((e.scale_source or 'unknown') == one for e in done) for one in sources}
    frames, recorded_s = (
        sum(entry.figures.get(name, 0) for entry in done) for name in ('frames', 'duration_s')
    )
    return [
        ('done', f'{len(done)} of {len(bags)}'),
        ('failed', sum(entry.status == FAILED for entry in bags)),
        ('frames', f'{frames:.0f}' + (f' in {duration_text(recorded_s)}' if recorded_s else '')),
        ('metres from', ', '.join(f'{one} ({count})' for one, count in counts.items())),
        ('computing time', duration_text(sum(entry.seconds for entry in bags))),
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
        'value': FIGURES[ranked_by].text(len(entry.notes) if value is None else value),
        'jpeg': base64.b64encode(picture).decode(),
        'report': report.removeprefix(str(folder)).lstrip('/'),
        'notes': '; '.join(entry.notes),
    }
