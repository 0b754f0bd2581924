# SPDX-License-Identifier: Apache-2.0
"""What a job leaves that was asked for depth and not for poses: recording, video and page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.core.errors import InputError
from videodepth_ros.results.bag import DepthBagWriter, SourceRecording
from videodepth_ros.results.frame import RefinedFrame
from videodepth_ros.results.preview import PreviewVideo
from videodepth_ros.results.report import ReportFigures, render_report
from videodepth_ros.results.write import (
    PREVIEW,
    REPORT,
    ResultOptions,
    atomic_folder,
    colour_range_of,
    format_camera,
)


@dataclass(frozen=True)
class DepthFacts:
    """What was written: files, and what should be known of them, in words."""

    outputs: tuple[str, ...]
    notes: tuple[str, ...]


def write_depth_results(
    frames: Iterable[RefinedFrame],
    stamps_ns: NDArray[np.int64],
    source: SourceRecording,
    folder: Path,
    settings: ResultOptions,
) -> DepthFacts:
    """Write recording, video and page into a new folder; the frames' poses are not used.

    frames     gone through once
    stamps_ns  (N,) int64 of the frames
    raises     as `write_results`
    """
    rest = iter(frames)
    first = next(rest, None)
    if first is None:
        raise InputError('there is no frame to write; were all of them left out?')
    figures = ReportFigures(len(stamps_ns), settings.colours or colour_range_of(first))
    with atomic_folder(folder) as growing:
        with (
            DepthBagWriter(growing, source, settings.depth, settings.copied) as bag,
            PreviewVideo(growing / PREVIEW, stamps_ns, None, figures.colours) as preview,
        ):
            for frame in chain([first], rest):
                bag.carry(frame)
                bag.add(frame)
                preview.add(frame)
                figures.add(frame)
            bag.finish()
        notes = (*settings.all_notes, *bag.notes)
        rows = [
            ('frames', f'{len(stamps_ns)} in {float(np.ptp(stamps_ns)) / 1e9:.2f} s'),
            ('scale from', settings.scale_source),
            ('image topic', source.image_topic),
            ('camera', format_camera(first.camera)),
            ('depth', settings.depth.value),
            *settings.facts,
        ]
        (growing / REPORT).write_text(
            render_report(
                f'{source.bag.path.name} refined',
                rows,
                notes,
                stamps_ns,
                None,
                figures,
                settings.unit,
            ),
            encoding='utf-8',
        )
    return DepthFacts((str(folder), str(folder / PREVIEW), str(folder / REPORT)), notes)
