# SPDX-License-Identifier: Apache-2.0
"""Results of a job without poses: recording, preview video and report."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from videodepth_ros.core.arrays import StampArray
from videodepth_ros.core.errors import InputError
from videodepth_ros.evaluation.true_depth import TrueDepth
from videodepth_ros.results.atomic_folder import atomic_folder
from videodepth_ros.results.bag import DepthBagWriter, SourceRecording
from videodepth_ros.results.frame import RefinedFrame
from videodepth_ros.results.preview import PreviewWriter
from videodepth_ros.results.report import ReportFigures, render_report
from videodepth_ros.results.write import (
    PREVIEW_FILE,
    REPORT_FILE,
    ResultOptions,
    colour_range_of,
    format_camera,
)


@dataclass(frozen=True)
class DepthFacts:
    """The files that were written, and notes on them."""

    outputs: tuple[str, ...]
    notes: tuple[str, ...]


def write_depth_results(
    frames: Iterable[RefinedFrame],
    stamps_ns: StampArray,
    source: SourceRecording,
    folder: Path,
    options: ResultOptions,
) -> DepthFacts:
    """Write recording, video and report into a new folder; the frames' poses are not used.

    frames     iterated once
    stamps_ns  (N,) int64 of the frames
    raises     as `write_results`
    """
    rest = iter(frames)
    first = next(rest, None)
    if first is None:
        raise InputError('there is no frame to write; all of them were left out')
    colours = options.colours or colour_range_of(first)
    figures = ReportFigures(len(stamps_ns), colours, TrueDepth(source.bag))
    with atomic_folder(folder) as part:
        with (
            DepthBagWriter(part, source, options.contents) as bag,
            PreviewWriter(part / PREVIEW_FILE, stamps_ns, None, figures.colours) as preview,
        ):
            for frame in chain([first], rest):
                bag.copy_source_until(frame)
                bag.add(frame)
                preview.add(frame)
                figures.add(frame)
            bag.finish()
        notes = (*options.all_notes, *bag.notes)
        title, rows = f'{source.bag.path.name} refined', _rows(stamps_ns, source, first, options)
        page = render_report(title, rows, notes, stamps_ns, None, figures, options.unit)
        (part / REPORT_FILE).write_text(page, encoding='utf-8')
    return DepthFacts((str(folder), str(folder / PREVIEW_FILE), str(folder / REPORT_FILE)), notes)


def _rows(
    stamps_ns: StampArray, source: SourceRecording, first: RefinedFrame, options: ResultOptions
) -> list[tuple[str, str]]:
    return [
        ('frames', f'{len(stamps_ns)} in {float(np.ptp(stamps_ns)) / 1e9:.2f} s'),
        ('scale from', options.scale_source),
        ('image topic', source.image_topic),
        ('camera', format_camera(first.camera)),
        ('depth', options.contents.topics.depth_encoding.value),
        *options.facts,
    ]
