# SPDX-License-Identifier: Apache-2.0
"""A teacher without a larger network: the depth that `refine` finds in a recording.

Its multi-view stereo sees parallax, which a single image does not show; where it is blind, nothing
is taught.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.bags.reader import open_bag
from videodepth_ros.frames import Frame, ScaleSource
from videodepth_ros.messages.image import decode_depth, decode_share
from videodepth_ros.messages.transforms import stamp_ns
from videodepth_ros.models.prior import MonoEstimate, PriorKind
from videodepth_ros.refine.job import refine_bag
from videodepth_ros.results.depth_topics import CONFIDENCE, DEPTH

TEACHER = 'refine'


@dataclass(frozen=True)
class RefinedTeacherOptions:
    """Choice of the pixels that teach."""

    min_confidence: float = 0.9  # [0, 1], 1 - expected relative error of refined depth


DEFAULTS = RefinedTeacherOptions()


class RefinedTeacher:
    """Refined depth of a recording as a metric prior; NaN where it is not sure enough."""

    name = TEACHER
    notice: str | None = None

    def __init__(
        self, recording: Path, folder: Path, options: RefinedTeacherOptions = DEFAULTS
    ) -> None:
        """Refine a recording; a refinement that was interrupted continues.

        folder  to write the refined recording to
        raises  see `refine_bag`
        """
        refine_bag(recording, folder, log=print)
        self._reader, self._options = open_bag(folder), options

    def estimate(self, frames: Iterable[Frame]) -> Iterator[MonoEstimate]:
        """Yield the refined depth of each frame; all NaN for a frame that was left out.

        frames  of the recording, in the order of their stamps
        """
        maps = self._depth_maps()
        stamp, depth_m = next(maps)
        for frame in frames:
            while stamp < frame.stamp_ns:
                stamp, depth_m = next(maps, (frame.stamp_ns, np.full_like(depth_m, np.nan)))
            values = depth_m if stamp == frame.stamp_ns else np.full_like(depth_m, np.nan)
            yield MonoEstimate(values, PriorKind.METRIC, scale_source=ScaleSource.MODEL)

    def close(self) -> None:
        """Close the refined recording."""
        self._reader.close()

    def _depth_maps(self) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Yield stamp and depth (H, W) of each frame."""
        depth, confidence = (self._reader.messages([f'/{topic}']) for topic in (DEPTH, CONFIDENCE))
        for (_, _, image), (_, _, share) in zip(depth, confidence, strict=True):
            depth_m = decode_depth(image).copy()
            depth_m[decode_share(share) < self._options.min_confidence] = np.nan
            yield stamp_ns(image.header.stamp), depth_m
