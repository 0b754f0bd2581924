# SPDX-License-Identifier: Apache-2.0
"""Pictures of an evaluation: errors over time, an error map, and trajectories from above."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from videodepth_ros.core.arrays import Float64Array, FloatArray
from videodepth_ros.evaluation.depth import DepthPair, DepthReport, error_map
from videodepth_ros.pictures import UNKNOWN_GREY, Image

WIDTH_PX, HEIGHT_PX, SQUARE_PX = 960, 220, 480
LEFT_PX, MARGIN_PX, TITLE_PX = 70, 16, 30
"""Space for the numbers of an axis, around a plot, and for its title."""
PAPER, INK, PREDICTED, TRUE = (255, 255, 255), (60, 60, 60), (200, 60, 30), (30, 110, 60)
"""Colours, RGB."""
MAX_ERROR = 0.5
"""Relative error at the upper end of the colours of an error map."""


def plot_depth(report: DepthReport, pairs: Iterable[DepthPair]) -> list[Image]:
    """Return AbsRel and scale of the frames over time, and the error map of the worst frame.

    pairs  the compared frames, iterated once
    """
    frames = report.per_frame
    time_s = (np.array([frame.stamp_ns for frame in frames]) - frames[0].stamp_ns) / 1e9
    worst = max(frames, key=lambda frame: frame.errors.abs_rel)
    abs_rel = np.array([frame.errors.abs_rel for frame in frames])
    plots = [
        plot_series(f'AbsRel of each frame (all: {report.errors.abs_rel:.3f})', time_s, abs_rel),
        plot_series(
            'least-squares scale of each frame', time_s, np.array([one.scale for one in frames])
        ),
    ]
    for pair in pairs:
        if pair.stamp_ns == worst.stamp_ns:
            error = error_map(pair, (report.scale, report.shift_per_m), report.max_depth_m)
            after_s = (worst.stamp_ns - frames[0].stamp_ns) / 1e9
            title = (
                f'relative error of the worst frame, {after_s:.2f} s: '
                f'dark 0, bright {MAX_ERROR:g} and above, grey unknown'
            )
            plots.append(_titled(title, colour_errors(error)))
    return plots


def colour_errors(error: FloatArray, greatest: float = MAX_ERROR) -> Image:
    """Return relative errors (H, W) in colour (inferno), (H, W, 3) uint8 RGB; NaN grey.

    greatest  error at the upper end of the colours
    """
    levels = np.where(np.isnan(error), 0, np.clip(error / greatest, 0, 1) * 255).astype(np.uint8)
    picture = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    picture[np.isnan(error)] = UNKNOWN_GREY
    return np.asarray(picture, np.uint8)


def plot_series(title: str, time_s: FloatArray, values: FloatArray) -> Image:
    """Return a line plot of values (N,) over time (N,), with an axis from 0."""
    picture = _paper(HEIGHT_PX)
    highest = float(np.max(values, initial=0.0, where=np.isfinite(values))) or 1.0
    last_s = max(float(time_s[-1]), 1e-9)
    left, right, top, bottom = _axes()
    _text(picture, title, (left, top - 10))
    _text(picture, f'{highest:.3g}', (8, top + 5))
    _text(picture, '0', (8, bottom))
    _text(picture, f'{time_s[-1]:.1f} s', (right - 50, bottom + 18))
    cv2.rectangle(picture, (left, top), (right, bottom), INK, 1)
    x = left + (right - left) * time_s / last_s
    y = bottom - (bottom - top) * values / highest
    _line(picture, np.stack([x, y], axis=1), PREDICTED)
    return picture


def plot_trajectory(aligned_m: Float64Array, true_m: Float64Array) -> list[Image]:
    """Return aligned and true camera centres (N, 3) along their two longest axes; none: []."""
    if not len(true_m):
        return []
    both = np.concatenate([aligned_m, true_m])
    extents = np.ptp(both, axis=0)
    axes = np.sort(np.argsort(extents)[1:])
    extent_m = max(float(extents.max()), 1e-9)
    middle_m = (both.max(axis=0) + both.min(axis=0))[axes] / 2
    picture = _paper(SQUARE_PX)
    names = ' and '.join('xyz'[axis] for axis in axes)
    _text(picture, f'trajectory along {names}, {extent_m:.3g} m wide', (LEFT_PX, 20))
    _text(picture, 'true', (WIDTH_PX - 90, 20), TRUE)
    _text(picture, 'predicted', (WIDTH_PX - 180, 20), PREDICTED)
    pixels_per_m = (SQUARE_PX - 2 * TITLE_PX - MARGIN_PX) / extent_m
    centre_px = np.array([WIDTH_PX / 2, (SQUARE_PX + TITLE_PX) / 2])
    for positions_m, colour in ((true_m, TRUE), (aligned_m, PREDICTED)):
        offsets = (positions_m[:, axes] - middle_m) * pixels_per_m * [1, -1]
        _line(picture, centre_px + offsets, colour)
    return [picture]


def stack_plots(plots: Sequence[Image]) -> Image:
    """Return the plots, (H, WIDTH_PX, 3) uint8 each, one below the other."""
    return np.vstack([*plots, _paper(MARGIN_PX)])


def _axes() -> tuple[int, int, int, int]:
    """Return left, right, top and bottom of the axes of a series."""
    return LEFT_PX, WIDTH_PX - MARGIN_PX, TITLE_PX, HEIGHT_PX - 2 * MARGIN_PX


def _titled(title: str, picture: Image) -> Image:
    """Return a picture at the width of the plots, below its title."""
    height = round(picture.shape[0] * (WIDTH_PX - LEFT_PX - MARGIN_PX) / picture.shape[1])
    sheet = _paper(TITLE_PX + height + MARGIN_PX)
    size = (WIDTH_PX - LEFT_PX - MARGIN_PX, height)
    enlarged = cv2.resize(picture, size, interpolation=cv2.INTER_NEAREST)
    sheet[TITLE_PX : TITLE_PX + height, LEFT_PX:-MARGIN_PX] = enlarged
    _text(sheet, title, (LEFT_PX, TITLE_PX - 10))
    return sheet


def _paper(height: int) -> Image:
    return np.full((height, WIDTH_PX, 3), PAPER, np.uint8)


def _text(
    picture: Image, text: str, corner: tuple[int, int], colour: tuple[int, int, int] = INK
) -> None:
    cv2.putText(picture, text, corner, cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, 1, cv2.LINE_AA)


def _line(picture: Image, pixels: FloatArray, colour: tuple[int, int, int]) -> None:
    """Draw a line through pixels (N, 2), without those that are not finite; a dot for one."""
    known = np.rint(pixels[np.isfinite(pixels).all(axis=1)]).astype(np.int32)
    if len(known) == 1:
        cv2.circle(picture, tuple(map(int, known[0])), 3, colour, -1)
    cv2.polylines(picture, [known.reshape(-1, 1, 2)], isClosed=False, color=colour, thickness=2)
