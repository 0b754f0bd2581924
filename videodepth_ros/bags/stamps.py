# SPDX-License-Identifier: Apache-2.0
"""Stamps and times of recording of a topic, and its longest increasing subsequence.

Drivers repeat stamps, jump ahead for a frame, or start with stamps from before their clock was
set. The stamps of a whole topic are therefore read first, without decoding the messages.
"""

from __future__ import annotations

import hashlib
import struct
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from videodepth_ros.bags.cdr import header_stamp_ns
from videodepth_ros.bags.options import STAMPS, StampOptions
from videodepth_ros.bags.reader import BagReader
from videodepth_ros.bags.scan import DECODE_ERRORS, RawMessage, decompress_message
from videodepth_ros.core.arrays import IndexArray, StampArray
from videodepth_ros.core.errors import BagError

STAMP_ERRORS: tuple[type[Exception], ...] = (BagError, *DECODE_ERRORS)


@dataclass(frozen=True)
class Stamps:
    """Messages of one topic in the order of their recording.

    stamp_ns     (N,) int64; the time of recording where the stamp is zero
    recorded_ns  (N,) int64
    is_recorded  whether ``stamp_ns`` are the times of recording, for headers are of no use
    """

    stamp_ns: StampArray
    recorded_ns: StampArray
    is_recorded: bool = False

    def __len__(self) -> int:
        return len(self.stamp_ns)

    @property
    def key(self) -> str:
        """Digest of the stamps."""
        return hashlib.sha256(self.stamp_ns.tobytes() + self.recorded_ns.tobytes()).hexdigest()

    def take(self, indices: IndexArray) -> Stamps:
        """Return the stamps at some indices (M,)."""
        return replace(
            self, stamp_ns=self.stamp_ns[indices], recorded_ns=self.recorded_ns[indices]
        )

    def contains(self, recorded_ns: int, stamp_ns: int) -> bool:
        """Return whether a message is one of these, whose stamps must increase."""
        stamp_ns = self.stamp_of(recorded_ns, stamp_ns)
        index = int(np.searchsorted(self.stamp_ns, stamp_ns))
        return index < len(self) and (int(self.stamp_ns[index]), int(self.recorded_ns[index])) == (
            stamp_ns,
            recorded_ns,
        )

    def stamp_of(self, recorded_ns: int, header_ns: int) -> int:
        """Return the stamp of a message of this topic [ns]."""
        return recorded_ns if self.is_recorded else stamp_or_recorded(header_ns, recorded_ns)

    def by_recording(self) -> Stamps:
        """Return the same messages with their times of recording as stamps."""
        return Stamps(self.recorded_ns, self.recorded_ns, is_recorded=True)


def read_stamps(bag: BagReader, topic: str, on_step: Callable[[], None] = lambda: None) -> Stamps:
    """Read the stamps of a topic whose messages start with a header; damaged ones are left out.

    on_step  called after each message
    """
    found: list[tuple[int, int]] = []
    for record in bag.records([topic]):
        try:
            found.append((stamp_or_recorded(_stamp_ns(record), record[1]), record[1]))
        except STAMP_ERRORS:  # the decoder adds a note
            continue
        on_step()
    both = np.array(found, np.int64).reshape(-1, 2)
    return Stamps(both[:, 0].copy(), both[:, 1].copy())


def stamp_or_recorded(header_ns: int, recorded_ns: int) -> int:
    """Return the stamp of a header, or the time of recording where that is zero or negative."""
    return header_ns if header_ns > 0 else recorded_ns


def monotonic(stamps: Stamps) -> Stamps:
    """Return the stamps in increasing order, see `monotonic_indices`."""
    return stamps.take(monotonic_indices(stamps.stamp_ns))


def monotonic_indices(stamp_ns: StampArray, options: StampOptions = STAMPS) -> IndexArray:
    """Return the indices of the longest increasing subsequence of stamps (N,).

    Stamps that jump ahead or back for a while are left out, rather than all that follow them; so
    are short runs at either end behind a large gap.
    """
    indices = _longest_increasing(stamp_ns)
    gaps = np.diff(stamp_ns[indices])
    if not len(gaps):
        return indices
    runs = np.split(indices, np.flatnonzero(gaps > options.max_gap_periods * np.median(gaps)) + 1)
    return np.concatenate([run for run in runs if len(run) >= options.min_run] or [indices])


def are_useless(stamp_ns: StampArray, options: StampOptions = STAMPS) -> bool:
    """Return whether most stamps (N,) repeat or go back: the driver does not set them."""
    kept = len(_longest_increasing(stamp_ns))
    return len(stamp_ns) >= options.min_run and kept < options.min_increasing * len(stamp_ns)


def useful(stamps: Stamps) -> tuple[Stamps, tuple[str, ...]]:
    """Return the stamps, or the times of recording with a note where most stamps are useless."""
    if not are_useless(stamps.stamp_ns):
        return stamps, ()
    return stamps.by_recording(), (
        f'the stamps of most of the {len(stamps)} images repeat or go back: the times of '
        'recording are used instead; have the driver set the stamps',
    )


def _longest_increasing(stamp_ns: StampArray) -> IndexArray:
    """Return the indices of the longest strictly increasing subsequence (Fredman 1975)."""
    if (np.diff(stamp_ns) > 0).all():
        return np.arange(len(stamp_ns))
    ends: list[int] = []  # smallest last stamp of a subsequence of each length
    end_index: list[int] = []  # and its index
    previous = np.full(len(stamp_ns), -1, np.intp)
    for place, stamp in enumerate(stamp_ns.tolist()):
        length = bisect_left(ends, stamp)
        if stamp in ends[length : length + 1]:
            continue  # the first message of a stamp counts
        previous[place] = end_index[length - 1] if length else -1
        ends[length : length + 1] = [stamp]
        end_index[length : length + 1] = [place]
    indices = [end_index[-1]] if end_index else []
    while indices and previous[indices[-1]] >= 0:
        indices.append(int(previous[indices[-1]]))
    return np.array(indices[::-1], np.intp)


def _stamp_ns(record: RawMessage) -> int:
    channel, _, data = record
    raw = decompress_message(data)
    if channel.encoding != 'ros1':
        return header_stamp_ns(raw)
    seconds, nanoseconds = struct.unpack_from('<II', raw, 4)  # after the header's seq
    return int(seconds) * 1_000_000_000 + int(nanoseconds)
