# SPDX-License-Identifier: Apache-2.0
"""Properties of video files that decide what their frame counts and stamps are worth."""

from __future__ import annotations

from pathlib import Path

import cv2

from videodepth_ros.core.errors import InputError

_EBML = b'\x1a\x45\xdf\xa3'
_SEGMENT = b'\x18\x53\x80\x67'
_START_CODES = b'\x00\x00\x00\x01', b'\x00\x00\x01'
_PACK_HEADER = b'\x00\x00\x01\xba'
_JPEG = b'\xff\xd8'
_HEAD_BYTES = 4096


def open_video(path: Path) -> cv2.VideoCapture:
    """Open a video; raises InputError if it cannot be read."""
    video = cv2.VideoCapture(str(path))
    if not video.isOpened():
        raise InputError(
            f'{path} cannot be read as a video; convert it, for example to mp4 with '
            'H.264, or give a folder of images'
        )
    return video


def pixel_aspect(video: cv2.VideoCapture) -> float:
    """Return width over height of a pixel of the upright frames; 1 where it is not stated."""
    across, down = (
        float(video.get(which)) for which in (cv2.CAP_PROP_SAR_NUM, cv2.CAP_PROP_SAR_DEN)
    )
    if not (across > 0 and down > 0):
        return 1.0
    is_on_its_side = int(video.get(cv2.CAP_PROP_ORIENTATION_META)) % 180 == 90
    return down / across if is_on_its_side else across / down


def is_counted(path: Path) -> bool:
    """Return whether a file states its number of frames: ISO media (mp4, mov) and AVI.

    Matroska, WebM and streams state a duration at most, from which a number is only estimated.
    """
    head = _head(path)
    return head[4:8] in (b'ftyp', b'moov', b'mdat', b'wide', b'free') or head[:4] == b'RIFF'


def has_stamps(path: Path) -> bool:
    """Return whether frames have stamps: not in elementary streams of H.264, H.265 or MJPEG."""
    head = _head(path)
    is_elementary = head.startswith(_START_CODES) and not head.startswith(_PACK_HEADER)
    return not (is_elementary or head.startswith(_JPEG))


def is_cut_off(path: Path) -> bool:
    """Return whether a Matroska or WebM file is shorter than its segment states."""
    head = _head(path)
    at = head.find(_SEGMENT) + len(_SEGMENT)
    if not head.startswith(_EBML) or at < len(_SEGMENT) or at >= len(head):
        return False
    length = 9 - head[at].bit_length()  # of the size: as many bytes as the first has leading zeros
    size = int.from_bytes(head[at : at + length], 'big') & ((1 << 7 * length) - 1)
    is_unknown = size == (1 << 7 * length) - 1
    return not is_unknown and at + length + size > path.stat().st_size


def _head(path: Path) -> bytes:
    with path.open('rb') as file:
        return file.read(_HEAD_BYTES)
