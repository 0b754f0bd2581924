# SPDX-License-Identifier: Apache-2.0
"""Videos of any stamps, written byte by byte: Matroska and ISO media (mp4) with JPEG frames."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np

WIDTH, HEIGHT = 64, 48
LAST_MS = 100  # duration of the last frame


def jpeg(k: int) -> bytes:
    """Return a picture of grey level 10 k."""
    image = np.full((HEIGHT, WIDTH, 3), 10 * k % 256, np.uint8)
    return cv2.imencode('.jpg', image)[1].tobytes()


def _element(name: str, data: bytes | int) -> bytes:
    if isinstance(data, int):
        data = data.to_bytes(max(1, (data.bit_length() + 7) // 8), 'big')
    return bytes.fromhex(name) + (len(data) | 1 << 56).to_bytes(8, 'big') + data


def write_matroska(path: Path, times_ms: list[int], pixel_aspect: int = 1) -> Path:
    """Write a Matroska file whose header states no number of frames."""
    duration = struct.pack('>d', float(times_ms[-1] + LAST_MS))
    names = _element('4D80', b'x') + _element('5741', b'x')
    info = _element('2AD7B1', 1_000_000) + _element('4489', duration) + names
    size = _element('B0', WIDTH) + _element('BA', HEIGHT)
    shown = _element('54B0', WIDTH * pixel_aspect) + _element('54BA', HEIGHT)
    track = b''.join(_element(name, 1) for name in ('D7', '73C5', '83'))
    track += _element('86', b'V_MJPEG') + _element('E0', size + shown)
    clusters = b''.join(
        _element(
            '1F43B675',
            _element('E7', time) + _element('A3', b'\x81' + struct.pack('>hB', 0, 0x80) + jpeg(k)),
        )
        for k, time in enumerate(times_ms)
    )
    tracks = _element('1654AE6B', _element('AE', track))
    head = b''.join(
        _element(name, value)
        for name, value in (('4286', 1), ('42F7', 1), ('42F2', 4), ('42F3', 8), ('4287', 4))
    )
    head = _element('1A45DFA3', head + _element('4282', b'matroska') + _element('4285', 2))
    segment = _element('18538067', _element('1549A966', info) + tracks + clusters)
    path.write_bytes(head + segment)
    return path


def _box(kind: bytes, *parts: bytes) -> bytes:
    content = b''.join(parts)
    return struct.pack('>I', 8 + len(content)) + kind + content


_UNIT_MATRIX = struct.pack('>9I', 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)


def write_mp4(path: Path, times_ms: list[int], pixel_aspect: tuple[int, int] = (1, 1)) -> Path:
    """Write an mp4 file of a variable frame rate, its index behind the frames."""
    frames = [jpeg(k) for k in range(len(times_ms))]
    durations = [*np.diff(times_ms).tolist(), LAST_MS]
    count, total = len(frames), sum(durations)
    head = _box(b'ftyp', b'isom', bytes(4), b'isommp41')
    data = _box(b'mdat', *frames)
    sizes = [len(frame) for frame in frames]
    offsets = (len(head) + 8 + np.cumsum([0, *sizes[:-1]])).tolist()
    entry = struct.pack('>6xH', 1) + bytes(16)
    entry += struct.pack('>HHIIIH', WIDTH, HEIGHT, 72 << 16, 72 << 16, 0, 1) + bytes(32)
    entry += struct.pack('>Hh', 24, -1) + _box(b'pasp', struct.pack('>II', *pixel_aspect))
    table = _box(
        b'stbl',
        _box(b'stsd', struct.pack('>II', 0, 1), _box(b'jpeg', entry)),
        _box(
            b'stts', struct.pack('>II', 0, count), *(struct.pack('>II', 1, d) for d in durations)
        ),
        _box(b'stsc', struct.pack('>IIIII', 0, 1, 1, 1, 1)),
        _box(b'stsz', struct.pack('>III', 0, 0, count), *(struct.pack('>I', s) for s in sizes)),
        _box(b'stco', struct.pack('>II', 0, count), *(struct.pack('>I', o) for o in offsets)),
    )
    reference = _box(b'dref', struct.pack('>II', 0, 1), _box(b'url ', struct.pack('>I', 1)))
    media = _box(
        b'mdia',
        _box(b'mdhd', struct.pack('>IIIIIHH', 0, 0, 0, 1000, total, 0x55C4, 0)),
        _box(b'hdlr', bytes(8), b'vide', bytes(12), b'v\0'),
        _box(
            b'minf',
            _box(b'vmhd', struct.pack('>IHHHH', 1, 0, 0, 0, 0)),
            _box(b'dinf', reference),
            table,
        ),
    )
    track = struct.pack('>IIIIII', 7, 0, 0, 1, 0, total) + bytes(16) + _UNIT_MATRIX
    track += struct.pack('>II', WIDTH << 16, HEIGHT << 16)
    movie = struct.pack('>IIIII', 0, 0, 0, 1000, total) + struct.pack('>IH', 1 << 16, 256)
    movie += bytes(10) + _UNIT_MATRIX + bytes(24) + struct.pack('>I', 2)
    index = _box(b'moov', _box(b'mvhd', movie), _box(b'trak', _box(b'tkhd', track), media))
    path.write_bytes(head + data + index)
    return path
