# SPDX-License-Identifier: Apache-2.0
"""Common parts of the scanners of damaged files: channels, messages, decompression, errors."""

from __future__ import annotations

import bz2
import re
import sqlite3
import struct
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import apsw
import lz4.frame  # type: ignore[import-untyped]
from rosbags.interfaces import Qos
from rosbags.rosbag1 import ReaderError as Reader1Error
from rosbags.rosbag2 import ReaderError as Reader2Error
from rosbags.serde import SerdeError
from rosbags.typesys import TypesysError
from ruamel.yaml.error import YAMLError

from videodepth_ros.bags.options import SCANNING

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

DECODE_ERRORS: tuple[type[Exception], ...] = (
    Reader1Error,
    Reader2Error,
    SerdeError,
    TypesysError,
    YAMLError,
    apsw.Error,
    sqlite3.Error,
    zstd.ZstdError,
    struct.error,
    ValueError,
    LookupError,
    TypeError,
    EOFError,
    OSError,
    ArithmeticError,
    MemoryError,
    AssertionError,
    RuntimeError,
)
"""Exceptions that parsers raise on damaged data."""

ROS_ENCODINGS = 'cdr', 'ros1'
"""Encodings of messages that can be decoded."""

_ZSTD_MAGIC = b'\x28\xb5\x2f\xfd'


@dataclass(frozen=True)
class Channel:
    """A topic of one file.

    msgtype     e.g. ``sensor_msgs/msg/Image``, for ROS 1 as well
    encoding    ``cdr`` or ``ros1``; others cannot be decoded
    definition  text of the message definition; empty: the file has none
    is_idl      whether that text is IDL
    count       number of messages
    offered     QoS profiles of the publishers; empty: the file has none
    """

    topic: str
    msgtype: str
    encoding: str
    definition: str
    is_idl: bool = False
    count: int = field(default=0, compare=False)
    offered: tuple[Qos, ...] = field(default=(), compare=False)


RawMessage = tuple[Channel, int, bytes]
"""Channel, time of recording [ns], serialised message."""

Scanner = Callable[[Path, list[str]], Iterator[RawMessage]]
"""Function that yields the messages of a file from the first byte on, and appends a description of
what could not be read to the list."""


def ros2_type_name(msgtype: str) -> str:
    """Return ``package/msg/Name`` for a message type of either ROS, or of a DDS or IDL writer.

    >>> ros2_type_name('sensor_msgs/Image')
    'sensor_msgs/msg/Image'
    >>> ros2_type_name('sensor_msgs::msg::dds_::Image_')
    'sensor_msgs/msg/Image'
    """
    parts = [part for part in re.split(r'/|::|\.', msgtype) if part not in ('msg', 'dds_')]
    if len(parts) != 2:  # such as the srv of a service event
        return msgtype
    return f'{parts[0]}/msg/{parts[1].removesuffix("_")}'


def type_name(msgtype: str, encoding: str) -> str:
    """Return the name of a channel's type, that of ROS 2 where its messages are those of a ROS."""
    return ros2_type_name(msgtype) if encoding in ROS_ENCODINGS else msgtype


def decompress(data: bytes, compression: str) -> bytes:
    """Decompress a chunk, or its beginning if it was cut off.

    compression  '' or 'none', 'zstd', 'lz4', 'bz2'
    raises       one of `DECODE_ERRORS` if the data is damaged, ValueError for another compression
    """
    if compression in ('', 'none'):
        return data
    if compression == 'zstd':
        return zstd.ZstdDecompressor().decompress(data)
    if compression == 'lz4':
        return bytes(lz4.frame.LZ4FrameDecompressor().decompress(data))
    if compression == 'bz2':
        return bz2.BZ2Decompressor().decompress(data)
    raise ValueError(f'compression {compression!r} is unknown')


def decompress_message(data: bytes) -> bytes:
    """Return a message, decompressed where rosbag2 compressed each one (mode ``message``)."""
    return decompress(data, 'zstd') if data[:4] == _ZSTD_MAGIC else data


def decompress_file(source: Path, target: Path) -> str | None:
    """Decompress a file that rosbag2 compressed as a whole.

    returns  description of its damage; None if it is complete
    raises   OSError if it cannot be read, or ``target`` cannot be written
    """
    decompressor = zstd.ZstdDecompressor()
    with source.open('rb') as packed, target.open('wb') as out:
        try:
            while not decompressor.eof and (block := packed.read(SCANNING.block_bytes)):
                out.write(decompressor.decompress(block))
        except zstd.ZstdError as error:
            return f'{source.name} is damaged before byte {packed.tell()}: {error}'
    return None if decompressor.eof else f'{source.name} was cut off'
