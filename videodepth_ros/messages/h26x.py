# SPDX-License-Identifier: Apache-2.0
"""Key frames and frame numbers in the packets of H.264 and H.265 (ITU-T H.264 and H.265).

A decoder conceals lost packets without an error; the frame numbers of H.264 reveal them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

HEADER_BYTES = 64
"""Bytes of a unit that are parsed: parameters and the start of a slice header are shorter."""

_START = re.compile(b'\x00\x00\x01')
_SLICE, _KEY_SLICE, _H264_SPS = 1, 5, 7
_H265_KEY_UNITS = frozenset((*range(16, 22), 32, 33))  # IRAP pictures, VPS, SPS
_WITH_CHROMA = frozenset((44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244))
"""Profiles whose parameters have the format of the chroma."""


def units(packet: bytes) -> Iterator[bytes]:
    """Yield the first bytes of each NAL unit of a packet in Annex B format."""
    for start in _START.finditer(packet):
        unit = packet[start.end() : start.end() + HEADER_BYTES]
        if unit:
            yield unit


def is_key_packet(codec: str, packet: bytes) -> bool:
    """Return whether a decoder can start with a packet: it has a key frame or parameters.

    codec  ``h264`` or ``hevc``
    """
    if codec == 'h264':
        return any(unit[0] & 31 in (_KEY_SLICE, _H264_SPS) for unit in units(packet))
    return any(unit[0] >> 1 & 63 in _H265_KEY_UNITS for unit in units(packet))


class FrameNumbers:
    """Count the lost reference frames of an H.264 stream by frame_num (H.264, 7.4.3)."""

    def __init__(self) -> None:
        """Start before the first packet."""
        self._bits: int | None = None  # of frame_num; None: the parameters do not define it simply
        self._last: int | None = None  # frame_num of the last reference frame

    def lost_before(self, packet: bytes) -> int:
        """Return the number of reference frames that are missing before the frame of a packet."""
        for unit in units(packet):
            kind, is_reference = unit[0] & 31, bool(unit[0] >> 5 & 3)
            if kind == _H264_SPS:
                self._bits, self._last = _frame_num_bits(unit), None
            elif kind in (_SLICE, _KEY_SLICE):
                return self._advance(unit, kind == _KEY_SLICE, is_reference)
        return 0

    def _advance(self, unit: bytes, is_key: bool, is_reference: bool) -> int:
        if self._bits is None:
            return 0
        bits = _Bits(unit[1:])
        for _ in range(3):  # first_mb_in_slice, slice_type, pic_parameter_set_id
            bits.unsigned()
        number, last = bits.read(self._bits), self._last
        if is_reference:
            self._last = number
        if is_key or last is None:
            return 0
        return (number - last - 1) % (1 << self._bits)


def _frame_num_bits(unit: bytes) -> int | None:
    """Return the size of frame_num by a sequence parameter set (H.264, 7.3.2.1.1)."""
    profile, bits = unit[1] if len(unit) > 3 else 0, _Bits(unit[4:])
    bits.unsigned()  # seq_parameter_set_id
    if profile in _WITH_CHROMA:
        if bits.unsigned() == 3:  # chroma_format_idc: separate planes change the slice header
            return None
        bits.unsigned()  # bit_depth_luma_minus8
        bits.unsigned()  # bit_depth_chroma_minus8
        bits.read(1)  # qpprime_y_zero_transform_bypass_flag
        if bits.read(1):  # seq_scaling_matrix_present_flag: lists follow, which are not parsed
            return None
    size = bits.unsigned() + 4  # log2_max_frame_num_minus4
    return size if size <= 16 else None


@dataclass
class _Bits:
    """Reader of bits and Exp-Golomb codes (H.264, 9.1); zeros behind the end."""

    data: bytes
    position: int = 0

    def __post_init__(self) -> None:
        self.data = self.data.replace(b'\x00\x00\x03', b'\x00\x00')  # emulation prevention

    def read(self, count: int) -> int:
        """Return the next ``count`` bits as a number."""
        value = 0
        for _ in range(count):
            byte, bit = divmod(self.position, 8)
            value = value << 1 | (self.data[byte] >> (7 - bit) & 1 if byte < len(self.data) else 0)
            self.position += 1
        return value

    def unsigned(self) -> int:
        """Return the next ue(v)."""
        zeros = 0
        while not self.read(1):
            zeros += 1
            if zeros > 31:
                return 0
        return (1 << zeros) - 1 + self.read(zeros)
