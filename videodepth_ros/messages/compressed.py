# SPDX-License-Identifier: Apache-2.0
"""CompressedImage: what image_transport's compressed and compressedDepth plugins write."""

from __future__ import annotations

import struct
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from videodepth_ros.core.errors import InputError
from videodepth_ros.messages.encodings import Bytes, RawImage, decoder, to_8bit

_JPEG_START, _JPEG_END = b'\xff\xd8', b'\xff\xd9'
_DEPTH_HEADER = struct.Struct('<iff')  # kind, then a and b of depth = a / (value - b)
_INVERSE_DEPTH = 0  # kind
_MOST = 65535


def _imdecode(data: Bytes, described: str) -> NDArray[Any]:
    """Decode a JPEG or PNG file without turning it; raise InputError if it is damaged."""
    content = data.tobytes()
    if content.startswith(_JPEG_START) and _JPEG_END not in content:
        # OpenCV may fill the missing part with grey and only print a warning
        raise InputError(
            f'{described} of {data.size} bytes is a JPEG that was cut off; '
            'check the link from the camera'
        )
    image: NDArray[Any] | None
    try:
        image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    except cv2.error:
        image = None
    if image is None:
        raise InputError(
            f'{described} of {data.size} bytes cannot be decoded: it is damaged, or '
            'neither JPEG nor PNG; publish one of these'
        )
    return image


def _data(msg: Any, described: str) -> Bytes:
    """View the data of a message; raise InputError if it has none."""
    if len(msg.data) == 0:
        raise InputError(f'{described} has no data; check the publisher')
    return np.frombuffer(msg.data, np.uint8)


def decode_compressed(msg: Any) -> Bytes:
    """Decode a CompressedImage: JPEG or PNG, 8 or 16 bit, colour, grey or a Bayer mosaic.

    The ``format`` field is ``jpeg`` or ``png``, or as image_transport writes it, for example
    ``rgb8; jpeg compressed bgr8``: the encoding of the image before, then what the file holds.
    returns  (H, W, 3) uint8 RGB, contiguous
    raises   InputError if the data is damaged, or is a depth map
    """
    before, _, inside = (part.strip() for part in msg.format.partition(';'))
    described = f'compressed image (format {msg.format!r})'
    if 'compresseddepth' in msg.format.lower():
        raise InputError(f'{described} is a depth map; give the topic of the colour image')
    image = to_8bit(_imdecode(_data(msg, described), described))
    if image.ndim == 2:
        height, width = image.shape
        encoding = f'{before.rstrip("1689")}8' if before.startswith('bayer_') else 'mono8'
        flat = np.ascontiguousarray(image).reshape(-1)
        return decoder(encoding)(RawImage(flat, width, height, width, encoding))
    if 'compressed rgb' in inside:  # the file holds RGB where OpenCV expects BGR
        return np.ascontiguousarray(image[..., :3])
    code = cv2.COLOR_BGRA2RGB if image.shape[2] == 4 else cv2.COLOR_BGR2RGB
    return np.asarray(cv2.cvtColor(image, code), np.uint8)


def decode_compressed_depth(msg: Any) -> NDArray[np.float32]:
    """Decode a depth map of the compressedDepth plugin (PNG; its 12-byte header comes first).

    32FC1 was stored as 16-bit inverse depth, value = a / depth + b; 16UC1 as it is, millimetres.
    returns  (H, W) float32, metres; 0 or NaN where unknown
    raises   InputError if it is another format, or is damaged
    """
    described = f'compressed depth (format {msg.format!r})'
    before = msg.format.partition(';')[0].strip()
    is_png = 'compressedDepth' in msg.format and 'rvl' not in msg.format
    if not is_png or before not in ('32FC1', '16UC1'):
        raise InputError(
            f'{described} is not 32FC1 or 16UC1 compressedDepth in PNG; '
            "publish the depth as Image, or set the plugin's format to png"
        )
    data = _data(msg, described)
    if data.size <= _DEPTH_HEADER.size:
        raise InputError(f'{described} has only {data.size} bytes; check the publisher')
    values = _imdecode(data[_DEPTH_HEADER.size :], described)
    if values.ndim != 2 or values.dtype != np.uint16:
        raise InputError(f'{described} holds {values.dtype} pixels, not 16-bit grey ones')
    if before == '16UC1':
        return values.astype(np.float32) / np.float32(1000)
    _, a, b = _DEPTH_HEADER.unpack(data[: _DEPTH_HEADER.size].tobytes())
    with np.errstate(divide='ignore'):
        depth_m = np.float32(a) / (values.astype(np.float32) - np.float32(b))
    depth_m[values == 0] = np.nan
    return depth_m.astype(np.float32, copy=False)


def write_compressed_depth(depth_m: NDArray[np.float32], msg: Any) -> None:
    """Write a depth map into a CompressedImage as compressedDepth does 32FC1, in place.

    depth_m  (H, W) float32, Z in metres; NaN unknown, as is +inf, which the format cannot hold

    16-bit inverse depth in PNG, spread between the nearest and the farthest depth of this map (the
    plugin's own settings would drop all beyond 10 m): an error of at most half a step, which at
    the depth Z is (Z / nearest) Z / 131068.
    """
    known = np.isfinite(depth_m) & (depth_m > 0)
    with np.errstate(divide='ignore', invalid='ignore'):
        inverse = np.where(known, 1 / depth_m, 0).astype(np.float64)
    least, most = (
        (float(inverse[known].min()), float(inverse[known].max())) if known.any() else (0.1, 1.0)
    )
    a = np.float32((_MOST - 1) / max(most - least, 1e-6 * most))
    b = np.float32(1 - float(a) * least)
    values = np.rint(float(a) * inverse + float(b))
    values = np.where(known, np.clip(values, 1, _MOST), 0).astype(np.uint16)
    png = np.asarray(cv2.imencode('.png', values, [cv2.IMWRITE_PNG_COMPRESSION, 3])[1], np.uint8)
    head = np.frombuffer(_DEPTH_HEADER.pack(_INVERSE_DEPTH, a, b), np.uint8)
    msg.format = '32FC1; compressedDepth png'
    msg.data = np.concatenate([head, png.reshape(-1)])
