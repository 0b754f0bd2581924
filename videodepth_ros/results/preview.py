# SPDX-License-Identifier: Apache-2.0
"""A video to look at: what the camera saw, its depth, and the map from above as it grows."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import cv2
import numpy as np
from numpy.typing import NDArray

from videodepth_ros.pictures import (
    ColourRange,
    Image,
    VideoWriter,
    colourise,
    resized,
    side_by_side,
)
from videodepth_ros.results.frame import RefinedFrame
from videodepth_ros.results.top_view import TopDownMap

PANEL_PX = 180
"""Shorter side of a panel, which its caption has room on; a high one is twice as high at most."""

MOST_FRAMES = 240
SLOWEST_HZ, FASTEST_HZ = 2.0, 10.0


class PreviewVideo:
    """The video while it is written, to be used in a ``with`` statement.

    Of a fast or a long recording every so many-th frame is shown, for the encoder is the slowest
    part of all that is written: 60 ms a picture.
    """

    def __init__(
        self,
        path: Path,
        stamps_ns: NDArray[np.int64],
        view: TopDownMap | None,
        colours: ColourRange,
    ) -> None:
        """Choose frames and rate.

        stamps_ns  (N,) of all frames
        view       filled with each frame by the caller, before the frame is added here; None
                   where there are no poses
        colours    of the depth, the same for all frames
        """
        count = len(stamps_ns)
        steps_s = np.diff(stamps_ns) / 1e9
        rate_hz = 1 / max(float(np.median(steps_s)) if count > 1 else 1.0, 1e-3)
        self._every = max(-(-count // MOST_FRAMES), round(rate_hz / FASTEST_HZ), 1)
        self._video = VideoWriter(path, max(rate_hz / self._every, SLOWEST_HZ))
        self._view, self._colours, self._frames = view, colours, 0
        self._start_ns = int(stamps_ns[0])

    def __enter__(self) -> PreviewVideo:
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
        """Show a frame, if it is its turn.

        raises  BagError if this OpenCV cannot write videos
        """
        if self._frames % self._every == 0:
            self._video.add(self._picture(frame))
        self._frames += 1

    def _picture(self, frame: RefinedFrame) -> Image:
        height, width = frame.depth_m.shape
        height_px = 2 * round(PANEL_PX * min(max(1.0, height / width), 2.0) / 2)
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
        if self._view is not None:
            above = self._view.picture(self._frames + 1, frame.T_map_cam)
            panels.append(
                (f'map, grid {self._view.grid_m:g}', resized(above, height_px, height_px))
            )
        return side_by_side(panels)
