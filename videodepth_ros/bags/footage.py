# SPDX-License-Identifier: Apache-2.0
"""Videos and folders of images, frame by frame, as what a recording keeps of a camera."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from videodepth_ros.bags.reader import natural_sort_key
from videodepth_ros.core.errors import InputError

PASSTHROUGH_FORMATS = {'.jpg': 'jpeg', '.jpeg': 'jpeg', '.png': 'png'}
"""Image files whose bytes a CompressedImage can hold, and its ``format``."""

TRANSCODED_SUFFIXES = ('.bmp', '.ppm', '.pgm', '.tif', '.tiff', '.webp')
"""Image files that become PNG."""

FOLDER_RATE_HZ = 30.0
JPEG_QUALITY = 95
EXIF = b'Exif\0\0'
"""Of a JPEG in which a camera may have noted how it was held."""
EXIF_WITHIN = 1 << 16


@dataclass(frozen=True)
class FootageFrame:
    """One frame.

    time_s         since the first one
    data           of a JPEG or PNG file
    format         ``jpeg`` or ``png``
    width, height  in pixels
    """

    time_s: float
    data: bytes
    format: str
    width: int
    height: int


@dataclass(frozen=True)
class Footage:
    """Frames of a camera in a file or in a folder.

    count    how many frames there seem to be
    rate_hz  frames a second; of a video it is told by the file, frame by frame
    """

    path: Path
    count: int
    rate_hz: float

    def frames(self) -> Iterator[FootageFrame]:
        """Yield the frames in their order.

        raises  InputError for an image that cannot be read; a video ends where it is damaged
        """
        return (_shots_of_folder if self.path.is_dir() else _shots_of_video)(self)


def open_footage(path: Path, rate_hz: float | None = None) -> Footage:
    """Look at a video or a folder of images.

    rate_hz  overrides what a video says; a folder's is FOLDER_RATE_HZ else
    raises   InputError if there is nothing to be read
    """
    if not path.exists():
        raise InputError(f'{path} does not exist; give a video, or a folder of images')
    if path.is_dir():
        count = len(_files(path))
        if not count:
            known = ', '.join((*PASSTHROUGH_FORMATS, *TRANSCODED_SUFFIXES))
            raise InputError(
                f'{path} holds no images; give a folder with files that end in {known}'
            )
        return Footage(path, count, rate_hz or FOLDER_RATE_HZ)
    video = _open(path)
    told_hz = float(video.get(cv2.CAP_PROP_FPS))
    count = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
    if not rate_hz and not (math.isfinite(told_hz) and told_hz > 0):
        raise InputError(f'{path} does not tell how many frames it has a second; give --rate-hz')
    return Footage(path, max(count, 0), rate_hz or told_hz)


def _files(folder: Path) -> list[Path]:
    """Return the images of a folder; a number in a name counts as a number."""
    return sorted(
        (
            path
            for path in folder.iterdir()
            if path.suffix.lower() in (*PASSTHROUGH_FORMATS, *TRANSCODED_SUFFIXES)
        ),
        key=natural_sort_key,
    )


def _shots_of_folder(footage: Footage) -> Iterator[FootageFrame]:
    for k, path in enumerate(_files(footage.path)):
        data, kind = path.read_bytes(), PASSTHROUGH_FORMATS.get(path.suffix.lower())
        pixels = _decoded(data, path)
        if kind is None:
            data, kind = _encoded('.png', pixels), 'png'
        elif kind == 'jpeg' and EXIF in data[:EXIF_WITHIN]:
            data, pixels = _upright(data, pixels)
        yield FootageFrame(k / footage.rate_hz, data, kind, pixels.shape[1], pixels.shape[0])


def _decoded(data: bytes, path: Path) -> NDArray[Any]:
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if data else None
    if pixels is None:
        raise InputError(f'{path} cannot be read as an image; mend it or take it away')
    return np.asarray(pixels)


def _upright(data: bytes, pixels: NDArray[Any]) -> tuple[bytes, NDArray[Any]]:
    """Return a JPEG and its pixels turned as it notes: of readers of messages only some do so."""
    turned = np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_ANYCOLOR))
    return (data, pixels) if np.array_equal(turned, pixels) else (_encoded('.jpg', turned), turned)


def _open(path: Path) -> cv2.VideoCapture:
    video = cv2.VideoCapture(str(path))
    if not video.isOpened():
        raise InputError(
            f'{path} cannot be read as a video; convert it, for example to mp4 with '
            'H.264, or give a folder of images'
        )
    return video


def _shots_of_video(footage: Footage) -> Iterator[FootageFrame]:
    """Yield the frames, upright, at their own times as far as these run forwards."""
    video = _open(footage.path)
    told_hz = float(video.get(cv2.CAP_PROP_FPS))
    speed = footage.rate_hz / told_hz if told_hz > 0 else 1.0
    last_s = -1 / footage.rate_hz
    while True:
        got, pixels = video.read()
        if not got:
            return
        time_s = float(video.get(cv2.CAP_PROP_POS_MSEC)) * 1e-3 / speed
        if not last_s < time_s < last_s + 10:  # absent, or not to be believed
            time_s = last_s + 1 / footage.rate_hz
        height, width = pixels.shape[:2]
        yield FootageFrame(time_s, _encoded('.jpg', pixels), 'jpeg', width, height)
        last_s = time_s


def _encoded(suffix: str, pixels: NDArray[Any]) -> bytes:
    parameters = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if suffix == '.jpg' else []
    _, data = cv2.imencode(suffix, pixels, parameters)
    return data.tobytes()
