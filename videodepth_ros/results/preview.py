# SPDX-License-Identifier: Apache-2.0
"""The preview video: image, depth, and the top-down map up to each frame."""

from __future__ import annotations

from math import ceil
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from videodepth_ros.core.arrays import StampArray
from videodepth_ros.pictures import (
    ColourRange,
    Image,
    VideoWriter,
    colourise,
    resized,
    side_by_side,
)
from videodepth_ros.results.frame import RefinedFrame
from videodepth_ros.results.options import PREVIEW, PreviewOptions
from videodepth_ros.results.top_view import TopDownMap

RATE_TOLERANCE = 0.05
"""Excess of a frame rate over a multiple of the greatest one that stamps of cameras may have."""


class PreviewWriter:
    """A writer of the video, for a ``with`` statement.

    Fast or long recordings are subsampled: the encoder is the slowest part of writing.
    """

    def __init__(
        self,
        path: Path,
        stamps_ns: StampArray,
        top_down: TopDownMap | None,
        colours: ColourRange,
        options: PreviewOptions = PREVIEW,
    ) -> None:
        """Choose the subsampling and the frame rate.

        stamps_ns  (N,) of all frames
        top_down   updated by the caller before a frame is added here; None: no poses
        colours    of the depth, the same for all frames
        """
        count = len(stamps_ns)
        steps_s = np.diff(stamps_ns) / 1e9
        rate_hz = 1 / max(float(np.median(steps_s)) if count > 1 else 1.0, 1e-3)
        by_rate = ceil(rate_hz / options.max_rate_hz - RATE_TOLERANCE)
        self._every = max(-(-count // options.max_frames), by_rate, 1)
        self._video = VideoWriter(path, max(rate_hz / self._every, options.min_rate_hz))
        self._top_down, self._colours, self._options = top_down, colours, options
        self._frames = 0
        self._start_ns = int(stamps_ns[0])

    def __enter__(self) -> PreviewWriter:
        self._video.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._video.__exit__(kind, error, trace)

    def add(self, frame: RefinedFrame) -> None:
        """Add a frame, unless the subsampling skips it.

        raises  BagError if this build of OpenCV cannot write videos
        """
        if self._frames % self._every == 0:
            self._video.add(self._picture(frame))
        self._frames += 1

    def _picture(self, frame: RefinedFrame) -> Image:
        height, width = frame.depth_m.shape
        options = self._options
        aspect = min(max(1.0, height / width), options.max_aspect)
        height_px = 2 * round(options.panel_px * aspect / 2)
        width_px = 2 * max(1, round(height_px * width / height / 2))
        depth_m = cv2.resize(frame.depth_m, (width_px, height_px), interpolation=cv2.INTER_NEAREST)
        panels = [
            (
                f'{(frame.stamp_ns - self._start_ns) / 1e9:.2f} s',
                resized(frame.image, width_px, height_px),
            ),
            (
                f'depth {self._colours.near_m:.2g} to {self._colours.far_m:.2g}',
                colourise(np.asarray(depth_m, np.float32), self._colours),
            ),
        ]
        if self._top_down is not None:
            top_down = self._top_down.picture(self._frames + 1, frame.T_map_cam)
            panels.append(
                (f'map, grid {self._top_down.grid_m:g}', resized(top_down, height_px, height_px))
            )
        return side_by_side(panels)
