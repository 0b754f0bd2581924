# SPDX-License-Identifier: Apache-2.0
"""Images and depth maps to and from the fields of Image and CompressedImage messages.

Works on rclpy's messages and on rosbags' dataclasses alike: only fields are touched.
"""

from __future__ import annotations

import array
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.core.errors import InputError
from videodepth_ros.messages.compressed import (
    decode_compressed,
    decode_compressed_depth,
    millimetres,
)
from videodepth_ros.messages.encodings import RawImage, To8Bit, canonical_encoding, decoder
from videodepth_ros.messages.sample_scale import Bytes, to_8bit

__all__ = [
    'decode_compressed',
    'decode_depth',
    'decode_image',
    'decode_share',
    'is_compressed',
    'raw_image',
    'resized_data',
    'write_depth',
    'write_depth_mm',
    'write_image',
    'write_share',
]

Depth = NDArray[np.float32]

_DEPTH_ENCODINGS = {
    '32FC1': ('f4', 1),
    '64FC1': ('f8', 1),
    '16UC1': ('u2', 1000),
    'mono16': ('u2', 1000),
}
"""Sample type, and units in a metre: REP-118 (mono16 is what some drivers call 16UC1)."""
_SHARE_ENCODINGS = {'32FC1': ('f4', 1), 'mono8': ('u1', 255), '16UC1': ('u2', 65535)}
"""Sample type of confidence, and the value that is 1."""


def raw_image(msg: Any) -> RawImage:
    """Return the pixels of a sensor_msgs/Image as they lie in memory, without a copy.

    raises  InputError if the image has no pixels
    """
    if msg.width == 0 or msg.height == 0 or len(msg.data) == 0:
        raise InputError(
            f'image is {msg.width}x{msg.height} with {len(msg.data)} bytes of data: '
            'it has no pixels; check the camera driver'
        )
    return RawImage(
        np.frombuffer(msg.data, np.uint8),
        int(msg.width),
        int(msg.height),
        int(msg.step),
        str(msg.encoding),
        bool(msg.is_bigendian),
    )


def decode_image(msg: Any, convert: To8Bit = to_8bit) -> Bytes:
    """Decode a sensor_msgs/Image of any encoding that cameras use.

    convert  conversion of 16-bit samples, such as the `SampleScale` of the stream
    returns  (H, W, 3) uint8 RGB, contiguous; a view of the message's data where that is tight rgb8
    raises   InputError if the encoding is not known or is that of depth, or size, step and data
             do not fit together
    """
    decode = decoder(msg.encoding)
    return decode(raw_image(msg), convert)


def is_compressed(msg: Any) -> bool:
    """Return whether a message is a CompressedImage, by its fields."""
    return not hasattr(msg, 'encoding')


def decode_depth(msg: Any) -> Depth:
    """Decode depth: 32FC1 or 64FC1 in metres, 16UC1 in mm (REP-118), or compressedDepth.

    returns  (H, W) float32, Z in metres; NaN where unknown (0, negative or NaN in the message),
             +inf where nothing was hit (REP-117)
    raises   InputError if it is not a depth image, or size, step and data do not fit together
    """
    if is_compressed(msg):
        depth_m = decode_compressed_depth(msg)
    else:
        encoding = canonical_encoding(msg.encoding)
        if encoding not in _DEPTH_ENCODINGS:
            raise InputError(
                f'image encoding {msg.encoding!r} is not a depth map; known are '
                f'{" ".join(_DEPTH_ENCODINGS)}'
            )
        dtype, units_per_m = _DEPTH_ENCODINGS[encoding]
        raw = raw_image(msg)
        depth_m = raw.plane(raw.height, raw.width, dtype).astype(np.float32)
        depth_m /= np.float32(units_per_m)
    depth_m[~(depth_m > 0)] = np.nan
    return depth_m


def write_depth(depth_m: Depth, msg: Any, *, unknown: float = np.nan) -> None:
    """Write a depth map into an Image as 32FC1, in place; the header is the caller's.

    depth_m  (H, W) float32, Z in metres; NaN unknown, +inf nothing hit
    unknown  written for NaN; 0 for consumers that test for it, such as nvblox
    """
    write_image(np.asarray(depth_m, np.float32), msg, '32FC1')
    if not np.isnan(unknown):
        pixels = resized_data(msg, depth_m.size * 4).view(np.float32)
        pixels[np.isnan(pixels)] = unknown


def write_depth_mm(depth_m: Depth, msg: Any) -> None:
    """Write a depth map into an Image as 16UC1, in place: millimetres, 0 unknown (REP-118).

    Nothing hit (+inf) and what is beyond 65.535 m become unknown, for the type holds no more.
    depth_m  (H, W) float32, Z in metres
    """
    write_image(millimetres(depth_m), msg, '16UC1')


def write_share(share: Depth, msg: Any, encoding: str) -> None:
    """Write shares, such as confidence, into an Image, in place; the header is the caller's.

    share     (H, W) float32 in [0, 1]
    encoding  32FC1: as it is; mono8, 16UC1: rounded, the greatest value of the type is 1
    raises    InputError for another encoding
    """
    if encoding not in _SHARE_ENCODINGS:
        raise InputError(
            f'{encoding!r} is not an encoding of confidence; give one of '
            f'{" ".join(_SHARE_ENCODINGS)}'
        )
    dtype, one = _SHARE_ENCODINGS[encoding]
    pixels = np.asarray(share, np.float32)
    write_image(pixels if one == 1 else np.rint(one * pixels).astype(dtype), msg, encoding)


def decode_share(msg: Any) -> Depth:
    """Decode an Image of `write_share`.

    returns  (H, W) float32 in [0, 1]
    raises   InputError if its encoding is another, or size, step and data do not fit together
    """
    if msg.encoding not in _SHARE_ENCODINGS:
        raise InputError(
            f'image encoding {msg.encoding!r} is not one of confidence; known are '
            f'{" ".join(_SHARE_ENCODINGS)}'
        )
    (dtype, one), raw = _SHARE_ENCODINGS[msg.encoding], raw_image(msg)
    return np.divide(raw.plane(raw.height, raw.width, dtype), one, dtype=np.float32)


def write_image(pixels: NDArray[Any], msg: Any, encoding: str) -> None:
    """Write pixels into an Image, in place and without an allocation once the size has settled.

    pixels    (H, W) or (H, W, C), of the type that ``encoding`` names
    """
    msg.height, msg.width = pixels.shape[:2]
    msg.encoding = encoding
    msg.is_bigendian = int(sys.byteorder == 'big')
    msg.step = pixels.nbytes // pixels.shape[0]
    np.copyto(resized_data(msg, pixels.nbytes).view(pixels.dtype).reshape(pixels.shape), pixels)


def resized_data(msg: Any, size: int) -> Bytes:
    """Return a writable view of ``msg.data``, which is replaced only if it has another size.

    rclpy keeps an array.array, whose setter copies once; a slice assignment or a list would take
    a hundred times longer. rosbags keeps an ndarray.
    """
    if len(msg.data) != size or memoryview(msg.data).readonly:
        is_numpy = isinstance(msg.data, np.ndarray)
        msg.data = np.empty(size, np.uint8) if is_numpy else array.array('B', bytes(size))
    return np.frombuffer(msg.data, np.uint8)
