# SPDX-License-Identifier: Apache-2.0
"""Videos and folders of images as compressed camera frames."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from videodepth_ros.bags.options import FOOTAGE
from videodepth_ros.bags.reader import natural_sort_key
from videodepth_ros.core.errors import InputError

PASSTHROUGH_FORMATS = {'.jpg': 'jpeg', '.jpeg': 'jpeg', '.png': 'png'}
"""Image files that are copied unchanged, and their ``format`` in a CompressedImage."""

TRANSCODED_SUFFIXES = ('.bmp', '.ppm', '.pgm', '.tif', '.tiff', '.webp')
"""Image files that are transcoded to PNG."""

EXIF_MARKER = b'Exif\0\0'
"""Start of the EXIF data of a JPEG file, which may hold the orientation of the camera."""


@dataclass(frozen=True)
class FootageFrame:
    """One compressed frame.

    time_s         since the first frame
    data           bytes of a JPEG or PNG file
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
    """A video or a folder of images.

    count    number of frames that its header states
    rate_hz  frame rate; frames of a video have stamps of their own
    """

    path: Path
    count: int
    rate_hz: float

    def frames(self) -> Iterator[FootageFrame]:
        """Yield the frames in order.

        raises  InputError for an image that cannot be decoded; a video ends where it is damaged
        """
        return (_frames_of_folder if self.path.is_dir() else _frames_of_video)(self)


def open_footage(path: Path, rate_hz: float | None = None) -> Footage:
    """Open a video or a folder of images.

    rate_hz  overrides that of a video, and the default of a folder
    raises   InputError if there is no frame
    """
    if not path.exists():
        raise InputError(f'{path} does not exist; give a video, or a folder of images')
    if path.is_dir():
        count = len(_files(path))
        if not count:
            known = ', '.join((*PASSTHROUGH_FORMATS, *TRANSCODED_SUFFIXES))
            raise InputError(f'{path} has no images; give a folder with files that end in {known}')
        return Footage(path, count, rate_hz or FOOTAGE.folder_rate_hz)
    video = _open(path)
    nominal_hz = float(video.get(cv2.CAP_PROP_FPS))
    count = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
    if not rate_hz and not (math.isfinite(nominal_hz) and nominal_hz > 0):
        raise InputError(f'{path} has no frame rate; give --rate-hz')
    return Footage(path, max(count, 0), rate_hz or nominal_hz)


def _files(folder: Path) -> list[Path]:
    """Return the images of a folder, sorted naturally: 2 before 10."""
    return sorted(
        (
            path
            for path in folder.iterdir()
            if path.suffix.lower() in (*PASSTHROUGH_FORMATS, *TRANSCODED_SUFFIXES)
        ),
        key=natural_sort_key,
    )


def _frames_of_folder(footage: Footage) -> Iterator[FootageFrame]:
    for k, path in enumerate(_files(footage.path)):
        data, kind = path.read_bytes(), PASSTHROUGH_FORMATS.get(path.suffix.lower())
        pixels = _decoded(data, path)
        if kind is None:
            data, kind = _encoded('.png', pixels), 'png'
        elif kind == 'jpeg' and EXIF_MARKER in data[: FOOTAGE.exif_search_bytes]:
            data, pixels = _apply_orientation(data, pixels)
        yield FootageFrame(k / footage.rate_hz, data, kind, pixels.shape[1], pixels.shape[0])


def _decoded(data: bytes, path: Path) -> NDArray[Any]:
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if data else None
    if pixels is None:
        raise InputError(f'{path} cannot be decoded as an image; repair or remove it')
    return np.asarray(pixels)


def _apply_orientation(data: bytes, pixels: NDArray[Any]) -> tuple[bytes, NDArray[Any]]:
    """Return a JPEG and its pixels rotated by its EXIF orientation, which subscribers ignore."""
    rotated = np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_ANYCOLOR))
    return (
        (data, pixels) if np.array_equal(rotated, pixels) else (_encoded('.jpg', rotated), rotated)
    )


def _open(path: Path) -> cv2.VideoCapture:
    video = cv2.VideoCapture(str(path))
    if not video.isOpened():
        raise InputError(
            f'{path} cannot be read as a video; convert it, for example to mp4 with '
            'H.264, or give a folder of images'
        )
    return video


def _frames_of_video(footage: Footage) -> Iterator[FootageFrame]:
    """Yield the frames, rotated upright, at their own stamps as far as these increase."""
    video = _open(footage.path)
    nominal_hz = float(video.get(cv2.CAP_PROP_FPS))
    speed = footage.rate_hz / nominal_hz if nominal_hz > 0 else 1.0
    last_s = -1 / footage.rate_hz
    while True:
        is_read, pixels = video.read()
        if not is_read:
            return
        time_s = float(video.get(cv2.CAP_PROP_POS_MSEC)) * 1e-3 / speed
        if not last_s < time_s < last_s + FOOTAGE.max_pause_s:  # no stamp, or a wrong one
            time_s = last_s + 1 / footage.rate_hz
        height, width = pixels.shape[:2]
        yield FootageFrame(time_s, _encoded('.jpg', pixels), 'jpeg', width, height)
        last_s = time_s


def _encoded(suffix: str, pixels: NDArray[Any]) -> bytes:
    parameters = [cv2.IMWRITE_JPEG_QUALITY, FOOTAGE.jpeg_quality] if suffix == '.jpg' else []
    _, data = cv2.imencode(suffix, pixels, parameters)
    return data.tobytes()
