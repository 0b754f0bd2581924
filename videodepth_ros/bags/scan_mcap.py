# SPDX-License-Identifier: Apache-2.0
"""Scanner of MCAP files without a usable index (https://mcap.dev/spec)."""

from __future__ import annotations

import struct
from binascii import crc32
from collections.abc import Iterator
from pathlib import Path

from videodepth_ros.bags.options import SCANNING
from videodepth_ros.bags.scan import DECODE_ERRORS, Channel, RawMessage, decompress, ros2_type_name

_MAGIC = b'\x89MCAP0\r\n'
_RECORD = struct.Struct('<BQ')  # opcode, length
_CHUNK = struct.Struct('<QQQI')  # first and last time, size when unpacked, checksum or 0
_MESSAGE = struct.Struct('<HIQQ')  # channel, sequence, log time, publish time
_FOOTER, _SCHEMA, _CHANNEL, _MESSAGE_OP, _CHUNK_OP, _DATA_END = 0x02, 0x03, 0x04, 0x05, 0x06, 0x0F
_LAST_OPCODE = 0x0F


def scan_mcap(path: Path, notes: list[str]) -> Iterator[RawMessage]:
    """Yield every valid message, in the order of the file."""
    contents = _Contents(path.name, notes)
    size = path.stat().st_size
    with path.open('rb') as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            notes.append(f'{path.name} does not start with the magic bytes of MCAP')
            return
        while True:
            start = file.tell()
            head = file.read(_RECORD.size)
            opcode, length = _RECORD.unpack(head) if len(head) == _RECORD.size else (0, 0)
            if opcode in (_DATA_END, _FOOTER):
                return
            if not 0 < opcode <= _LAST_OPCODE or length > SCANNING.max_record_bytes:
                cut = 'ends without an index' if start >= size - _RECORD.size else 'is damaged'
                notes.append(f'{path.name} {cut} at byte {start} of {size}')
                return
            yield from contents.record(opcode, file.read(length), length)
            if file.tell() < start + _RECORD.size + length:
                notes.append(f'{path.name} was cut off at byte {size}, within a record')
                return


class _Contents:
    """The schemas and channels read so far."""

    def __init__(self, name: str, notes: list[str]) -> None:
        self._name = name
        self._notes = notes
        self._schemas: dict[int, tuple[str, str, str]] = {}
        self._channels: dict[int, Channel] = {}

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
            topic, ros2_type_name(msgtype), encoding, text, 'idl' in form
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
