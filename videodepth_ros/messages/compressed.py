# SPDX-License-Identifier: Apache-2.0
"""CompressedImage: what image_transport's compressed and compressedDepth plugins write."""

from __future__ import annotations

import array
import re
import struct
from typing import Any

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from videodepth_ros.core.errors import InputError
from videodepth_ros.messages.encodings import (
    DECODERS,
    DEPTH_ENCODINGS,
    RawImage,
    To8Bit,
    canonical_encoding,
    decoder,
    refuse_depth,
)
from videodepth_ros.messages.image_file import PNG_START, decode_file
from videodepth_ros.messages.sample_scale import Bytes, to_8bit

MAX_EXTRANEOUS_BYTES = 16
"""Bytes before the end of a JPEG that its image does not use: many webcams send a few."""
MAX_PIXELS = 1 << 28
"""Pixels of the largest image that is decoded."""
MAX_PIXELS_A_BYTE = 256
"""Pixels in a byte of JPEG data at most, where a block of 64 takes two bits."""
_SMALL_PIXELS = 1 << 24  # below it no ratio is checked [px]

_JPEG_START, _JPEG_SCAN, _JPEG_END = b'\xff\xd8', b'\xff\xda', b'\xff\xd9'
_TARGETS = {'Gray': 'GRAY', 'YCbCr': 'BGR', 'RGB': 'BGR'}
"""Colours that simplejpeg decodes to, by those of the file."""
_EXTRANEOUS = re.compile(r'(\d+) extraneous bytes before marker 0xd9')
_STANDARD_AC = bytes.fromhex('0002010303020403050504040000017d')
"""Code lengths of the usual Huffman table (ITU-T T.81, table K.5)."""
_LOST = bytes(32)
"""Zeros that fill a lost packet: 256 bits, where a block of 63 coefficients -1 takes 191."""
_VIDEO = re.compile(r'h\.?26[45]|hevc|avc|av1|vp[89]|mpeg', re.IGNORECASE)
_DEPTH_HEADER = struct.Struct('<iff')  # kind, then a and b of depth = a / (value - b)
_RVL_SIZE = struct.Struct('<ii')  # columns and rows
_INVERSE_DEPTH = 0  # kind
_MOST = 65535
DEPTH_FORMS = ('png', 'rvl')
"""Compressions of compressedDepth: PNG is smaller, RVL takes less time."""


def _imdecode(data: Bytes, described: str) -> NDArray[Any]:
    """Decode a JPEG, PNG or TIFF file without turning it; raise InputError if it is damaged."""
    content = data.tobytes()
    image: NDArray[Any] | None = None
    if content.startswith(_JPEG_START):
        image = _decode_jpeg(content, described)
    if image is None:
        image = decode_file(data, cv2.IMREAD_UNCHANGED)
    if image is None:
        raise InputError(
            f'{described} of {data.size} bytes cannot be decoded: it is damaged, or '
            'neither JPEG nor PNG; publish one of these'
        )
    return image


def _decode_jpeg(content: bytes, described: str) -> Bytes | None:
    """Decode a JPEG, (H, W) grey or (H, W, 3) BGR; None if it is CMYK, and whole.

    OpenCV fills lost parts and prints a warning. Here each warning of libjpeg is an error, but for
    a few bytes too many at the end.
    raises  InputError if a part is lost
    """
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(content)
    except ValueError:
        return None
    _check_pixels(width * height, len(content), described)
    target = _TARGETS.get(colours, 'CMYK')
    fault = 'bytes are zero' if _has_lost_packet(content) else ''
    try:
        image = simplejpeg.decode_jpeg(content, target, False, False)
    except ValueError as error:
        extraneous = _EXTRANEOUS.search(str(error))
        if extraneous is None or int(extraneous[1]) > MAX_EXTRANEOUS_BYTES:
            fault = str(error)
        else:
            image = simplejpeg.decode_jpeg(content, target, False, False, strict=False)
    if fault:
        raise InputError(
            f'{described} of {len(content)} bytes is a JPEG that was cut off or has lost a part '
            f'({fault}); check the link from the camera'
        )
    if target == 'CMYK':
        return None
    return np.asarray(image[..., 0] if target == 'GRAY' else image, np.uint8)


def _has_lost_packet(content: bytes) -> bool:
    """Return whether zeros stand where the code of an image has no such run."""
    scan = content.rfind(_JPEG_SCAN), content.rfind(_JPEG_END)
    return _STANDARD_AC in content and content.find(_LOST, *scan) >= 0


def _check_pixels(pixels: int, size: int, described: str) -> None:
    """Raise InputError if a file of ``size`` bytes cannot have so many pixels."""
    if pixels > MAX_PIXELS or pixels > max(_SMALL_PIXELS, MAX_PIXELS_A_BYTE * size):
        raise InputError(
            f'{described} of {size} bytes has a header for {pixels} pixels; check the publisher'
        )


def _data(msg: Any, described: str) -> Bytes:
    """View the data of a message; raise InputError if it has none."""
    if len(msg.data) == 0:
        raise InputError(f'{described} has no data; check the publisher')
    return np.frombuffer(msg.data, np.uint8)


def decode_compressed(msg: Any, convert: To8Bit = to_8bit) -> Bytes:
    """Decode a CompressedImage: JPEG or PNG, 8 or 16 bit, colour, grey or a Bayer mosaic.

    The ``format`` field is ``jpeg`` or ``png``, or as image_transport writes it, for example
    ``rgb8; jpeg compressed bgr8``: the encoding of the image before, then what the file holds.
    convert  conversion of 16-bit samples, such as the `SampleScale` of the stream
    returns  (H, W, 3) uint8 RGB, contiguous
    raises   InputError if the data is damaged, is a video, or is a depth map
    """
    before, _, inside = (part.strip() for part in msg.format.partition(';'))
    described = f'compressed image (format {msg.format!r})'
    encoding = canonical_encoding(before)
    if encoding in DEPTH_ENCODINGS or 'compresseddepth' in msg.format.lower():
        raise refuse_depth(described)
    if _VIDEO.search(msg.format):
        raise InputError(
            f'{described} is a packet of a video; republish it as images, as '
            'ffmpeg_image_transport does'
        )
    pixels = _imdecode(_data(msg, described), described)
    if pixels.dtype not in (np.uint8, np.uint16):
        raise refuse_depth(f'{described} of {pixels.dtype} pixels')
    image = convert(pixels)
    if image.ndim == 2:
        height, width = image.shape
        is_mosaic = encoding.startswith('bayer_')
        encoding = f'{encoding.rstrip("1689")}8' if is_mosaic else 'mono8'
        flat = np.ascontiguousarray(image).reshape(-1)
        return decoder(encoding)(RawImage(flat, width, height, width, encoding), convert)
    if 'compressed rgb' in inside:  # the file holds RGB where OpenCV expects BGR
        return np.ascontiguousarray(image[..., :3])
    code = cv2.COLOR_BGRA2RGB if image.shape[2] == 4 else cv2.COLOR_BGR2RGB
    return np.asarray(cv2.cvtColor(image, code), np.uint8)


def decode_compressed_depth(msg: Any) -> NDArray[np.float32]:
    """Decode a depth map of the compressedDepth plugin (PNG or RVL), or of compressed (PNG, TIFF).

    compressedDepth has a header of 12 bytes, which publishers without the plugin leave out; it
    stores 32FC1 as 16-bit inverse depth, value = a / depth + b, where a is not zero. 16-bit
    integers are millimetres otherwise, floats are metres.
    returns  (H, W) float32, metres; 0 or NaN where unknown
    raises   InputError if it is another format, or is damaged
    """
    described = f'compressed depth (format {msg.format!r})'
    before, _, inside = (part.strip() for part in msg.format.partition(';'))
    encoding = canonical_encoding(before)
    is_plugin = 'compresseddepth' in msg.format.lower()
    is_named = encoding in DEPTH_ENCODINGS or encoding in DECODERS
    if is_plugin and is_named and encoding not in ('32FC1', '16UC1', 'mono16'):
        raise InputError(f'{described} is not of 32FC1 or 16UC1; publish the depth as Image')
    data = _data(msg, described)
    content = data[_DEPTH_HEADER.size :]
    if (_is_png(data) and encoding != '32FC1') or not (is_plugin or _is_png(content)):
        return _in_metres(_imdecode(data, described), described)
    if not content.size:
        raise InputError(f'{described} has only {data.size} bytes; check the publisher')
    decode = _rvl if 'rvl' in inside.lower() else _imdecode
    values = decode(content, described)
    _, a, b = _DEPTH_HEADER.unpack(data[: _DEPTH_HEADER.size].tobytes())
    is_inverse = encoding == '32FC1' if is_named else a != 0.0
    if values.dtype != np.uint16 or not is_inverse:
        return _in_metres(values, described)
    if a == 0.0:
        raise InputError(
            f'{described} has a header of zeros, where inverse depth has its quantisation; name '
            'millimetres 16UC1 in the format'
        )
    with np.errstate(divide='ignore'):
        depth_m = np.float32(a) / (values.astype(np.float32) - np.float32(b))
    depth_m[values == 0] = np.nan
    return depth_m.astype(np.float32, copy=False)


def _is_png(data: Bytes) -> bool:
    return data[: len(PNG_START)].tobytes() == PNG_START


def _in_metres(values: NDArray[Any], described: str) -> NDArray[np.float32]:
    """Return 16-bit millimetres or metres as float32 metres; raise InputError for other pixels."""
    is_float = np.issubdtype(values.dtype, np.floating)
    if values.ndim != 2 or not (is_float or values.dtype == np.uint16):
        raise InputError(
            f'{described} holds {values.dtype} pixels of shape {values.shape}, not 16-bit grey '
            'ones or metres; choose the depth topic'
        )
    metres = values if is_float else values / np.float32(1000)
    return np.asarray(metres, np.float32)


def _rvl(data: Bytes, described: str) -> NDArray[np.uint16]:
    """Decode the RVL image of a compressedDepth message, behind its header."""
    from videodepth_ros.messages.rvl import decode_rvl  # numba, which images do not need

    if data.size < _RVL_SIZE.size:
        raise InputError(f'{described} has only {data.size} bytes; check the publisher')
    width, height = _RVL_SIZE.unpack(data[: _RVL_SIZE.size].tobytes())
    try:
        return decode_rvl(data[_RVL_SIZE.size :], width, height)
    except ValueError as error:
        raise InputError(f'{described} is damaged: {error}; check the publisher') from error


def write_compressed_depth(depth_m: NDArray[np.float32], msg: Any, form: str = 'png') -> None:
    """Write a depth map into a CompressedImage as compressedDepth does 32FC1, in place.

    depth_m  (H, W) float32, Z in metres; NaN unknown, as is +inf, which the format cannot hold
    form     one of `DEPTH_FORMS`

    16-bit inverse depth, spread between the nearest and the farthest depth of this map (the
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
    _write_depth_form(values, '32FC1', (float(a), float(b)), msg, form)


def write_compressed_depth_mm(depth_m: NDArray[np.float32], msg: Any, form: str = 'png') -> None:
    """Write a depth map into a CompressedImage as compressedDepth does 16UC1, in place.

    depth_m  (H, W) float32, Z in metres; see `millimetres`
    form     one of `DEPTH_FORMS`
    """
    _write_depth_form(millimetres(depth_m), '16UC1', (0.0, 0.0), msg, form)


def millimetres(depth_m: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Return depth (H, W) in mm; 0 where it is unknown, nothing was hit, or beyond 65.535 m."""
    mm = np.rint(np.float32(1000) * depth_m)
    return np.where((mm >= 1) & (mm <= _MOST), mm, np.float32(0)).astype(np.uint16)


def _write_depth_form(
    values: NDArray[np.uint16], encoding: str, ab: tuple[float, float], msg: Any, form: str
) -> None:
    """Write (H, W) values as compressedDepth does, its header first, into a CompressedImage."""
    parts = [np.frombuffer(_DEPTH_HEADER.pack(_INVERSE_DEPTH, *ab), np.uint8)]
    if form == 'rvl':
        from videodepth_ros.messages.rvl import encode_rvl  # numba, which PNG does not need

        parts += [np.frombuffer(_RVL_SIZE.pack(*values.shape[::-1]), np.uint8), encode_rvl(values)]
    else:
        level = [cv2.IMWRITE_PNG_COMPRESSION, 3]
        parts.append(np.asarray(cv2.imencode('.png', values, level)[1], np.uint8).reshape(-1))
    msg.format = f'{encoding}; compressedDepth {form}'
    data = np.concatenate(parts)
    msg.data = data if isinstance(msg.data, np.ndarray) else array.array('B', data.tobytes())
