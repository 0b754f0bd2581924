# SPDX-License-Identifier: Apache-2.0
"""Depth of the frames of a bag by one session, written to another bag."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from videodepth_ros.core.errors import InputError
from videodepth_ros.frames import Frame
from videodepth_ros.results.depth_topics import DepthImages, DepthTopics
from videodepth_ros.stream.session import DepthSession

MAX_REASONS = 10  # distinct reasons of rejection that are reported


@dataclass
class Tally:
    """Counts of the frames so far.

    rejections  distinct reasons of rejected frames, at most MAX_REASONS
    busy_s      from the first depth map to the last, including reading and writing
    """

    frames: int = 0
    rejected: int = 0
    rejections: list[str] = field(default_factory=list)
    resets: Counter[str] = field(default_factory=Counter)
    topics: Counter[str] = field(default_factory=Counter)
    scale_source: str | None = None
    busy_s: float = 0.0

    @property
    def rate_hz(self) -> float | None:
        """Frames per second after the first; None for fewer than two."""
        return (self.frames - 1) / self.busy_s if self.frames > 1 else None

    def reject(self, error: InputError) -> None:
        """Count a rejected frame."""
        self.rejected += 1
        if len(self.rejections) < MAX_REASONS and str(error) not in self.rejections:
            self.rejections.append(str(error))


def stream(frames: Iterable[Frame], session: DepthSession, topics: DepthTopics) -> Tally:
    """Compute the depth of each frame and write it with the header of the frame.

    Raise DeviceError, ModelError or BagError; a frame with an InputError is counted and skipped.
    """
    tally, started_s = Tally(), None
    for frame in frames:
        try:
            result = session.step(frame, with_confidence=topics.needs_confidence)
        except InputError as error:
            tally.reject(error)
            continue
        started_s = started_s or time.monotonic()
        if result.reset:
            tally.resets[result.reset.value] += 1
        tally.frames += 1
        depth = result.depth
        tally.scale_source = depth.scale_source.value
        header = depth.stamp_ns, depth.frame_id
        tally.topics.update(
            topics.write(
                DepthImages(*header, depth.depth_m, depth.confidence, depth.camera, frame.image)
            )
        )
        tally.busy_s = time.monotonic() - started_s
    return tally
