# SPDX-License-Identifier: Apache-2.0
"""Packets of an encoded video of moving rectangles, and the images that they decode to."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

WIDTH, HEIGHT = 160, 128
KEY_PERIOD = 6
ENCODERS = {'h264': 'libx264', 'hevc': 'libx265'}


def picture(k: int) -> np.ndarray:
    """Return the k-th image (HEIGHT, WIDTH, 3) uint8 before encoding."""
    noise = np.random.default_rng(0).integers(0, 128, (HEIGHT, WIDTH, 3), np.uint8)
    image = np.roll(noise, 3 * k, axis=1)
    image[20:60, 10 + 4 * k : 50 + 4 * k] = 200, 50, 10 * k % 250
    return image


@cache
def encoded(codec: str, count: int = 14) -> tuple[bytes, ...]:
    """Return one packet for each image, without B frames, a key frame every ``KEY_PERIOD``."""
    av = pytest.importorskip('av')
    if ENCODERS[codec] not in av.codecs_available:
        pytest.skip(f'this PyAV has no {ENCODERS[codec]}')
    context = av.CodecContext.create(ENCODERS[codec], 'w')
    context.width, context.height, context.pix_fmt = WIDTH, HEIGHT, 'yuv420p'
    context.time_base, context.framerate = Fraction(1, 30), 30
    context.gop_size, context.max_b_frames, context.thread_count = KEY_PERIOD, 0, 1
    context.options = {
        'preset': 'ultrafast',
        'tune': 'zerolatency',
        'x264-params': 'scenecut=0',
        'x265-params': f'keyint={KEY_PERIOD}:scenecut=0:bframes=0:repeat-headers=1:log-level=none',
    }
    packets = []
    for k in range(count):
        frame = av.VideoFrame.from_ndarray(picture(k), format='rgb24')
        frame.pts = k
        packets += [bytes(packet) for packet in context.encode(frame)]
    packets += [bytes(packet) for packet in context.encode(None)]
    assert len(packets) == count
    return tuple(packets)


@cache
def decoded(codec: str, count: int = 14) -> tuple[np.ndarray, ...]:
    """Return the images (HEIGHT, WIDTH, 3) uint8 that a plain decoder makes of all packets."""
    av = pytest.importorskip('av')
    context = av.CodecContext.create(codec, 'r')
    frames = [
        frame
        for packet in (*encoded(codec, count), None)
        for frame in context.decode(av.Packet(packet) if packet else None)
    ]
    return tuple(frame.to_ndarray(format='rgb24') for frame in frames)


def stamp(k: int) -> SimpleNamespace:
    return SimpleNamespace(sec=1, nanosec=k * 30_000_000)


def message(kind: str, codec: str, k: int, data: bytes) -> Any:
    """Return the k-th message of a kind with some packet."""
    header = SimpleNamespace(stamp=stamp(k), frame_id='camera')
    name = {'h264': 'h264', 'hevc': 'h265'}[codec]
    if kind == 'foxglove':
        return SimpleNamespace(timestamp=stamp(k), frame_id='camera', data=data, format=name)
    if kind == 'ffmpeg':
        return SimpleNamespace(
            header=header, width=WIDTH, height=HEIGHT, encoding=ENCODERS[codec], pts=k, data=data
        )
    return SimpleNamespace(header=header, format=name, data=data)
