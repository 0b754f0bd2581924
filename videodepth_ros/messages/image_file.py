# SPDX-License-Identifier: Apache-2.0
"""Image files in memory, decoded by OpenCV; damaged ones take neither memory nor time."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

PNG_START = b'\x89PNG\r\n\x1a\n'
_PNG_END = b'IEND'
_CHUNK_BYTES = 12  # length, type and checksum of a PNG chunk


def decode_file(data: NDArray[np.uint8], flags: int) -> NDArray[Any] | None:
    """Decode the bytes (N,) of an image file; None if it is damaged or of an unknown kind.

    flags  cv2.IMREAD_*
    """
    content = data.tobytes()
    if not content or (content.startswith(PNG_START) and not _is_whole_png(content)):
        return None
    try:
        image: NDArray[Any] | None = cv2.imdecode(data, flags)
    except cv2.error:
        return None
    return image


def _is_whole_png(content: bytes) -> bool:
    """Return whether each chunk of a PNG lies within the data, up to the last one.

    OpenCV allocates the length that a chunk states before it reads the chunk.
    """
    start = len(PNG_START)
    while start + _CHUNK_BYTES <= len(content):
        end = start + _CHUNK_BYTES + int.from_bytes(content[start : start + 4], 'big')
        if end > len(content):
            return False
        if content[start + 4 : start + 8] == _PNG_END:
            return True
        start = end
    return False
