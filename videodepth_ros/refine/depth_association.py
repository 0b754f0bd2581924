# SPDX-License-Identifier: Apache-2.0
"""Association of depth images with the frames of another camera, by their stamps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from videodepth_ros.bags.stamps import Stamps
from videodepth_ros.core.arrays import IndexArray, MaskArray, StampArray
from videodepth_ros.core.errors import BagError
from videodepth_ros.refine.options import ASSOCIATION, AssociationOptions


@dataclass(frozen=True)
class DepthAssociation:
    """The depth image nearest in time to each frame.

    topic          of the depth
    offset_ns      (N,) int64, stamp of the nearest depth minus that of the frame
    max_offset_ns  offset above which a frame has no depth
    start_s        stamp of the first depth minus that of the first frame
    latency_s      recording latency of the images minus that of the depth
    options        thresholds
    """

    topic: str
    offset_ns: StampArray
    max_offset_ns: int
    start_s: float
    latency_s: float
    options: AssociationOptions = ASSOCIATION

    @property
    def has_depth(self) -> MaskArray:
        """Frames (N,) with depth."""
        return np.asarray(np.abs(self.offset_ns) <= self.max_offset_ns)

    @property
    def lacking(self) -> int:
        """Number of frames without depth."""
        return int((~self.has_depth).sum())

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on frames without depth and on clocks that differ."""
        notes = []
        if self.lacking:
            notes.append(f'{self._description}: they are left out')
        if abs(self.latency_s) > self.options.max_latency_s:
            notes.append(
                f'the stamps of {self.topic} are {abs(self.latency_s):.2f} s '
                f'{"ahead of" if self.latency_s > 0 else "behind"} those of the images, relative '
                'to the times of recording: unless it was recorded late, depth is associated '
                'with frames of another time'
            )
        return tuple(notes)

    def check(self) -> None:
        """Raise BagError if most frames have no depth."""
        if 2 * self.lacking <= len(self.offset_ns):
            return
        median_s = float(np.median(np.abs(self.offset_ns))) / 1e9
        raise BagError(
            f'{self._description}: its median distance from the frames is {median_s:.2f} s. '
            'Synchronise the clocks of both cameras, or correct the stamps; --depth-topic chooses '
            'another topic; where depth is rare, --stride takes fewer frames'
        )

    @property
    def _description(self) -> str:
        start = ''
        if abs(self.start_s) > self.max_offset_ns / 1e9:
            side = 'after' if self.start_s > 0 else 'before'
            start = f', which starts {abs(self.start_s):.2f} s {side} them'
        return (
            f'{self.lacking} of {len(self.offset_ns)} frames have no depth of {self.topic} '
            f'within {self.max_offset_ns / 1e6:.0f} ms{start}'
        )


def associate_depth(
    frames_ns: StampArray, images: Stamps, depth: Stamps, topic: str
) -> DepthAssociation:
    """Associate depth images with frames.

    frames_ns  (N,) stamps of the frames, increasing
    images     stamps of the topic of the frames; depth: of the depth topic, increasing
    topic      of the depth
    raises     BagError if there is no depth image
    """
    if not len(depth):
        raise BagError(f'{topic} has no depth image; choose another topic or prior')
    nearest_ns = depth.stamp_ns[nearest_indices(depth.stamp_ns, frames_ns)]
    return DepthAssociation(
        topic,
        nearest_ns - frames_ns,
        max_offset_ns(depth.stamp_ns),
        float(depth.stamp_ns[0] - frames_ns[0]) / 1e9,
        _latency_s(images) - _latency_s(depth),
    )


def nearest_indices(stamps_ns: StampArray, at_ns: StampArray) -> IndexArray:
    """Return the indices of the stamps (M,), increasing, that are nearest to others (N,)."""
    after = np.searchsorted(stamps_ns, at_ns).clip(1, max(1, len(stamps_ns) - 1))
    before = after - 1
    after = after.clip(0, len(stamps_ns) - 1)
    is_after = np.abs(stamps_ns[after] - at_ns) <= np.abs(at_ns - stamps_ns[before])
    return np.where(is_after, after, before)


def max_offset_ns(stamps_ns: StampArray, options: AssociationOptions = ASSOCIATION) -> int:
    """Return the maximum time from a frame to depth with these stamps (M,): half its period."""
    if len(stamps_ns) < 2:
        return options.max_offset_ns
    return min(int(np.median(np.diff(stamps_ns)) / 2), options.max_offset_ns)


def _latency_s(stamps: Stamps, options: AssociationOptions = ASSOCIATION) -> float:
    """Return the median time from stamp to recording, of the first messages."""
    latency_ns = (stamps.recorded_ns - stamps.stamp_ns)[: options.latency_samples]
    return float(np.median(latency_ns)) / 1e9 if len(latency_ns) else 0.0
