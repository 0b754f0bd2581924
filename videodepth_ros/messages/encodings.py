# SPDX-License-Identifier: Apache-2.0
"""Pixel formats of sensor_msgs/Image: one table, encoding name -> decoder to 8-bit RGB.

16-bit images keep their full range, 0..65535 becomes 0..255, unless the stream uses fewer bits
(`SampleScale`). YUV is BT.601 in video range (16..235), which is what V4L2 cameras send. Types
without a colour order (8UC3, 16UC3) hold BGR, as OpenCV's images do.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from videodepth_ros.core.errors import InputError
from videodepth_ros.messages.sample_scale import Bytes

MAX_TRAILING_BYTES = 4096
"""Bytes after the last row that are ignored: buffers of drivers end at a page of memory."""
ROW_ALIGNMENT_BYTES = 16
"""Least unit to which drivers pad rows."""


@dataclass(frozen=True)
class RawImage:
    """The pixels of a message as they lie in memory.

    data  (N,) uint8; rows of ``step`` bytes, of which the last may lack its padding
    """

    data: Bytes
    width: int
    height: int
    step: int
    encoding: str
    is_bigendian: bool = False

    def plane(
        self,
        rows: int,
        samples: int,
        dtype: str = 'u1',
        *,
        offset: int = 0,
        step: int | None = None,
    ) -> NDArray[Any]:
        """View one plane in memory, without its padding.

        rows, samples  its size; ``offset`` where it starts, ``step`` between its rows, in bytes;
                       None: that of `row_step`
        returns        (rows, samples) of ``dtype`` in the machine's own byte order
        raises         InputError if the rows do not fit the data
        """
        sample = np.dtype(dtype)
        row_bytes = samples * sample.itemsize
        step = self.row_step(rows, row_bytes) if step is None else step
        needed = offset + step * (rows - 1) + row_bytes
        if self.data.size < needed:
            raise InputError(self._misfit(step, needed))
        stored = sample.newbyteorder('>' if self.is_bigendian else '<')
        plane = np.ndarray((rows, samples), stored, self.data, offset, (step, sample.itemsize))
        return plane.astype(sample, copy=False)

    def row_step(self, rows: int, row_bytes: int) -> int:
        """Return the bytes from row to row: ``step``, or that of the data where it is wrong.

        The data has another step if it divides into rows without or with the usual padding, and
        is not a number of whole rows of ``step``, as a message that was cut off is.
        rows, row_bytes  of all planes together
        raises           InputError if rows of neither step fit the data
        """
        step, size = self.step, self.data.size
        is_possible = step >= row_bytes and step * (rows - 1) + row_bytes <= size
        if is_possible and size <= step * rows:
            return step
        even, rest = divmod(size, rows)
        is_aligned = even == row_bytes or even % ROW_ALIGNMENT_BYTES == 0
        is_cut = row_bytes <= step <= 2 * row_bytes and size < step * rows and size % step == 0
        is_even = rest == 0 and row_bytes <= even < 2 * row_bytes
        if is_even and not is_cut and (is_aligned or step < row_bytes):
            return even
        if is_possible and size - step * rows < MAX_TRAILING_BYTES:
            return step
        if step < row_bytes:
            raise InputError(
                f'image step is {step} bytes, but a row of {self.width} '
                f'{self.encoding} pixels takes {row_bytes}; '
                'correct step or encoding in the camera driver'
            )
        raise InputError(self._misfit(step, step * rows))

    def _misfit(self, step: int, needed: int) -> str:
        return (
            f'image data has {self.data.size} bytes, but a {self.encoding} image '
            f'of {self.width}x{self.height} with step {step} takes {needed}; '
            'the message was cut off, or its size, step or encoding is wrong: correct them in the '
            'camera driver'
        )

    def require_even(self, *, height: bool) -> None:
        """Raise InputError unless the width, and the height too if asked, divide by two."""
        if self.width % 2 or (height and self.height % 2):
            raise InputError(
                f'a {self.encoding} image cannot be {self.width}x{self.height}: '
                'neighbours share a colour; set an even size in the camera driver'
            )


To8Bit = Callable[[NDArray[Any]], Bytes]
Decoder = Callable[[RawImage, To8Bit], Bytes]


def _convert(pixels: Bytes, code: int) -> Bytes:
    return np.asarray(cv2.cvtColor(pixels, code), np.uint8)


def _packed(dtype: str, channels: int, code: int | None = None) -> Decoder:
    """Decode pixels of ``channels`` samples that lie side by side."""

    def decode(raw: RawImage, convert: To8Bit) -> Bytes:
        plane = convert(raw.plane(raw.height, raw.width * channels, dtype))
        shape = (raw.height, raw.width) if channels == 1 else (raw.height, raw.width, channels)
        pixels = plane.reshape(shape)
        return np.ascontiguousarray(pixels) if code is None else _convert(pixels, code)

    return decode


def _yuv422(code: int) -> Decoder:
    """Decode packed 4:2:2, where two pixels share one colour."""
    packed = _packed('u1', 2, code)

    def decode(raw: RawImage, convert: To8Bit) -> Bytes:
        raw.require_even(height=False)
        return packed(raw, convert)

    return decode


def _semiplanar_yuv420(code: int) -> Decoder:
    """Decode a luma plane and then a half-size plane of colour pairs, both with the same step."""

    def decode(raw: RawImage, _: To8Bit) -> Bytes:
        raw.require_even(height=True)
        planes = raw.plane(raw.height * 3 // 2, raw.width)
        return _convert(planes, code)

    return decode


def _planar_yuv420(code: int) -> Decoder:
    """Decode a luma plane and then two half-size planes of colour, with half its step."""

    def decode(raw: RawImage, _: To8Bit) -> Bytes:
        raw.require_even(height=True)
        height, width = raw.height, raw.width
        step = raw.row_step(height * 3 // 2, width)
        size, half = height * step, step // 2
        planes = [
            raw.plane(height, width, step=step),
            raw.plane(height // 2, width // 2, offset=size, step=half),
            raw.plane(height // 2, width // 2, offset=size + height // 2 * half, step=half),
        ]
        pixels = np.concatenate([plane.reshape(-1) for plane in planes])
        return _convert(pixels.reshape(height * 3 // 2, width), code)

    return decode


_RGB_FROM_YCBCR = np.array(
    [[1.164383, 0.0, 1.596027], [1.164383, -0.391762, -0.812968], [1.164383, 2.017232, 0.0]]
)
"""BT.601 video range (ITU-R BT.601-7, section 3.5) for (Y - 16, Cb - 128, Cr - 128)."""


def _nv24(raw: RawImage, _: To8Bit) -> Bytes:
    """Decode a luma plane and then a full-size one of Cb, Cr pairs, its step twice the luma's."""
    height, width = raw.height, raw.width
    step = raw.row_step(3 * height, width)
    luma = raw.plane(height, width, step=step)
    chroma = raw.plane(height, 2 * width, offset=height * step, step=2 * step)
    ycbcr: NDArray[Any] = np.dstack([luma, chroma.reshape(height, width, 2)])
    offset = -_RGB_FROM_YCBCR @ np.array([16.0, 128.0, 128.0])
    return np.asarray(cv2.transform(ycbcr, np.column_stack([_RGB_FROM_YCBCR, offset])), np.uint8)


_BAYER = {
    'rggb': cv2.COLOR_BayerRGGB2RGB,
    'bggr': cv2.COLOR_BayerBGGR2RGB,
    'gbrg': cv2.COLOR_BayerGBRG2RGB,
    'grbg': cv2.COLOR_BayerGRBG2RGB,
}

DECODERS: dict[str, Decoder] = {
    'rgb8': _packed('u1', 3),
    'bgr8': _packed('u1', 3, cv2.COLOR_BGR2RGB),
    'rgba8': _packed('u1', 4, cv2.COLOR_RGBA2RGB),
    'bgra8': _packed('u1', 4, cv2.COLOR_BGRA2RGB),
    'rgb16': _packed('u2', 3),
    'bgr16': _packed('u2', 3, cv2.COLOR_BGR2RGB),
    'rgba16': _packed('u2', 4, cv2.COLOR_RGBA2RGB),
    'bgra16': _packed('u2', 4, cv2.COLOR_BGRA2RGB),
    'mono8': _packed('u1', 1, cv2.COLOR_GRAY2RGB),
    'mono16': _packed('u2', 1, cv2.COLOR_GRAY2RGB),
    '8UC1': _packed('u1', 1, cv2.COLOR_GRAY2RGB),
    '8UC3': _packed('u1', 3, cv2.COLOR_BGR2RGB),
    '8UC4': _packed('u1', 4, cv2.COLOR_BGRA2RGB),
    '16UC3': _packed('u2', 3, cv2.COLOR_BGR2RGB),
    '16UC4': _packed('u2', 4, cv2.COLOR_BGRA2RGB),
    **{f'bayer_{order}8': _packed('u1', 1, code) for order, code in _BAYER.items()},
    **{f'bayer_{order}16': _packed('u2', 1, code) for order, code in _BAYER.items()},
    'uyvy': _yuv422(cv2.COLOR_YUV2RGB_UYVY),
    'yuv422': _yuv422(cv2.COLOR_YUV2RGB_UYVY),
    'yuyv': _yuv422(cv2.COLOR_YUV2RGB_YUY2),
    'yuv422_yuy2': _yuv422(cv2.COLOR_YUV2RGB_YUY2),
    'nv12': _semiplanar_yuv420(cv2.COLOR_YUV2RGB_NV12),
    'nv21': _semiplanar_yuv420(cv2.COLOR_YUV2RGB_NV21),
    'nv24': _nv24,
    'i420': _planar_yuv420(cv2.COLOR_YUV2RGB_I420),
    'yv12': _planar_yuv420(cv2.COLOR_YUV2RGB_YV12),
}


DEPTH_ENCODINGS = ('16UC1', '16SC1', '32FC1', '64FC1')
"""Encodings of depth and disparity (REP-118), which are no camera images."""

_GENICAM = {'rg': 'rggb', 'bg': 'bggr', 'gb': 'gbrg', 'gr': 'grbg'}  # orders of Bayer mosaics
_ALIASES = {
    'rgb8': 'rgb rgb24 rgb888 r8g8b8',
    'bgr8': 'bgr bgr24 bgr888 b8g8r8',
    'rgba8': 'rgba rgba32 rgba8888 rgbx rgb0',
    'bgra8': 'bgra bgra32 bgra8888 bgrx bgr0',
    'mono8': 'mono grey gray grey8 gray8 y8 y800 l8 luminance',
    'mono16': 'grey16 gray16 y16 l16 mono10 mono12 mono14 y10 y12 y14',
    '16UC1': 'z16',
    'uyvy': 'uyvy422 2vuy',
    'yuyv': 'yuy2 yuyv422 yuv422yuyv yuyv2',
    'nv12': 'yuv420nv12',
    'nv21': 'yuv420nv21',
    'i420': 'yuv420 yuv420p yu12 iyuv yuvi420',
    'yv12': 'yuv420yv12',
    **{
        f'bayer_{order}{bits}': ' '.join(
            f'bayer{name}{used}'
            for name in (order, genicam)
            for used in ((8,) if bits == 8 else (10, 12, 14, 16))
        )
        for genicam, order in _GENICAM.items()
        for bits in (8, 16)
    },
}
"""Other names of encodings: of V4L2, GStreamer, FFmpeg and GenICam."""


def _squeezed(name: str) -> str:
    return re.sub('[^a-z0-9]', '', name.lower())


_CANONICAL = {
    **{alias: name for name, aliases in _ALIASES.items() for alias in aliases.split()},
    **{_squeezed(name): name for name in (*DECODERS, *DEPTH_ENCODINGS)},
}


def canonical_encoding(encoding: str) -> str:
    """Return the name in sensor_msgs/image_encodings.hpp of an encoding, itself if unknown."""
    return _CANONICAL.get(_squeezed(encoding), encoding)


def refuse_depth(described: str) -> InputError:
    """Return the error of a depth map where a camera image is expected."""
    return InputError(
        f'{described} is a depth map (REP-118); give the topic of the colour image, or have a '
        'thermal or infrared camera publish mono16'
    )


def decoder(encoding: str) -> Decoder:
    """Return the decoder of an encoding; raise InputError with the known ones if there is none."""
    name = canonical_encoding(encoding)
    if name in DEPTH_ENCODINGS:
        raise refuse_depth(f'image with encoding {encoding!r}')
    try:
        return DECODERS[name]
    except KeyError:
        raise InputError(
            f'image encoding {encoding!r} is not one that camera images have; give '
            'the topic of the colour image, or set its driver to one of '
            f'{" ".join(DECODERS)}'
        ) from None
