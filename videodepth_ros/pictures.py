# SPDX-License-Identifier: Apache-2.0
"""Visualization: depth in colour, frames side by side, video, and a rendered point cloud.

Colours encode inverse depth over one range for a whole sequence, so that a change of colour is a
change of depth. For display only.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np
from numpy.typing import NDArray

from videodepth_ros.core.errors import BagError

Image = NDArray[np.uint8]
Depth = NDArray[np.float32]

UNKNOWN_GREY = 70  # grey level of unknown depth
BACKGROUND = 24  # grey level behind a cloud
OUTLIERS_PERCENT = 2, 98  # the rest of a cloud is in the picture
DISTANCE = 3.0  # viewpoint to cloud [extents of the cloud]
LABEL_HEIGHT_PX = 26


@dataclass(frozen=True)
class ColourRange:
    """Depths at both ends of the colour map [m]."""

    near_m: float
    far_m: float


def colour_range(depths_m: Iterable[Depth]) -> ColourRange:
    """Return the 1st to 99th percentile of the depths of a sequence, (H, W) float32 each."""
    known = np.concatenate(
        [depth_m[np.isfinite(depth_m) & (depth_m > 0)][::97] for depth_m in depths_m]
    )
    if not known.size:
        return ColourRange(0.5, 20.0)
    near_m, far_m = (float(value) for value in np.percentile(known, [1, 99]))
    return ColourRange(near_m, max(far_m, 1.01 * near_m))


def follow_range(before: ColourRange | None, now: ColourRange, share: float) -> ColourRange:
    """Return the range before, moved by a share of the way to that of now, in logarithms.

    Colours of a stream follow its depth without flicker; None: there was no range before.
    """
    if before is None:
        return now
    return ColourRange(
        before.near_m * (now.near_m / before.near_m) ** share,
        before.far_m * (now.far_m / before.far_m) ** share,
    )


def colourise(depth_m: Depth, colours: ColourRange) -> Image:
    """Return depth in colour (turbo): near red, far and nothing hit blue, unknown grey.

    depth_m  (H, W) float32, metres; NaN unknown, +inf nothing hit
    returns  (H, W, 3) uint8, red green blue
    """
    least, most = 1 / colours.far_m, 1 / colours.near_m
    with np.errstate(divide='ignore'):
        share = np.clip((1 / depth_m - least) / (most - least), 0, 1)
    unknown = ~(depth_m > 0)
    levels = np.where(unknown, 0, 255 * share).astype(np.uint8)
    picture = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_TURBO), cv2.COLOR_BGR2RGB)
    picture[unknown] = UNKNOWN_GREY
    return np.asarray(picture, np.uint8)


def side_by_side(panels: Iterable[tuple[str, Image]]) -> Image:
    """Return pictures (H, W, 3) uint8 of one size beside each other, each below its name."""
    columns = []
    for name, picture in panels:
        bar = np.zeros((LABEL_HEIGHT_PX, picture.shape[1], 3), np.uint8)
        cv2.putText(
            bar,
            name,
            (8, LABEL_HEIGHT_PX - 8),
            cv2.FONT_HERSHEY_SIMPLEX,
            0.5,
            (255, 255, 255),
            1,
            cv2.LINE_AA,
        )
        columns.append(np.vstack([bar, picture]))
    return np.hstack(columns)


def resized(picture: Image, width: int, height: int) -> Image:
    """Return a picture (H, W, 3) uint8 at another size."""
    if picture.shape[:2] == (height, width):
        return picture
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


class _OpenCvVideo:
    """A video file of OpenCV: VP8 in webm, VP9 in mp4."""

    def __init__(self, path: Path, rate_hz: float, size: tuple[int, int]) -> None:
        is_webm = path.suffix == '.webm'
        code = 'VP80' if is_webm else 'vp09'
        # FFmpeg warns about the codec tag of webm and continues; mp4 gives no warning
        with _silent_stderr() if is_webm else nullcontext():
            self._video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*code), rate_hz, size)
        if not self._video.isOpened():
            raise BagError(
                f'{path}: this OpenCV cannot write {code}; install opencv-python-headless'
            )

    def write(self, picture: Image) -> None:
        self._video.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))

    def close(self) -> None:
        self._video.release()


class _PyAvVideo:
    """A video file of PyAV: H.264, whose bytes are the same on every run.

    By one thread, and by algorithms for every processor: those of x264 for AVX-512 give other
    bytes at each run for some sizes, such as 450x130.
    """

    def __init__(self, path: Path, rate_hz: float, size: tuple[int, int]) -> None:
        self._av = importlib.import_module('av')
        self._file = self._av.open(str(path), 'w')
        self._stream = self._file.add_stream(
            'libx264', rate=Fraction(rate_hz).limit_denominator(1000)
        )
        self._stream.width, self._stream.height = size
        self._stream.pix_fmt, self._stream.thread_count = 'yuv420p', 1
        self._stream.options = {'x264-params': 'cpu-independent=1'}

    def write(self, picture: Image) -> None:
        frame = self._av.VideoFrame.from_ndarray(picture, format='rgb24')
        self._file.mux(self._stream.encode(frame))

    def close(self) -> None:
        self._file.mux(self._stream.encode())
        self._file.close()


class VideoWriter:
    """Writer of a video that browsers play; a context manager.

    H.264 in mp4 where PyAV is installed, else VP9; VP8 for the suffix webm. The bytes of an mp4
    file depend on the pictures alone; a webm file contains a random identifier.
    """

    def __init__(self, path: Path, rate_hz: float) -> None:
        """Set path and rate; the first picture creates the file."""
        self._path, self._rate_hz = path, rate_hz
        self._video: _OpenCvVideo | _PyAvVideo | None = None

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._video is not None:
            self._video.close()

    def add(self, picture: Image) -> None:
        """Write a picture, (H, W, 3) uint8, red green blue, H and W even and always the same.

        raises  BagError if this OpenCV cannot write it
        """
        if self._video is None:
            has_av = self._path.suffix == '.mp4' and importlib.util.find_spec('av') is not None
            kind = _PyAvVideo if has_av else _OpenCvVideo
            self._video = kind(self._path, self._rate_hz, (picture.shape[1], picture.shape[0]))
        self._video.write(picture)


def write_video(path: Path, pictures: Iterable[Image], rate_hz: float) -> int:
    """Write a video and return the number of its frames; see `VideoWriter`.

    raises  BagError if this OpenCV cannot write it
    """
    count = 0
    with VideoWriter(path, rate_hz) as video:
        for picture in pictures:
            video.add(picture)
            count += 1
    return count


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """Redirect standard error of C++ code to the null device."""
    saved = os.dup(2)
    with open(os.devnull, 'w') as nothing:
        os.dup2(nothing.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


def write_picture(path: Path, picture: Image) -> None:
    """Write (H, W, 3) uint8, red green blue; the suffix selects the format.

    raises  BagError if it cannot be written
    """
    if not cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)):
        raise BagError(f'{path} cannot be written; check free space and permissions')


@dataclass(frozen=True)
class Viewpoint:
    """A camera that orbits a point of the cloud, to the side and up.

    centre_m  (3,) centre of the orbit, in the optical frame
    extent_m  radius of the cloud
    """

    centre_m: NDArray[np.float64]
    extent_m: float
    yaw_deg: float = 28.0
    pitch_deg: float = 18.0


def viewpoint_of(points: Depth) -> Viewpoint:
    """Return a viewpoint that has almost all of a cloud, (N, 3) float32 metres, in its image."""
    known = points[_known(points)].astype(np.float64)
    view = Viewpoint(np.array([0.0, 0.0, 2.0]), 1.0)
    if not len(known):
        return view
    turned = _turn(np.radians(view.yaw_deg), np.radians(view.pitch_deg))
    low, high = np.percentile(known @ turned.T, OUTLIERS_PERCENT, axis=0)
    right, down, ahead = (high - low) / 2
    return replace(
        view, centre_m=turned.T @ (low + high) / 2, extent_m=max(right, 1.5 * down, ahead / 1.5)
    )


def render_cloud(points: Depth, colours: Image, width: int, height: int, view: Viewpoint) -> Image:
    """Render a cloud, near points over far ones.

    points   (N, 3) float32 in the optical frame, metres; not finite where there is none
    colours  (N, 3) uint8
    returns  (height, width, 3) uint8
    """
    known = _known(points)
    picture = np.full((height, width, 3), BACKGROUND, np.uint8)
    turned = _turn(np.radians(view.yaw_deg), np.radians(view.pitch_deg))
    seen = (points[known].astype(np.float64) - view.centre_m) @ turned.T / view.extent_m
    seen[:, 2] += DISTANCE
    in_front = seen[:, 2] > 0.3
    seen, colours = seen[in_front], colours[known][in_front]
    pixels = seen[:, :2] / seen[:, 2:] * (1.15 * width) + [width / 2, height / 2]
    order = np.argsort(-seen[:, 2])
    for (column, row), colour, z in zip(
        pixels[order].astype(int), colours[order], seen[order, 2], strict=True
    ):
        half = max(1, round(4.2 / z))
        if 0 <= column < width and 0 <= row < height:
            picture[max(row - half, 0) : row + half, max(column - half, 0) : column + half] = (
                colour
            )
    return picture


def _known(points: Depth) -> NDArray[np.bool_]:
    return np.asarray(np.isfinite(points).all(axis=1) & (points[:, 2] > 0))


def _turn(yaw: float, pitch: float) -> NDArray[np.float64]:
    """Return the rotation (3, 3) of points into a camera that orbits sideways, then up."""
    c, s = np.cos(yaw), np.sin(yaw)
    about_y = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    c, s = np.cos(pitch), np.sin(pitch)
    about_x = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    return np.asarray(about_x @ about_y, np.float64)
