# SPDX-License-Identifier: Apache-2.0
"""The report: one HTML page with facts, notes, images and charts, without external files.

The same results and settings give the same page: it has no date and no times of computation.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

import cv2
import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from videodepth_ros.core.arrays import (
    Float32Array,
    Float64Array,
    FloatArray,
    StampArray,
    UInt8Array,
)
from videodepth_ros.evaluation.plot import colour_errors
from videodepth_ros.evaluation.true_depth import TrueDepth, median_scale, relative_error
from videodepth_ros.pictures import ColourRange, colourise, resized
from videodepth_ros.results.frame import RefinedFrame
from videodepth_ros.results.map_page import MapScene, scene_values
from videodepth_ros.results.occupancy import OccupancyGrid
from videodepth_ros.results.options import REPORT, ReportOptions


@dataclass(frozen=True)
class FrameStrip:
    """A frame that the report shows: image, depth before stereo if there is one, and depth.

    depth_m, truth_m  (h, w) float32, at the size of the picture's parts; truth None: not recorded
    """

    stamp_ns: int
    picture: UInt8Array
    depth_m: Float32Array
    truth_m: Float32Array | None


@dataclass
class ReportFigures:
    """Statistics and images of the frames, collected while they are written.

    frames      number of frames
    colours     depths at the ends of the colours
    known       share of pixels with depth, by frame; ``median_m`` the median of those depths
    confidence  its mean over pixels with finite depth
    has_prior   whether the strips show depth before stereo too
    truth       true depth of the recording, for error maps; None: not looked for
    """

    frames: int
    colours: ColourRange
    truth: TrueDepth | None = None
    options: ReportOptions = REPORT
    known: list[float] = field(default_factory=list)
    median_m: list[float] = field(default_factory=list)
    confidence: list[float] = field(default_factory=list)
    strips: list[FrameStrip] = field(default_factory=list)
    has_prior: bool = False

    def add(self, frame: RefinedFrame) -> None:
        """Add the next frame."""
        self.has_prior = frame.prior_m is not None
        count, stride = self.options.frames, self.options.pixel_stride
        shown = np.unique(np.linspace(0, self.frames - 1, count).round().astype(int))
        if len(self.known) in shown:
            self.strips.append(self._strip(frame))
        sample = frame.depth_m[::stride, ::stride]
        finite = np.isfinite(sample)
        self.known.append(1 - float(np.isnan(sample).mean()))
        self.median_m.append(float(np.median(sample[finite])) if finite.any() else float('nan'))
        confidence = frame.confidence[::stride, ::stride][finite]
        self.confidence.append(float(confidence.mean()) if confidence.size else 0.0)

    def _strip(self, frame: RefinedFrame) -> FrameStrip:
        height, width = frame.depth_m.shape
        width_px = self.options.image_width_px
        size = width_px, max(1, round(width_px * height / width))
        depth_m = _nearest(frame.depth_m, size)
        priors = [] if frame.prior_m is None else [_nearest(frame.prior_m, size)]
        coloured = [colourise(one, self.colours) for one in (*priors, depth_m)]
        truth_m = self.truth.at(frame.frame_id, frame.stamp_ns) if self.truth else None
        return FrameStrip(
            frame.stamp_ns,
            np.vstack([resized(frame.image, *size), *coloured]),
            depth_m,
            None if truth_m is None else _nearest(truth_m, size),
        )

    def errors(self) -> FrameErrors | None:
        """Return the errors of the frames that are shown; None where none has true depth."""
        known = [strip for strip in self.strips if strip.truth_m is not None]
        truths = [strip.truth_m for strip in known if strip.truth_m is not None]
        if not known:
            return None
        scale = median_scale([strip.depth_m for strip in known], truths)
        maps = {
            strip.stamp_ns: relative_error(scale * strip.depth_m, truth)
            for strip, truth in zip(known, truths, strict=True)
        }
        values = np.concatenate([one[np.isfinite(one)] for one in maps.values()])
        return FrameErrors(scale, float(values.mean()) if values.size else 0.0, maps)


def _nearest(depth_m: Float32Array, size: tuple[int, int]) -> Float32Array:
    """Return depth at another size, width and height; no depth is invented at edges."""
    return np.asarray(cv2.resize(depth_m, size, interpolation=cv2.INTER_NEAREST), np.float32)


@dataclass(frozen=True)
class FrameErrors:
    """Relative errors of the frames that the report shows, after one alignment of scale.

    scale    truth / depth, the median over all of them
    abs_rel  mean error
    maps     of each stamp [ns], (h, w)
    """

    scale: float
    abs_rel: float
    maps: dict[int, FloatArray]


@dataclass(frozen=True)
class TrajectoryFigures:
    """Figures of the poses and of the map.

    top_down  the map from above; grid_m the distance of its grid lines
    height    of the camera, (N,)
    views     pictures of the map from the side
    scene     the map in 3D; None: it is empty
    grid      2D grid of ground and obstacles; None: not written
    """

    top_down: UInt8Array
    height: Float64Array
    grid_m: float
    views: Sequence[UInt8Array] = ()
    scene: MapScene | None = None
    grid: OccupancyGrid | None = None


@dataclass(frozen=True)
class Chart:
    """A line chart in SVG coordinates; ``line`` has gaps where a value is not finite."""

    name: str
    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int
    least: str
    greatest: str
    duration: str
    line: str


def render_report(
    title: str,
    facts: Sequence[tuple[str, str]],
    notes: Sequence[str],
    stamps_ns: StampArray,
    trajectory: TrajectoryFigures | None,
    figures: ReportFigures,
    unit: str,
) -> str:
    """Render the page, HTML.

    facts       names and values, for a table
    notes       warnings on the results
    stamps_ns   (N,) of the frames
    trajectory  None: no poses
    unit        of lengths: ``m``, or ``unit`` where the scale is arbitrary
    """
    seconds = (stamps_ns - stamps_ns[0]) / 1e9
    charts = [draw_chart(f'median depth [{unit}]', seconds, np.array(figures.median_m))]
    if trajectory:
        name = f'height of the camera [{unit}]'
        charts.append(draw_chart(name, seconds, trajectory.height))
    for name, shares in (
        ('share of pixels with depth', figures.known),
        ('mean confidence', figures.confidence),
    ):
        charts.append(draw_chart(name, seconds, np.array(shares), (0.0, 1.0)))
    return template('videodepth_ros.results', 'report.html.j2').render(
        title=title,
        facts=facts,
        notes=notes,
        top_down_png=_png(trajectory.top_down) if trajectory else '',
        grid=f'{trajectory.grid_m:g}' if trajectory else '',
        occupancy=_occupancy(trajectory.grid) if trajectory and trajectory.grid else None,
        scene=scene_values(trajectory.scene) if trajectory and trajectory.scene else None,
        view_pngs=[_png(view) for view in trajectory.views] if trajectory else [],
        near=f'{figures.colours.near_m:.3g}',
        far=f'{figures.colours.far_m:.3g}',
        unit=unit,
        has_prior=figures.has_prior,
        errors=_errors(errors := figures.errors(), figures.options),
        strips=[_strip(strip, int(stamps_ns[0]), errors) for strip in figures.strips],
        charts=charts,
    )


def _strip(strip: FrameStrip, start_ns: int, errors: FrameErrors | None) -> dict[str, str]:
    """Return the picture of a frame with its error map, and its time after the first one."""
    picture, error = strip.picture, errors.maps.get(strip.stamp_ns) if errors else None
    if error is not None:
        picture = np.vstack([picture, colour_errors(error, REPORT.max_error)])
    return {'png': _png(picture), 'time': f'{(strip.stamp_ns - start_ns) / 1e9:.2f}'}


def _errors(errors: FrameErrors | None, options: ReportOptions) -> dict[str, str] | None:
    """Return the numbers of the sentence on the errors."""
    if errors is None:
        return None
    names = {'abs_rel': errors.abs_rel, 'scale': errors.scale, 'greatest': options.max_error}
    return {name: f'{value:.3g}' for name, value in names.items()}


def _occupancy(grid: OccupancyGrid) -> dict[str, str]:
    """Return the picture of a grid, each cell some pixels, and the side of a cell."""
    grey = grid.picture()
    enlarged = grey.repeat(factor := max(1, 480 // max(grey.shape)), axis=0).repeat(factor, axis=1)
    picture = np.asarray(cv2.cvtColor(enlarged, cv2.COLOR_GRAY2RGB), np.uint8)
    return {'png': _png(picture), 'cell': f'{grid.resolution_m:g}'}


def draw_chart(
    name: str,
    seconds: Float64Array,
    values: Float64Array,
    limits: tuple[float, float] | None = None,
    options: ReportOptions = REPORT,
) -> Chart:
    """Lay out a line chart of values (N,) over time (N,).

    limits  of the vertical axis; None: those of the values
    """
    width, height = options.chart_width_px, options.chart_height_px
    left, right, top, bottom = 48, width - 8, 20, height - 22
    low, high = limits or _limits(values)
    x = left + (right - left) * seconds / max(float(seconds[-1]), 1e-9)
    y = bottom - (bottom - top) * (values - low) / (high - low)
    parts, is_open = [], False
    for column, row in zip(x, y, strict=True):
        if np.isfinite(row):
            parts.append(f'{"L" if is_open else "M"}{column:.1f} {row:.1f}')
        is_open = bool(np.isfinite(row))
    return Chart(
        name,
        width,
        height,
        left,
        right,
        top,
        bottom,
        f'{low:.3g}',
        f'{high:.3g}',
        f'{seconds[-1]:.1f}',
        ''.join(parts),
    )


def _limits(values: Float64Array) -> tuple[float, float]:
    """Return the range of the finite values, widened where they are constant."""
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    margin = 0.5 if high - low < 1e-3 * max(abs(high), 1e-3) else 0.0
    return low - margin, high + margin


def _png(picture: UInt8Array) -> str:
    """Return a picture (H, W, 3) RGB as base64 of a PNG file."""
    png = cv2.imencode('.png', cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes()
    return base64.b64encode(png).decode()


@cache
def template(package: str, name: str) -> Template:
    """Return a template of a package."""
    environment = Environment(
        loader=PackageLoader(package, ''),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    return environment.get_template(name)
