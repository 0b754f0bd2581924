# SPDX-License-Identifier: Apache-2.0
"""Scanner of ROS 1 bags without a usable index (http://wiki.ros.org/Bags/Format/2.0)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from videodepth_ros.bags.bounded_file import BoundedFile
from videodepth_ros.bags.options import SCANNING
from videodepth_ros.bags.scan import DECODE_ERRORS, Channel, RawMessage, decompress, ros2_type_name

_MAGIC = b'#ROSBAG V2.0\n'
_MESSAGE, _CHUNK, _CONNECTION = 2, 5, 7

Fields = dict[str, bytes]


def scan_rosbag1(path: Path, notes: list[str]) -> Iterator[RawMessage]:
    """Yield every valid message, in the order of the file."""
    channels: dict[int, Channel] = {}
    with BoundedFile(path) as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            notes.append(f'{path.name} does not start with the magic bytes of a ROS 1 bag')
            return
        while (start := file.tell()) < path.stat().st_size:
            try:
                fields = _fields(_read_exactly(file, _read_size(file)))
                size = _read_size(file)
                if fields['op'][0] == _CHUNK:
                    data = file.read(size)  # may be only the beginning of a chunk
                    for inner, content in _in_chunk(fields, data):
                        yield from _message(inner, content, channels)
                    if len(data) < size:
                        raise EOFError
                else:
                    yield from _message(fields, _read_exactly(file, size), channels)
            except EOFError:
                notes.append(f'{path.name} was cut off in the record at byte {start}')
                return
            except DECODE_ERRORS as error:
                notes.append(f'{path.name} is damaged in the record at byte {start}: {error}')
                return


def _message(fields: Fields, data: bytes, channels: dict[int, Channel]) -> Iterator[RawMessage]:
    """Store a connection, or yield a message."""
    op = fields['op'][0]
    if op == _CONNECTION:
        described = _fields(data)
        channels[_number(fields['conn'])] = Channel(
            fields['topic'].decode(),
            ros2_type_name(described['type'].decode()),
            'ros1',
            described['message_definition'].decode(),
        )
    elif op == _MESSAGE and (channel := channels.get(_number(fields['conn']))):
        seconds, nanoseconds = struct.unpack('<II', fields['time'])
        yield channel, seconds * 1_000_000_000 + nanoseconds, data


def _in_chunk(fields: Fields, data: bytes) -> Iterator[tuple[Fields, bytes]]:
    body = decompress(data, fields['compression'].decode())
    start = 0
    while start < len(body):
        head, start = _sized(body, start)
        content, start = _sized(body, start)
        yield _fields(head), content


def _sized(data: bytes, start: int) -> tuple[bytes, int]:
    """Return bytes that are prefixed by their length, and the offset of the next ones."""
    end = start + 4 + _number(data[start : start + 4])
    if end > len(data):
        raise EOFError('a record goes beyond its chunk')
    return data[start + 4 : end], end


def _read_size(file: BinaryIO) -> int:
    size = _number(file.read(4))
    if size > SCANNING.max_record_bytes:
        raise ValueError(f'a record cannot have {size} bytes')
    return size


def _read_exactly(file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise EOFError('the file ends within a record')
    return data


def _number(data: bytes) -> int:
    if len(data) != 4:
        raise EOFError('the file ends within a number')
    return int.from_bytes(data, 'little')


def _fields(head: bytes) -> Fields:
    """Split a header into ``name=value`` fields, each prefixed by its length."""
    fields, start = {}, 0
    while start < len(head):
        pair, start = _sized(head, start)
        name, _, value = pair.partition(b'=')
        fields[name.decode()] = value
    return fields
