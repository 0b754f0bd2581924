# SPDX-License-Identifier: Apache-2.0
"""RVL, the lossless compression of 16-bit depth (Wilson, Fast Lossless Depth Image Compression,
ISS 2017).

Runs alternate: a number of zeros, a number of other values, and of these the differences to the
value before, zigzag coded. All numbers are of variable length: groups of three bits, the lowest
first, each in a nibble whose highest bit is set if another follows. Nibbles fill 32-bit words,
stored in little-endian order, from the highest to the lowest.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

MAX_PIXELS_A_BYTE = 1 << 16
"""Pixels in a byte at most; an empty image of a megapixel takes four."""


def decode_rvl(data: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint16]:
    """Decode an RVL image.

    data     (N,) uint8
    returns  (height, width) uint16, 0 where nothing was measured
    raises   ValueError if the size is impossible, or the data ends too early or has too much
    """
    words = np.frombuffer(data.tobytes()[: data.size // 4 * 4], '<u4').astype(np.uint32)
    if not 0 < width * height <= MAX_PIXELS_A_BYTE * data.size or min(width, height) < 1:
        raise ValueError(f'{data.size} bytes are no image of {width}x{height}')
    values = np.zeros(width * height, np.uint16)
    decoded = _decode(words, values)
    if decoded != values.size:
        raise ValueError(f'{decoded} of {values.size} pixels could be decoded')
    return values.reshape(height, width)


def encode_rvl(values: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Encode an image (H, W) uint16 as RVL, (N,) uint8; 0 is cheap."""
    flat = np.ascontiguousarray(values).reshape(-1)
    words = np.zeros(_NIBBLES_A_PIXEL * flat.size // 8 + 2, np.uint32)
    used = _encode(flat, words)
    return words[:used].astype('<u4', copy=False).view(np.uint8)


_NIBBLES_A_PIXEL = 8
"""At most: six for a difference of 17 bits, and two for the lengths of the runs before it."""


@njit(nogil=True, cache=True)
def _write(words, position, value):  # type: ignore[no-untyped-def]
    """Write a number at a position, in nibbles; return the position behind."""
    while True:
        nibble = value & 7
        value >>= 3
        if value:
            nibble |= 8
        words[position >> 3] |= np.uint32(nibble << (28 - 4 * (position & 7)))
        position += 1
        if not value:
            return position


@njit(nogil=True, cache=True)
def _encode(values, words):  # type: ignore[no-untyped-def]
    """Fill ``words``, (M,) uint32 of zeros, from values (N,); return how many are used."""
    position, index, previous = 0, 0, 0
    while index < len(values):
        start = index
        while index < len(values) and values[index] == 0:
            index += 1
        position = _write(words, position, index - start)
        start = index
        while index < len(values) and values[index] != 0:
            index += 1
        position = _write(words, position, index - start)
        for k in range(start, index):
            delta = int(values[k]) - previous
            previous += delta
            position = _write(words, position, (delta << 1) ^ (delta >> 63))
    return (position + 7) >> 3


@njit(nogil=True, cache=True)
def _number(words, position):  # type: ignore[no-untyped-def]
    """Return the number at a position, in nibbles, and the position behind; -1 at the end."""
    value, shift = np.int64(0), 0
    while position < 8 * len(words) and shift < 32:
        nibble = (words[position >> 3] >> (28 - 4 * (position & 7))) & 0xF
        position += 1
        value |= np.int64(nibble & 7) << shift
        shift += 3
        if nibble < 8:
            return value, position
    return -1, position


@njit(nogil=True, cache=True)
def _decode(words, values):  # type: ignore[no-untyped-def]
    """Fill ``values``, (N,) uint16; return the number of values that the words hold."""
    position, index, previous = 0, 0, 0
    while index < len(values):
        zeros, position = _number(words, position)
        if zeros < 0 or index + zeros > len(values):
            return index
        index += zeros
        count, position = _number(words, position)
        if count < 0 or index + count > len(values) or (zeros == 0 and count == 0):
            return index
        for _ in range(count):
            code, position = _number(words, position)
            if code < 0:
                return index
            previous += (code >> 1) ^ -(code & 1)
            values[index] = previous & 0xFFFF
            index += 1
    return index
