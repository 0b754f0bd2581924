# SPDX-License-Identifier: Apache-2.0
"""Videos and folders of images as compressed camera frames."""

from __future__ import annotations

import math
import mimetypes
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from videodepth_ros.bags.containers import (
    has_stamps,
    is_counted,
    is_cut_off,
    open_video,
    pixel_aspect,
)
from videodepth_ros.bags.file_stamps import stamps_in_names
from videodepth_ros.bags.options import FOOTAGE
from videodepth_ros.bags.reader import natural_sort_key
from videodepth_ros.core.errors import InputError
from videodepth_ros.messages.image_file import decode_file

PASSTHROUGH_FORMATS = {'.jpg': 'jpeg', '.jpeg': 'jpeg', '.png': 'png'}
"""Image files that are copied unchanged, and their ``format`` in a CompressedImage."""

_ROUNDING = 1e-3

TRANSCODED_SUFFIXES = ('.bmp', '.ppm', '.pgm', '.tif', '.tiff', '.webp')
"""Image files that are transcoded to PNG."""


@dataclass(frozen=True)
class FootageFrame:
    """One compressed frame.

    data           bytes of a JPEG or PNG file
    format         ``jpeg`` or ``png``
    width, height  in pixels
    """

    stamp_ns: int
    data: bytes
    format: str
    width: int
    height: int


@dataclass(frozen=True)
class Footage:
    """A video or a folder of images.

    count         number of frames that is expected; 0: unknown
    is_counted    whether a header states that number, so that missing frames are lost
    rate_hz       frame rate; frames of a video have stamps of their own
    files         images of a folder, in order
    stamps_ns     stamps in the names of the files; None: none, or a rate is given
    pixel_aspect  width of a pixel over its height
    notes         on stamps and pixels
    """

    path: Path
    count: int
    rate_hz: float
    is_counted: bool = True
    files: tuple[Path, ...] = ()
    stamps_ns: tuple[int, ...] | None = None
    pixel_aspect: float = 1.0
    notes: tuple[str, ...] = ()

    def frames(self) -> Iterator[FootageFrame]:
        """Yield the frames in order.

        raises  InputError for an image that cannot be decoded; a video ends where it is damaged
        """
        return (_frames_of_folder if self.files else frames_of_video)(self)

    def lost(self, count: int, last_s: float) -> str | None:
        """Return a description of what is missing after ``count`` frames up to ``last_s``."""
        if self.is_counted and count < self.count:
            missing = f'{self.count - count} of {self.count} frames of {self.path}'
        elif not self.files and is_cut_off(self.path):
            missing = f'the end of {self.path}'
        else:
            return None
        return f'{missing}: it is damaged or truncated {last_s:.2f} s after its start'


def open_footage(path: Path, rate_hz: float | None = None) -> Footage:
    """Open a video or a folder of images.

    rate_hz  overrides that of a video, the stamps in the names of a folder and its default
    raises   InputError if there is no frame
    """
    if not path.exists():
        raise InputError(f'{path} does not exist; give a video, or a folder of images')
    return _open_folder(path, rate_hz) if path.is_dir() else _open_video(path, rate_hz)


def _open_folder(path: Path, rate_hz: float | None) -> Footage:
    files = images_in(path)
    if not files:
        raise InputError(f'{path} has no images; {_where_images_are(path)}')
    notes = _notes_on_files(path, files)
    stamps = stamps_in_names([file.stem for file in files])
    if stamps is None:
        files.sort(key=natural_sort_key)  # 2 before 10
        rate_hz = rate_hz or FOOTAGE.folder_rate_hz
        return Footage(path, len(files), rate_hz, files=tuple(files), notes=notes)
    order = np.argsort(stamps)
    files = [files[k] for k in order]
    if rate_hz:
        return Footage(path, len(files), rate_hz, files=tuple(files), notes=notes)
    stamps = stamps[order] + (0 if stamps.min() > 0 else FOOTAGE.first_stamp_ns)
    period_s = float(np.median(np.diff(stamps))) / 1e9
    return Footage(
        path,
        len(files),
        1 / period_s,
        files=tuple(files),
        stamps_ns=tuple(stamps.tolist()),
        notes=(*notes, 'the stamps are those in the names of the files; --rate-hz overrides them'),
    )


def images_in(folder: Path) -> list[Path]:
    """Return the image files of a folder that can be read, without hidden ones."""
    known = (*PASSTHROUGH_FORMATS, *TRANSCODED_SUFFIXES)
    return [
        file
        for file in folder.iterdir()
        if file.suffix.lower() in known and not (file.name.startswith('.') or file.is_dir())
    ]


def _where_images_are(folder: Path) -> str:
    """Return the next step where a folder has no images."""
    below = sorted(one.name for one in folder.iterdir() if one.is_dir() and images_in(one))
    if below:
        return f'give one of its folders that have: {", ".join(below)}'
    known = ', '.join((*PASSTHROUGH_FORMATS, *TRANSCODED_SUFFIXES))
    return f'give a folder with files that end in {known}'


def _notes_on_files(folder: Path, files: list[Path]) -> tuple[str, ...]:
    """Return notes on images that may be twice among the files, and on what is left out."""
    notes = []
    if twice := len(files) - len({file.stem for file in files}):
        notes.append(
            f'{twice} images have the name of another, with another ending; remove one kind if '
            'they are the same frames'
        )
    left_out = sorted(
        file
        for file in folder.iterdir()
        if (mimetypes.guess_type(file.name)[0] or '').startswith('image/')
        and file.suffix.lower() not in (*PASSTHROUGH_FORMATS, *TRANSCODED_SUFFIXES)
        and not file.name.startswith('.')
    )
    if left_out:
        notes.append(
            f'{len(left_out)} images such as {left_out[0].name} are left out: convert them to '
            'JPEG or PNG'
        )
    tiffs = [file for file in files if file.suffix.lower() in ('.tif', '.tiff')]
    if stacks := [file for file in tiffs if cv2.imcount(str(file)) > 1]:
        notes.append(
            f'{len(stacks)} files such as {stacks[0].name} have several pages, of which the '
            'first is used: save each page as a file'
        )
    return tuple(notes)


def _open_video(path: Path, rate_hz: float | None) -> Footage:
    video = open_video(path)
    nominal_hz = float(video.get(cv2.CAP_PROP_FPS))
    if not rate_hz and not (math.isfinite(nominal_hz) and nominal_hz > 0):
        raise InputError(f'{path} has no frame rate; give --rate-hz')
    notes = []
    if not rate_hz and not has_stamps(path):
        notes.append(
            f'{path.name} has no time stamps, {nominal_hz:g} Hz is assumed; give --rate-hz'
        )
    return Footage(
        path,
        max(int(video.get(cv2.CAP_PROP_FRAME_COUNT)), 0),
        rate_hz or nominal_hz,
        is_counted=is_counted(path),
        pixel_aspect=pixel_aspect(video),
        notes=tuple(notes),
    )


def _frames_of_folder(footage: Footage) -> Iterator[FootageFrame]:
    for k, path in enumerate(footage.files):
        data, kind = _content(path), PASSTHROUGH_FORMATS.get(path.suffix.lower())
        pixels, is_rotated = _upright(data, path)
        if kind is None or is_rotated:
            kind = kind or 'png'
            data = encoded('.jpg' if kind == 'jpeg' else '.png', _integers(pixels, path))
        ns = FOOTAGE.first_stamp_ns + round(k / footage.rate_hz * 1e9)
        if footage.stamps_ns is not None:
            ns = footage.stamps_ns[k]
        yield FootageFrame(ns, data, kind, pixels.shape[1], pixels.shape[0])


def _content(path: Path) -> bytes:
    """Return the bytes of a file; raise InputError if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(
            f'{path} cannot be read: {error.strerror}; repair or remove it'
        ) from error


def _upright(data: bytes, path: Path) -> tuple[NDArray[Any], bool]:
    """Decode an image; return its pixels and whether they were rotated by its EXIF orientation.

    Subscribers ignore that orientation.
    """
    content = np.frombuffer(data, np.uint8)
    stored = decode_file(content, cv2.IMREAD_UNCHANGED)
    if stored is None:
        raise InputError(f'{path} cannot be decoded as an image; repair or remove it')
    rotated = decode_file(content, cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH)
    colours = stored[..., :3] if stored.ndim == 3 else stored
    if rotated is not None and rotated.ndim < colours.ndim:  # grey with alpha
        colours = colours[..., 0]
    if rotated is None or np.array_equal(rotated, colours, equal_nan=rotated.dtype.kind == 'f'):
        return np.asarray(stored), False
    return np.asarray(rotated), True


def _integers(pixels: NDArray[Any], path: Path) -> NDArray[Any]:
    """Return samples of 8 or 16 bits; those of floating point are in [0, 1], or in [0, 255]."""
    if pixels.dtype in (np.uint8, np.uint16):
        return pixels
    greatest = float(np.nanmax(pixels, initial=0.0))
    least = float(np.nanmin(pixels, initial=0.0))
    if pixels.dtype.kind != 'f' or least < -_ROUNDING or greatest > 255 + _ROUNDING:
        raise InputError(
            f'{path} has {pixels.dtype} samples from {least:g} to {greatest:g}; convert it to '
            '8 or 16 bits, or to floating point from 0 to 1'
        )
    full = 1.0 if greatest <= 1 + _ROUNDING else 255.0
    return np.asarray(np.rint(np.nan_to_num(pixels).clip(0, full) / full * 65535), np.uint16)


def frames_of_video(footage: Footage) -> Iterator[FootageFrame]:
    """Yield the frames of a video, rotated upright, at their own stamps.

    A stamp that does not increase, or is beyond the one after it, is one period after the one
    before.
    """
    video = open_video(footage.path)
    nominal_hz = float(video.get(cv2.CAP_PROP_FPS))
    speed = footage.rate_hz / nominal_hz if nominal_hz > 0 else 1.0
    last_s, current = -1 / footage.rate_hz, _next_shot(video, speed)
    while current:
        following = _next_shot(video, speed)
        time_s, pixels = current
        is_wrong = time_s <= last_s or (following and last_s < following[0] <= time_s)
        if is_wrong:
            time_s = last_s + 1 / footage.rate_hz
        height, width = pixels.shape[:2]
        ns = FOOTAGE.first_stamp_ns + round(time_s * 1e9)
        yield FootageFrame(ns, encoded('.jpg', pixels), 'jpeg', width, height)
        last_s, current = time_s, following


def _next_shot(video: cv2.VideoCapture, speed: float) -> tuple[float, NDArray[Any]] | None:
    """Return the time [s] and the pixels of the next frame; None at the end."""
    is_read, pixels = video.read()
    if not is_read:
        return None
    return float(video.get(cv2.CAP_PROP_POS_MSEC)) * 1e-3 / speed, pixels


def encoded(suffix: str, pixels: NDArray[Any]) -> bytes:
    """Encode an image as a JPEG or PNG file."""
    parameters = [cv2.IMWRITE_JPEG_QUALITY, FOOTAGE.jpeg_quality] if suffix == '.jpg' else []
    _, data = cv2.imencode(suffix, pixels, parameters)
    return data.tobytes()
