# SPDX-License-Identifier: Apache-2.0
"""One page that says what was found: figures, facts and warnings, in one file that needs no other.

Nothing in it depends on when or where it was made.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

import cv2
import numpy as np
from numpy.typing import NDArray

from videodepth_ros.pictures import ColourRange, Image, colourise, resized
from videodepth_ros.results.frame import RefinedFrame

STRIPS = 6
STRIP_WIDTH_PX = 240
CHART_PX = 640, 150

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #222; max-width: 62rem; margin: 2rem auto;
       padding: 0 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.1rem; margin-top: 2rem }
table { border-collapse: collapse } td { padding: .15rem 1rem .15rem 0; vertical-align: top }
td:first-child { color: #666; white-space: nowrap }
img { display: block; max-width: 100%; image-rendering: auto }
.strip { display: grid; grid-template-columns: repeat(auto-fill, minmax(220px, 1fr)); gap: .6rem }
figure { margin: 0 } figcaption { color: #666; font-size: .85rem }
svg text { font: 11px system-ui, sans-serif; fill: #666 }
li { margin: .2rem 0 }
"""


@dataclass
class ReportFigures:
    """What the page shows of the frames, gathered while they go by.

    known       share of pixels with depth, by frame; ``median_m`` the median of those depths
    confidence  its mean where depth is known
    """

    frames: int
    colours: ColourRange
    known: list[float] = field(default_factory=list)
    median_m: list[float] = field(default_factory=list)
    confidence: list[float] = field(default_factory=list)
    strips: list[tuple[int, Image, Image]] = field(default_factory=list)

    def add(self, frame: RefinedFrame) -> None:
        """Take the figures of the next frame."""
        shown = np.unique(np.linspace(0, self.frames - 1, STRIPS).round().astype(int))
        if len(self.known) in shown:
            height, width = frame.depth_m.shape
            size = STRIP_WIDTH_PX, max(1, round(STRIP_WIDTH_PX * height / width))
            depth_m = cv2.resize(frame.depth_m, size, interpolation=cv2.INTER_NEAREST)
            self.strips.append(
                (
                    frame.stamp_ns,
                    resized(frame.image, *size),
                    colourise(np.asarray(depth_m, np.float32), self.colours),
                )
            )
        sample = frame.depth_m[::4, ::4]
        finite = np.isfinite(sample)
        self.known.append(1 - float(np.isnan(sample).mean()))
        self.median_m.append(float(np.median(sample[finite])) if finite.any() else float('nan'))
        confidence = frame.confidence[::4, ::4][finite]
        self.confidence.append(float(confidence.mean()) if confidence.size else 0.0)


@dataclass(frozen=True)
class TrajectoryFigures:
    """What the page shows of the poses: the map from above, and the camera's height (N,)."""

    view: Image
    height: NDArray[np.float64]


def render_report(
    title: str,
    facts: Sequence[tuple[str, str]],
    notes: Sequence[str],
    stamps_ns: NDArray[np.int64],
    place: TrajectoryFigures | None,
    figures: ReportFigures,
    unit: str,
) -> str:
    """Return the page, HTML.

    facts      names and values, for a table
    notes      what the reader must know
    stamps_ns  (N,) of the frames
    place      None where there are no poses
    unit       of lengths: ``m``, or ``unit`` where nothing measured metres
    """
    seconds = (stamps_ns - stamps_ns[0]) / 1e9
    charts = [
        (f'median depth [{unit}]', figures.median_m, None),
        *([(f'height of the camera [{unit}]', place.height, None)] if place else []),
        ('share of pixels with depth', figures.known, (0.0, 1.0)),
        ('mean confidence', figures.confidence, (0.0, 1.0)),
    ]
    return '\n'.join(
        [
            '<!DOCTYPE html>',
            '<html lang="en"><head><meta charset="utf-8">',
            f'<title>{escape(title)}</title><style>{STYLE}</style></head><body>',
            f'<h1>{escape(title)}</h1>',
            _table(facts),
            *_notes(notes),
            *(['<h2>Map from above</h2>', _img(place.view)] if place else []),
            '<h2>Frames and their depth</h2>',
            f'<p>Depth from {figures.colours.near_m:.3g} (red) to {figures.colours.far_m:.3g} '
            f'{unit} (blue), grey where unknown.</p>',
            '<div class="strip">',
            *(_strip(*each, int(stamps_ns[0])) for each in figures.strips),
            '</div>',
            '<h2>Over time</h2>',
            *(
                _chart(name, seconds, np.asarray(values, float), ends)
                for name, values, ends in charts
            ),
            '</body></html>',
            '',
        ]
    )


def _table(facts: Sequence[tuple[str, str]]) -> str:
    rows = (f'<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>' for name, value in facts)
    return '<table>' + ''.join(rows) + '</table>'


def _notes(notes: Sequence[str]) -> list[str]:
    if not notes:
        return []
    return ['<h2>Notes</h2><ul>', *(f'<li>{escape(note)}</li>' for note in notes), '</ul>']


def _img(picture: Image) -> str:
    png = cv2.imencode('.png', cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes()
    return f'<img alt="" src="data:image/png;base64,{base64.b64encode(png).decode()}">'


def _strip(stamp_ns: int, image: Image, depth: Image, start_ns: int) -> str:
    pair = np.vstack([image, depth])
    return (
        f'<figure>{_img(np.asarray(pair, np.uint8))}<figcaption>'
        f'{(stamp_ns - start_ns) / 1e9:.2f} s</figcaption></figure>'
    )


def _chart(
    name: str,
    seconds: NDArray[np.float64],
    values: NDArray[np.float64],
    ends: tuple[float, float] | None,
) -> str:
    """Return a line chart as SVG; gaps where a value is not finite."""
    width, height = CHART_PX
    left, bottom, top = 48, 22, 20
    low, high = ends or _ends(values)
    x = left + (width - left - 8) * seconds / max(float(seconds[-1]), 1e-9)
    y = height - bottom - (height - bottom - top) * (values - low) / (high - low)
    lines, open_line = [], False
    for column, row in zip(x, y, strict=True):
        if np.isfinite(row):
            lines.append(f'{"L" if open_line else "M"}{column:.1f} {row:.1f}')
        open_line = bool(np.isfinite(row))
    base = height - bottom
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
        f'<text x="{left}" y="13">{escape(name)}</text>'
        f'<path d="M{left} {top}V{base}H{width - 8}" fill="none" stroke="#bbb"/>'
        f'<text x="{left - 6}" y="{top + 8}" text-anchor="end">{high:.3g}</text>'
        f'<text x="{left - 6}" y="{base}" text-anchor="end">{low:.3g}</text>'
        f'<text x="{left}" y="{height - 6}">0 s</text>'
        f'<text x="{width - 8}" y="{height - 6}" text-anchor="end">{seconds[-1]:.1f} s</text>'
        f'<path d="{"".join(lines)}" fill="none" stroke="#c60" stroke-width="1.5"/></svg>'
    )


def _ends(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the range of what is finite, with room around a flat line."""
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    room = 0.5 if high - low < 1e-3 * max(abs(high), 1e-3) else 0.0
    return low - room, high + room
