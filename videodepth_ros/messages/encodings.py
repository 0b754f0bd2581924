# SPDX-License-Identifier: Apache-2.0
"""Pixel formats of sensor_msgs/Image: one table, encoding name -> decoder to 8-bit RGB.

16-bit images keep their full range: v -> round(v / 257), so that 0..65535 becomes 0..255. No frame
is stretched by its own minimum and maximum, for that would make the brightness flicker. YUV is
BT.601 in video range (16..235), which is what V4L2 cameras send. Types without a colour order
(8UC3, 16UC3) hold BGR, as OpenCV's images do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from videodepth_ros.core.errors import InputError

Bytes = NDArray[np.uint8]


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

        rows, samples  its size; ``offset`` where it starts, ``step`` between its rows, in bytes
        returns        (rows, samples) of ``dtype`` in the machine's own byte order
        raises         InputError if a row does not fit its step, or the data ends too early
        """
        step = self.step if step is None else step
        sample = np.dtype(dtype)
        row_bytes = samples * sample.itemsize
        if step < row_bytes:
            raise InputError(
                f'image step is {step} bytes, but a row of {self.width} '
                f'{self.encoding} pixels takes {row_bytes}; '
                'correct step or encoding in the camera driver'
            )
        needed = offset + step * (rows - 1) + row_bytes
        if self.data.size < needed:
            raise InputError(
                f'image data has {self.data.size} bytes, but a {self.encoding} image '
                f'of {self.width}x{self.height} with step {step} takes {needed}; '
                'the message was cut off, or its size or encoding is wrong'
            )
        stored = sample.newbyteorder('>' if self.is_bigendian else '<')
        plane = np.ndarray((rows, samples), stored, self.data, offset, (step, sample.itemsize))
        return plane.astype(sample, copy=False)

    def require_even(self, *, height: bool) -> None:
        """Raise InputError unless the width, and the height too if asked, divide by two."""
        if self.width % 2 or (height and self.height % 2):
            raise InputError(
                f'a {self.encoding} image cannot be {self.width}x{self.height}: '
                'neighbours share a colour; set an even size in the camera driver'
            )


Decoder = Callable[[RawImage], Bytes]


def to_8bit(image: NDArray[Any]) -> Bytes:
    """Return uint8 samples as they are, uint16 ones over their full range: round(v / 257)."""
    if image.dtype == np.uint8:
        return image
    aligned = np.ascontiguousarray(image)  # OpenCV refuses rows of 16 bits with an odd step
    return np.asarray(cv2.convertScaleAbs(aligned, alpha=1.0 / 257.0), np.uint8)


def _convert(pixels: Bytes, code: int) -> Bytes:
    return np.asarray(cv2.cvtColor(pixels, code), np.uint8)


def _packed(dtype: str, channels: int, code: int | None = None) -> Decoder:
    """Decode pixels of ``channels`` samples that lie side by side."""

    def decode(raw: RawImage) -> Bytes:
        plane = to_8bit(raw.plane(raw.height, raw.width * channels, dtype))
        shape = (raw.height, raw.width) if channels == 1 else (raw.height, raw.width, channels)
        pixels = plane.reshape(shape)
        return np.ascontiguousarray(pixels) if code is None else _convert(pixels, code)

    return decode


def _yuv422(code: int) -> Decoder:
    """Decode packed 4:2:2, where two pixels share one colour."""
    packed = _packed('u1', 2, code)

    def decode(raw: RawImage) -> Bytes:
        raw.require_even(height=False)
        return packed(raw)

    return decode


def _semiplanar_yuv420(code: int) -> Decoder:
    """Decode a luma plane and then a half-size plane of colour pairs, both with the same step."""

    def decode(raw: RawImage) -> Bytes:
        raw.require_even(height=True)
        planes = raw.plane(raw.height * 3 // 2, raw.width)
        return _convert(planes, code)

    return decode


_RGB_FROM_YCBCR = np.array(
    [[1.164383, 0.0, 1.596027], [1.164383, -0.391762, -0.812968], [1.164383, 2.017232, 0.0]]
)
"""BT.601 video range (ITU-R BT.601-7, section 3.5) for (Y - 16, Cb - 128, Cr - 128)."""


def _nv24(raw: RawImage) -> Bytes:
    """Decode a luma plane and then a full-size one of Cb, Cr pairs, its step twice the luma's."""
    luma = raw.plane(raw.height, raw.width)
    chroma = raw.plane(raw.height, 2 * raw.width, offset=raw.height * raw.step, step=2 * raw.step)
    ycbcr: NDArray[Any] = np.dstack([luma, chroma.reshape(raw.height, raw.width, 2)])
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
    '16UC1': _packed('u2', 1, cv2.COLOR_GRAY2RGB),
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
}


def decoder(encoding: str) -> Decoder:
    """Return the decoder of an encoding; raise InputError with the known ones if there is none."""
    try:
        return DECODERS[encoding]
    except KeyError:
        raise InputError(
            f'image encoding {encoding!r} is not one that camera images have; give '
            'the topic of the colour image, or set its driver to one of '
            f'{" ".join(DECODERS)}'
        ) from None
