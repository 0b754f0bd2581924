# SPDX-License-Identifier: Apache-2.0
"""When messages of a topic were stamped and recorded, and which of them make one course of time.

Stamps err: drivers repeat one, leap ahead for a frame, or begin with what they had before their
clock was set. So the stamps of a whole topic are read first, without decoding what they stamp.
"""

from __future__ import annotations

import hashlib
import struct
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.bags.cdr import header_stamp_ns
from videodepth_ros.bags.reader import BagReader
from videodepth_ros.bags.scan import DECODE_ERRORS, RawMessage, decompress_message
from videodepth_ros.core.errors import BagError

Array = NDArray[np.int64]

STAMP_ERRORS: tuple[type[Exception], ...] = (BagError, *DECODE_ERRORS)

LEAP = 1000
"""Who is alone behind a gap of so many periods has a wrong stamp; a pause has frames after it."""

FEW = 3
"""So many frames in a row are not alone."""


@dataclass(frozen=True)
class Stamps:
    """Messages of one topic in the order of their recording.

    stamp_ns     (N,) int64; the time of recording where the stamp is zero
    recorded_ns  (N,) int64
    """

    stamp_ns: Array
    recorded_ns: Array

    def __len__(self) -> int:
        return len(self.stamp_ns)

    @property
    def key(self) -> str:
        """A name for these stamps."""
        return hashlib.sha256(self.stamp_ns.tobytes() + self.recorded_ns.tobytes()).hexdigest()

    def at(self, places: NDArray[np.intp]) -> Stamps:
        """Return those at some places (M,)."""
        return Stamps(self.stamp_ns[places], self.recorded_ns[places])

    def contains(self, recorded_ns: int, stamp_ns: int) -> bool:
        """Tell whether one of these messages, whose stamps grow, is meant."""
        place = int(np.searchsorted(self.stamp_ns, stamp_ns or recorded_ns))
        return place < len(self) and (int(self.stamp_ns[place]), int(self.recorded_ns[place])) == (
            stamp_ns or recorded_ns,
            recorded_ns,
        )


def read_stamps(bag: BagReader, topic: str, tick: Callable[[], None] = lambda: None) -> Stamps:
    """Return the stamps of a topic whose messages begin with a header; damaged ones are left out.

    tick  called after each message
    """
    found: list[tuple[int, int]] = []
    for record in bag.records([topic]):
        try:
            found.append((_stamp_ns(record) or record[1], record[1]))
        except STAMP_ERRORS:  # whoever decodes the messages tells of it
            continue
        tick()
    both = np.array(found, np.int64).reshape(-1, 2)
    return Stamps(both[:, 0].copy(), both[:, 1].copy())


def monotonic(stamps: Stamps) -> Stamps:
    """Return those that are in one course of time, see `in_one_course`."""
    return stamps.at(monotonic_indices(stamps.stamp_ns))


def monotonic_indices(stamp_ns: Array) -> NDArray[np.intp]:
    """Return the places of as many stamps (N,) as can be in one growing order.

    Stamps that leap ahead or fall back for a while are left out rather than all that come after
    them; at either end, where nothing follows or goes before, so are a few alone.
    """
    places = _longest_growing(stamp_ns)
    gaps = np.diff(stamp_ns[places])
    if not len(gaps):
        return places
    runs = np.split(places, np.flatnonzero(gaps > LEAP * np.median(gaps)) + 1)
    return np.concatenate([run for run in runs if len(run) >= FEW] or [places])


def _longest_growing(stamp_ns: Array) -> NDArray[np.intp]:
    """Return the places of the longest strictly growing subsequence (Fredman 1975)."""
    if (np.diff(stamp_ns) > 0).all():
        return np.arange(len(stamp_ns))
    ends: list[int] = []  # smallest last stamp of a subsequence of each length
    end_at: list[int] = []  # and its place
    before = np.full(len(stamp_ns), -1, np.intp)
    for place, stamp in enumerate(stamp_ns.tolist()):
        length = bisect_left(ends, stamp)
        if stamp in ends[length : length + 1]:
            continue  # of one stamp the first message counts
        before[place] = end_at[length - 1] if length else -1
        ends[length : length + 1] = [stamp]
        end_at[length : length + 1] = [place]
    places = [end_at[-1]] if end_at else []
    while places and before[places[-1]] >= 0:
        places.append(int(before[places[-1]]))
    return np.array(places[::-1], np.intp)


def _stamp_ns(record: RawMessage) -> int:
    channel, _, data = record
    raw = decompress_message(data)
    if channel.encoding != 'ros1':
        return header_stamp_ns(raw)
    seconds, nanoseconds = struct.unpack_from('<II', raw, 4)  # after the header's seq
    return int(seconds) * 1_000_000_000 + int(nanoseconds)
