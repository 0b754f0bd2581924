# SPDX-License-Identifier: Apache-2.0
"""Scanner of MCAP files without a usable index (https://mcap.dev/spec)."""

from __future__ import annotations

import heapq
import struct
from binascii import crc32
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from videodepth_ros.bags.options import SCANNING
from videodepth_ros.bags.scan import DECODE_ERRORS, Channel, RawMessage, decompress, type_name

_MAGIC = b'\x89MCAP0\r\n'
_RECORD = struct.Struct('<BQ')  # opcode, length
_CHUNK = struct.Struct('<QQQI')  # first and last time, size when unpacked, checksum or 0
_MESSAGE = struct.Struct('<HIQQ')  # channel, sequence, log time, publish time
_FOOTER, _SCHEMA, _CHANNEL, _MESSAGE_OP, _CHUNK_OP, _DATA_END = 0x02, 0x03, 0x04, 0x05, 0x06, 0x0F
_LAST_OPCODE = 0x0F
_FIRST_TIME_AT = {_SCHEMA: 0, _CHANNEL: 0, _CHUNK_OP: 0, _MESSAGE_OP: 6}
"""Records that are read, and where in them the log time of their first message is."""


def scan_mcap(path: Path, notes: list[str]) -> Iterator[RawMessage]:
    """Yield every valid message, in the order of log time."""
    with path.open('rb') as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            notes.append(f'{path.name} does not start with the magic bytes of MCAP')
            return
        records = list(_records(file, path, notes))
        contents = _Contents(path.name, notes)
        by_time = sorted(records, key=lambda record: record.first_ns)
        if by_time != records:  # a channel may be defined in a chunk of later messages
            defining = _Contents(path.name, [])
            for record in records:
                for _ in defining.record(record.opcode, record.read(file), record.length):
                    pass
            contents.copy_definitions(defining)
        held: list[tuple[int, int, RawMessage]] = []
        count = 0
        for record in by_time:
            while held and held[0][0] < record.first_ns:
                yield heapq.heappop(held)[2]
            for message in contents.record(record.opcode, record.read(file), record.length):
                heapq.heappush(held, (message[1], count, message))
                count += 1
        while held:
            yield heapq.heappop(held)[2]


@dataclass(frozen=True)
class _Record:
    """A record of the file: its content starts at ``offset``, ``length`` bytes.

    first_ns  log time of its earliest message; 0: it has none
    """

    opcode: int
    offset: int
    length: int
    first_ns: int

    def read(self, file: BinaryIO) -> bytes:
        """Return the content, or its beginning where the file was cut off."""
        file.seek(self.offset)
        return file.read(self.length)


def _records(file: BinaryIO, path: Path, notes: list[str]) -> Iterator[_Record]:
    """Yield the records of the data section that describe or hold messages."""
    size = path.stat().st_size
    start = file.tell()
    while True:
        file.seek(start)
        head = file.read(_RECORD.size)
        opcode, length = _RECORD.unpack(head) if len(head) == _RECORD.size else (0, 0)
        if opcode in (_DATA_END, _FOOTER):
            return
        if not 0 < opcode <= _LAST_OPCODE or length > SCANNING.max_record_bytes:
            cut = 'ends without an index' if start >= size - _RECORD.size else 'is damaged'
            notes.append(f'{path.name} {cut} at byte {start} of {size}')
            return
        if opcode in _FIRST_TIME_AT:
            at = _FIRST_TIME_AT[opcode]
            first = file.read(at + 8)[at:]
            first_ns = int.from_bytes(first, 'little')
            is_timed = opcode in (_CHUNK_OP, _MESSAGE_OP)
            yield _Record(opcode, start + _RECORD.size, length, first_ns if is_timed else 0)
        start += _RECORD.size + length
        if start > size:
            notes.append(f'{path.name} was cut off at byte {size}, within a record')
            return


class _Contents:
    """The schemas and channels read so far."""

    def __init__(self, name: str, notes: list[str]) -> None:
        self._name = name
        self._notes = notes
        self._schemas: dict[int, tuple[str, str, str]] = {}
        self._channels: dict[int, Channel] = {}

    def copy_definitions(self, other: _Contents) -> None:
        """Copy the schemas and channels of another reading of the same file."""
        self._schemas, self._channels = dict(other._schemas), dict(other._channels)

    def record(self, opcode: int, data: bytes, length: int) -> Iterator[RawMessage]:
        """Process one record, of which ``data`` may be only the beginning."""
        if opcode == _CHUNK_OP:
            yield from self._chunk(data)
        elif len(data) < length:
            return
        elif opcode in (_SCHEMA, _CHANNEL):
            try:
                self._add_description(opcode, data)
            except (struct.error, ValueError) as error:
                self._notes.append(f'a topic of {self._name} is damaged: {error}')
        elif opcode == _MESSAGE_OP and length >= _MESSAGE.size:
            key, _, stamp_ns, _ = _MESSAGE.unpack_from(data)
            if key in self._channels:
                yield self._channels[key], stamp_ns, data[_MESSAGE.size :]

    def _add_description(self, opcode: int, data: bytes) -> None:
        """Store a schema or a channel."""
        (key,) = struct.unpack_from('<H', data)
        if opcode == _SCHEMA:
            name, form, text = _strings(data[2:], 3)
            self._schemas[key] = name, form, text
            return
        (schema,) = struct.unpack_from('<H', data, 2)
        topic, encoding = _strings(data[4:], 2)
        msgtype, form, text = self._schemas.get(schema, ('', '', ''))
        self._channels[key] = Channel(
            topic, type_name(msgtype, encoding), encoding, text, 'idl' in form
        )

    def _chunk(self, data: bytes) -> Iterator[RawMessage]:
        """Yield the messages of a chunk; a damaged chunk is left out as a whole, with a note."""
        try:
            _, _, unpacked_size, checksum = _CHUNK.unpack_from(data)
            (compression,) = _strings(data[_CHUNK.size :], 1)
            start = _CHUNK.size + 4 + len(compression) + 8
            packed_size = int.from_bytes(data[start - 8 : start], 'little')
            body = decompress(data[start:], compression)
            is_whole = len(data) - start >= packed_size
            if is_whole and (len(body) != unpacked_size or (checksum and crc32(body) != checksum)):
                raise ValueError('its checksum or size is wrong')
        except DECODE_ERRORS as error:
            self._notes.append(f'a chunk of {len(data)} bytes in {self._name} is damaged: {error}')
            return
        start = 0
        while start + _RECORD.size <= len(body):
            opcode, length = _RECORD.unpack_from(body, start)
            start += _RECORD.size + length
            yield from self.record(opcode, body[start - length : start], length)


def _strings(data: bytes, count: int) -> tuple[str, ...]:
    """Parse strings, each prefixed by its length."""
    found, start = [], 0
    for _ in range(count):
        (length,) = struct.unpack_from('<I', data, start)
        start += 4 + length
        if start > len(data):
            raise ValueError(f'a string of {length} bytes goes beyond its record')
        found.append(data[start - length : start].decode(errors='replace'))
    return tuple(found)
