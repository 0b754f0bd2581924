# SPDX-License-Identifier: Apache-2.0
"""The frames of a recording that a job works on: chosen, reduced in size and kept on disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import astuple, dataclass
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from videodepth_ros.bags.reader import BagReader
from videodepth_ros.bags.stamps import Stamps, monotonic_indices, read_stamps
from videodepth_ros.core.errors import BagError, ConfigError
from videodepth_ros.core.workspace import DiskArray, WorkFolder, digest, save_npz
from videodepth_ros.frames import Frame
from videodepth_ros.geometry.camera import Intrinsics

NANOSECONDS = 1_000_000_000
Size = tuple[int, int]


@dataclass(frozen=True)
class FrameRange:
    """Which frames of a recording; 0 for ``end_s`` and ``frames``: to its end.

    From ``start_s`` to ``end_s`` after its first one, every ``stride``-th, at most ``frames``.
    """

    start_s: float = 0.0
    end_s: float = 0.0
    stride: int = 1
    frames: int = 0

    def __post_init__(self) -> None:
        if (
            self.start_s < 0
            or self.stride < 1
            or self.frames < 0
            or (self.end_s and self.end_s <= self.start_s)
        ):
            raise ConfigError(
                f'no frames are from {self.start_s} s to {self.end_s} s, every '
                f'{self.stride}, at most {self.frames}; start and frames are 0 or '
                'more, the end is after the start or 0, the stride 1 or more'
            )


@dataclass(frozen=True)
class FrameSelection:
    """Which images of a camera are the frames of a job.

    stamps    theirs, growing
    left_out  images that could have been chosen but for what ``notes`` tell
    """

    stamps: Stamps
    left_out: int
    notes: tuple[str, ...]

    def at(self, places: NDArray[np.intp], notes: tuple[str, ...]) -> FrameSelection:
        """Return what is left of it at some places (M,), with ``notes`` on the others."""
        out = len(self.stamps) - len(places)
        return FrameSelection(self.stamps.at(places), self.left_out + out, (*self.notes, *notes))


def select_frames(stamps: Stamps, selection: FrameRange) -> FrameSelection:
    """Choose among the images of a camera, in the order of their recording.

    raises  BagError where none is chosen
    """
    course = monotonic_indices(stamps.stamp_ns)
    out = np.setdiff1d(np.arange(len(stamps)), course)
    growing = stamps.at(course)
    elapsed_s = (growing.stamp_ns - growing.stamp_ns[:1]) / NANOSECONDS
    wanted = np.flatnonzero(
        (elapsed_s >= selection.start_s) & (elapsed_s <= (selection.end_s or np.inf))
    )[:: selection.stride]
    wanted = wanted[: selection.frames or None]
    if not len(stamps):
        raise BagError('no frame of the recording is chosen: it has no image')
    if not len(wanted):
        raise BagError(
            f'no frame of the recording is chosen: its {len(stamps)} images take '
            f'{elapsed_s[-1]:g} s, and none is {selection.start_s:g} s or more after '
            'the first one'
        )
    notes = (
        (
            f'left out: {len(out)} of {len(stamps)} images, whose stamps are not in one order '
            f'with those of the others: they repeat, fall back or leap; the first is image '
            f'{out[0]} (from 0)',
        )
        if len(out)
        else ()
    )
    return FrameSelection(growing.at(wanted), len(out), notes)


class CameraFormat(NamedTuple):
    """What the images of one camera share."""

    size: Size
    frame_id: str


class CameraFormatFilter:
    """Passes on the frames that can stand in one trajectory: of one size and one camera.

    kind  of these; that of the first frame where it is None
    seen  how many frames there were of each kind
    """

    def __init__(self, kind: CameraFormat | None = None) -> None:
        self.kind = kind
        self.seen: Counter[CameraFormat] = Counter()

    def frames(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """Yield the frames of that kind."""
        last_ns = -1
        for frame in frames:
            kind = CameraFormat(frame.size, frame.frame_id)
            self.kind = self.kind or kind
            self.seen[kind] += 1
            if kind == self.kind and frame.stamp_ns > last_ns:  # else it was recorded twice
                last_ns = frame.stamp_ns
                yield frame


@dataclass(frozen=True)
class ImageSequence:
    """The chosen frames of one camera.

    stamps_ns  (N,) int64; frame_id: optical frame
    size       width and height of the camera's images
    camera     intrinsics at that size; None where the recording has none
    images     (N, h, w, 3) uint8 RGB, reduced
    left_out   images of another size or frame than most
    key        digest of all that this was made from
    """

    stamps_ns: NDArray[np.int64]
    frame_id: str
    size: Size
    camera: Intrinsics | None
    images: DiskArray
    left_out: int
    key: str

    def __len__(self) -> int:
        return len(self.stamps_ns)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the operator should know."""
        return (
            (
                f'left out: {self.left_out} of {len(self) + self.left_out} images, which are not '
                f'of {self.size[0]}x{self.size[1]} and {self.frame_id!r} as most are',
            )
            if self.left_out
            else ()
        )

    def camera_at(self, width: int, height: int) -> Intrinsics | None:
        """Return the intrinsics of the images resized to that size; None where not known."""
        return self.camera.scaled_to(width, height) if self.camera else None


def size_within(size: Size, max_pixels: int, multiple: int = 1) -> Size:
    """Return a size (width, height) of about the same aspect, within ``max_pixels``, never larger.

    multiple  of which width and height are whole multiples
    """
    shrink = min(1.0, (max_pixels / (size[0] * size[1])) ** 0.5)
    width, height = (
        max(multiple, int(side * shrink + 1e-6) // multiple * multiple) for side in size
    )
    return width, height


def bag_digest(path: Path) -> str:
    """Return a digest of a recording by the names, sizes and times of change of its files."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    facts = [
        (file.name, file.stat().st_size, file.stat().st_mtime_ns)
        for file in files
        if file.is_file()
    ]
    return digest(path.name, *facts)


def cached_stamps(
    bag: BagReader, topic: str, key: str, work: WorkFolder, tick: Callable[[], None]
) -> Stamps:
    """Read the stamps of a topic once, and keep them in the work folder.

    key   of the recording
    tick  called after each message
    """
    path = work.path('stamps', digest(key, topic)).with_suffix('.npz')
    if not path.exists():
        stamps = read_stamps(bag, topic, tick)
        save_npz(path, stamp_ns=stamps.stamp_ns, recorded_ns=stamps.recorded_ns)
    with np.load(path) as stored:
        return Stamps(stored['stamp_ns'], stored['recorded_ns'])


def read_images(
    frames: Callable[[], Iterable[Frame]],
    key: str,
    max_pixels: int,
    work: WorkFolder,
    tick: Callable[[], None],
) -> ImageSequence:
    """Read the chosen frames once and keep them, reduced, in the work folder.

    frames   chosen, in their order; not asked for where the work folder has the result
    key      of the recording and of what chose its images
    tick     called after each frame
    raises   BagError where there is no frame
    """
    key = digest('recording', key, max_pixels)
    index = work.path('recording', key).with_suffix('.npz')
    if not index.exists():
        _read(frames, max_pixels, work.path('images', key), index, tick)
    with np.load(index) as stored:
        size = (int(stored['size'][0]), int(stored['size'][1]))
        known = stored['camera'].tolist()
        width, height = size_within(size, max_pixels)
        return ImageSequence(
            stored['stamps_ns'],
            str(stored['frame_id']),
            size,
            Intrinsics(*size, *known) if known else None,
            DiskArray(work.path('images', key), (height, width, 3), 'uint8'),
            int(stored['left_out']),
            key,
        )


def _read(
    frames: Callable[[], Iterable[Frame]],
    max_pixels: int,
    images: Path,
    index: Path,
    tick: Callable[[], None],
) -> None:
    camera = CameraFormatFilter()
    read = _spill(camera.frames(frames()), max_pixels, images, tick)
    commonest = camera.seen.most_common(1)[0][0]
    if camera.kind != commonest:  # the first one is the odd one
        camera = CameraFormatFilter(commonest)
        read = _spill(camera.frames(frames()), max_pixels, images, tick)
    save_npz(index, **read, left_out=np.array(camera.seen.total() - camera.seen[commonest]))


def _spill(
    frames: Iterator[Frame], max_pixels: int, images: Path, tick: Callable[[], None]
) -> dict[str, NDArray[Any]]:
    """Keep the images of frames; return what else is to be kept, by its names."""
    first = next(frames, None)
    if first is None:
        raise BagError('no frame of the recording can be read; choose others')
    width, height = size_within(first.size, max_pixels)
    stamps = []
    with DiskArray(images, (height, width, 3), 'uint8').writer() as growth:
        for frame in chain([first], frames):
            growth.append(downsample(frame.image, width, height))
            stamps.append(frame.stamp_ns)
            tick()
    known = astuple(first.camera)[2:] if first.camera else ()  # focal lengths and centre
    return {
        'stamps_ns': np.array(stamps, np.int64),
        'frame_id': np.array(first.frame_id),
        'size': np.array(first.size),
        'camera': np.array(known, np.float64),
    }


def downsample(image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Resize an image (H, W, 3) to (height, width, 3), each pixel the mean of what it covers."""
    if image.shape[:2] == (height, width):
        return image
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
