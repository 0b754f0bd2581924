# SPDX-License-Identifier: Apache-2.0
"""When a recording's messages were written, by the stamps that they carry.

The two are a few milliseconds apart, unless the recorder had another clock: that of the wall for
messages of a simulation, or stamps that count from when the camera was switched on. What is added
to such a recording must go where its neighbours are, or a player would wait for years.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from videodepth_ros.bags.reader import BagReader
from videodepth_ros.messages.transforms import stamp_ns

ONE_CLOCK_NS = 10_000_000_000
"""Stamps that are no further from the time of recording are of the same clock."""


def recording_clock(bag: BagReader, topic: str) -> Callable[[int], int]:
    """Return what turns a stamp into a time of recording.

    topic  stamped messages of the clock in question: the images
    returns  the stamp itself where both clocks are the same
    """
    first = next(bag.messages([topic]), None)
    if first is None:
        return _same
    stamp = stamp_ns(first[2].header.stamp)
    if stamp == 0 or abs(first[1] - stamp) < ONE_CLOCK_NS:
        return _same
    pairs = {
        stamp_ns(message.header.stamp): recorded_ns
        for _, recorded_ns, message in bag.messages([topic])
    }
    stamps = np.array(sorted(pairs), np.int64)
    after_ns = np.array([pairs[int(ns)] for ns in stamps], np.int64) - stamps

    def recorded_at(ns: int) -> int:
        next_one = min(int(np.searchsorted(stamps, ns)), len(stamps) - 1)
        return ns + int(after_ns[next_one])

    return recorded_at


def _same(ns: int) -> int:
    return ns
