# SPDX-License-Identifier: Apache-2.0
"""One file of a recording: its channels and its serialised messages.

A complete file is read through its index by rosbags. A damaged or unfinished one, whose index is
missing or wrong, is scanned from the first byte to the last valid record; so is the rest of a file
in which reading fails half-way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

from rosbags.interfaces import Connection, ConnectionExtRosbag2, MessageDefinitionFormat, Qos
from rosbags.rosbag1 import Reader as Reader1
from rosbags.rosbag2 import Reader as Reader2

from videodepth_ros.bags.bounded_file import BoundedPath
from videodepth_ros.bags.foxglove import as_ros_channel, as_ros_message
from videodepth_ros.bags.scan import DECODE_ERRORS, Channel, RawMessage, Scanner, type_name
from videodepth_ros.bags.scan_mcap import scan_mcap
from videodepth_ros.bags.scan_rosbag1 import scan_rosbag1
from videodepth_ros.bags.scan_sqlite3 import scan_sqlite3
from videodepth_ros.core.errors import BagError

SCANNERS: dict[str, Scanner] = {'.mcap': scan_mcap, '.db3': scan_sqlite3, '.bag': scan_rosbag1}
Span = tuple[int, int]
"""Times of recording [ns]: the first, and that after the last."""
UNFINISHED_SUFFIX = '.active'
"""Suffix that recorders add to a file until it is closed."""


def file_kind(path: Path) -> str:
    """Return the suffix of a file of a recording: one of `SCANNERS`, or another, in lower case."""
    return Path(path.name.lower().removesuffix(UNFINISHED_SUFFIX)).suffix


class BagFile:
    """A file of one recording, open for reading.

    channels  topics with their number of messages
    notes     description of what could not be read
    """

    def __init__(self, path: Path) -> None:
        """Open a file; raises BagError if its type is unknown, OSError if it cannot be opened."""
        kind = file_kind(path)
        if kind not in SCANNERS:
            raise BagError(
                f'{path} is not a recording; give a folder with metadata.yaml, or a '
                f'file that ends in {", ".join(SCANNERS)}; `videodepth import` converts '
                'a video'
            )
        self.path = path
        self.notes: list[str] = []
        self._scan = SCANNERS[kind]
        self._reader = _open_index(path)
        channels = self._indexed_channels() if self._reader else self._scanned_channels()
        self.channels = tuple(as_ros_channel(channel) for channel in channels)

    def close(self) -> None:
        """Close the file."""
        if self._reader:
            self._reader.close()
            self._reader = None

    def messages(
        self, topics: Collection[str], between_ns: Span | None = None
    ) -> Iterator[RawMessage]:
        """Yield the messages of some topics in the order of recording, see foxglove.py.

        between_ns  None: all
        """
        return map(as_ros_message, self._messages(topics, between_ns))

    def _messages(self, topics: Collection[str], between_ns: Span | None) -> Iterator[RawMessage]:
        begin_ns, end_ns = between_ns or (None, None)
        done: Counter[str] = Counter()
        if self._reader:
            selected = [one for one in self._reader.connections if one.topic in topics]
            channels = {(one.topic, one.msgtype): _channel(one) for one in selected}
            try:
                for one, stamp_ns, data in (
                    self._reader.messages(selected, begin_ns, end_ns) if selected else ()
                ):
                    yield channels[one.topic, one.msgtype], stamp_ns, data
                    done[one.topic] += 1
                return
            except DECODE_ERRORS as error:
                self._note(f'{self.path.name} is damaged after {done.total()} messages: {error}')
        for channel, stamp_ns, data in self._scan(self.path, []):
            if channel.topic not in topics:
                continue
            if between_ns is not None and not between_ns[0] <= stamp_ns < between_ns[1]:
                continue
            if done[channel.topic] > 0:  # yielded before the damage
                done[channel.topic] -= 1
                continue
            yield channel, stamp_ns, data

    @property
    def span_ns(self) -> tuple[int, int] | None:
        """Times of recording of the first message and after the last; None without an index."""
        return (self._reader.start_time, self._reader.end_time) if self._reader else None

    def _indexed_channels(self) -> tuple[Channel, ...]:
        assert self._reader
        return tuple(_channel(one) for one in self._reader.connections)

    def _scanned_channels(self) -> tuple[Channel, ...]:
        counts: Counter[Channel] = Counter()
        for channel, _, _ in self._scan(self.path, self.notes):
            counts[channel] += 1
        if self.notes:
            self._note(f'{counts.total()} messages of {self.path.name} could be read')
        return tuple(replace(channel, count=count) for channel, count in counts.items())

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


def _open_index(path: Path) -> Reader1 | Reader2 | None:
    """Open a file through its index; None if that is missing, damaged or out of date."""
    path.open('rb').close()  # raises OSError without permission
    log = path.with_name(f'{path.name}-wal')
    if log.exists() and log.stat().st_size:
        return None  # sqlite keeps the newest messages there until the file is closed
    if path.name.endswith(UNFINISHED_SUFFIX):
        return None
    try:
        reader: Reader1 | Reader2 = (
            Reader1(BoundedPath(path)) if path.suffix.lower() == '.bag' else Reader2(path)
        )
        reader.open()
    except DECODE_ERRORS:
        return None
    return reader


def _channel(connection: Connection) -> Channel:
    extra, definition = connection.ext, connection.msgdef
    encoding, offered = 'ros1', list[Qos]()
    if isinstance(extra, ConnectionExtRosbag2):
        encoding, offered = extra.serialization_format, extra.offered_qos_profiles
    return Channel(
        connection.topic,
        type_name(connection.msgtype, encoding),
        encoding,
        definition.data,
        definition.format == MessageDefinitionFormat.IDL,
        connection.msgcount,
        tuple(offered),
    )
