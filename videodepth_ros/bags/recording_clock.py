# SPDX-License-Identifier: Apache-2.0
"""Conversion of header stamps to times of recording.

Both differ by a few milliseconds, unless the recorder had another clock: wall time for messages of
a simulation, or stamps that count from when the camera was switched on. Messages added to such a
recording need the time of recording of their neighbours, or a player would pause for years.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from videodepth_ros.bags.options import CLOCK, ClockOptions
from videodepth_ros.bags.reader import BagReader
from videodepth_ros.bags.stamps import are_useless
from videodepth_ros.messages.transforms import stamp_ns


def recording_clock(
    bag: BagReader, topic: str, options: ClockOptions = CLOCK
) -> Callable[[int], int]:
    """Return the function from stamps to times of recording [ns].

    topic    of stamped messages of the data's clock: the images
    returns  the identity where both clocks are the same
    """
    first = next(bag.messages([topic]), None)
    if first is None:
        return _identity
    stamp = stamp_ns(first[2].header.stamp)
    if stamp <= 0 or abs(first[1] - stamp) < options.max_offset_ns:
        return _identity
    series = [
        (stamp_ns(message.header.stamp), recorded_ns)
        for _, recorded_ns, message in bag.messages([topic])
    ]
    if are_useless(np.array([ns for ns, _ in series], np.int64)):
        return _identity  # the images have their times of recording
    pairs = dict(series)
    stamps = np.array(sorted(pairs), np.int64)
    latency_ns = np.array([pairs[int(ns)] for ns in stamps], np.int64) - stamps

    def recorded_at(ns: int) -> int:
        index = min(int(np.searchsorted(stamps, ns)), len(stamps) - 1)
        return ns + int(latency_ns[index])

    return recorded_at


def _identity(ns: int) -> int:
    return ns
