# SPDX-License-Identifier: Apache-2.0
"""Which depth image of a recording belongs to which frame of another camera: by their stamps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.bags.stamps import Stamps
from videodepth_ros.core.errors import BagError

Stamps64 = NDArray[np.int64]

LONGEST_OFFSET_NS = 50_000_000
"""A camera that turns by a radian a second sees something else after more."""

LONGEST_LATENCY_S = 0.5
"""Messages that are stamped together are recorded so close to each other."""

LATENCIES = 100


@dataclass(frozen=True)
class DepthAssociation:
    """How the stamps of depth images fit to those of the frames.

    offset_ns   (N,) int64, from each frame to the depth nearest in time
    within_ns   more is too far: half a period of the depth, and no more than LONGEST_OFFSET_NS
    begins_s    of the first depth image, after the first frame
    late_s      by how much stamps of depth are ahead of those of images, going by the times of
                recording
    """

    topic: str
    offset_ns: Stamps64
    within_ns: int
    begins_s: float
    late_s: float

    @property
    def has_depth(self) -> NDArray[np.bool_]:
        """Which frames (N,) have depth of their own."""
        return np.asarray(np.abs(self.offset_ns) <= self.within_ns)

    @property
    def lacking(self) -> int:
        """Frames without it."""
        return int((~self.has_depth).sum())

    @property
    def notes(self) -> tuple[str, ...]:
        """What the operator should know."""
        notes = []
        if self.lacking:
            notes.append(f'{self._lack}: they are left out')
        if abs(self.late_s) > LONGEST_LATENCY_S:
            notes.append(
                f'the stamps of {self.topic} are {abs(self.late_s):.2f} s '
                f'{"ahead of" if self.late_s > 0 else "behind"} those of the images, '
                'going by when both were recorded: unless it came late, the depth is '
                'taken for that of another moment'
            )
        return tuple(notes)

    def check(self) -> None:
        """Raise BagError where most frames have no depth of their own."""
        if 2 * self.lacking <= len(self.offset_ns):
            return
        away_s = float(np.median(np.abs(self.offset_ns))) / 1e9
        raise BagError(
            f'{self._lack}: it is {away_s:.2f} s away from the frames in the median. Give both '
            'cameras one clock, or correct the stamps; --depth-topic names another topic; where '
            'depth is rare, --stride takes fewer frames'
        )

    @property
    def _lack(self) -> str:
        when = 'after' if self.begins_s > 0 else 'before'
        begins = (
            ''
            if abs(self.begins_s) <= self.within_ns / 1e9
            else (f', which begins {abs(self.begins_s):.2f} s {when} them')
        )
        return (
            f'{self.lacking} of {len(self.offset_ns)} frames have no depth of {self.topic} '
            f'within {self.within_ns / 1e6:.0f} ms{begins}'
        )


def associate_depth(
    frames_ns: Stamps64, images: Stamps, depth: Stamps, topic: str
) -> DepthAssociation:
    """Match depth images to frames.

    frames_ns      (N,) stamps of the frames, growing
    images, depth  stamps of both topics; those of ``depth`` grow
    topic          of the depth
    raises         BagError where there is no depth image
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


def nearest_indices(stamps_ns: Stamps64, at_ns: Stamps64) -> NDArray[np.intp]:
    """Return the places of the stamps (M,), growing, that are nearest to others (N,)."""
    after = np.searchsorted(stamps_ns, at_ns).clip(1, max(1, len(stamps_ns) - 1))
    before = after - 1
    after = after.clip(0, len(stamps_ns) - 1)
    is_after = np.abs(stamps_ns[after] - at_ns) <= np.abs(at_ns - stamps_ns[before])
    return np.where(is_after, after, before)


def max_offset_ns(stamps_ns: Stamps64) -> int:
    """Return how far from a frame depth with those stamps (M,) may be."""
    if len(stamps_ns) < 2:
        return LONGEST_OFFSET_NS
    return min(int(np.median(np.diff(stamps_ns)) / 2), LONGEST_OFFSET_NS)


def _latency_s(stamps: Stamps) -> float:
    """Return how long after their stamps messages are recorded, in the median of the first."""
    late_ns = (stamps.recorded_ns - stamps.stamp_ns)[:LATENCIES]
    return float(np.median(late_ns)) / 1e9 if len(late_ns) else 0.0
