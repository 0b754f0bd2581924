# SPDX-License-Identifier: Apache-2.0
"""The frames of a recording that a job works on: chosen, reduced in size and kept on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from videodepth_ros.errors import BagError, ConfigError
from videodepth_ros.frames import Frame
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.offline.workfolder import SpilledArray, WorkFolder, digest, save_arrays

NS = 1_000_000_000
Size = tuple[int, int]


@dataclass(frozen=True)
class Selection:
    """Which frames of a recording; 0 for ``end_s`` and ``frames``: to its end.

    From ``start_s`` to ``end_s`` after its first one, every ``stride``-th, at most ``frames``.
    """

    start_s: float = 0.0
    end_s: float = 0.0
    stride: int = 1
    frames: int = 0

    def __post_init__(self) -> None:
        if self.start_s < 0 or self.stride < 1 or self.frames < 0 or (
                self.end_s and self.end_s <= self.start_s):
            raise ConfigError(f'no frames are from {self.start_s} s to {self.end_s} s, every '
                              f'{self.stride}, at most {self.frames}; start and frames are 0 or '
                              'more, the end is after the start or 0, the stride 1 or more')


class Chooser:
    """Picks frames one by one, in the order of the recording.

    What cannot stand in one trajectory is left out and counted in ``left_out``: images of another
    size or camera than the first one, and stamps that do not grow.
    """

    def __init__(self, selection: Selection) -> None:
        self.left_out = 0
        self._selection = selection
        self._first: Frame | None = None
        self._last_ns = -1

    def frames(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """Yield the frames that are chosen."""
        wanted, seen, chosen = self._selection, 0, 0
        for frame in frames:
            if not self._fits(frame):
                self.left_out += 1
                continue
            assert self._first is not None
            elapsed_s = (frame.stamp_ns - self._first.stamp_ns) / NS
            if elapsed_s < wanted.start_s:
                continue
            if (wanted.end_s and elapsed_s > wanted.end_s) or (
                    wanted.frames and chosen == wanted.frames):
                return
            if seen % wanted.stride == 0:
                chosen += 1
                yield frame
            seen += 1

    def _fits(self, frame: Frame) -> bool:
        first = self._first = self._first or frame
        fits = (frame.size == first.size and frame.frame_id == first.frame_id
                and frame.stamp_ns > self._last_ns)
        if fits:
            self._last_ns = frame.stamp_ns
        return fits


@dataclass(frozen=True)
class Recording:
    """The chosen frames of one camera.

    stamps_ns  (N,) int64; frame_id: optical frame
    size       width and height of the camera's images
    camera     intrinsics at that size; None where the recording has none
    images     (N, h, w, 3) uint8 RGB, reduced
    left_out   frames that could not stand in one trajectory
    key        digest of all that this was made from
    """

    stamps_ns: NDArray[np.int64]
    frame_id: str
    size: Size
    camera: Intrinsics | None
    images: SpilledArray
    left_out: int
    key: str

    def __len__(self) -> int:
        return len(self.stamps_ns)

    def camera_at(self, width: int, height: int) -> Intrinsics | None:
        """Return the intrinsics of the images resized to that size; None where not known."""
        return self.camera.scaled_to(width, height) if self.camera else None


def size_within(size: Size, max_pixels: int, multiple: int = 1) -> Size:
    """Return a size (width, height) of about the same aspect, within ``max_pixels``, never larger.

    multiple  of which width and height are whole multiples
    """
    shrink = min(1.0, (max_pixels / (size[0] * size[1])) ** 0.5)
    width, height = (max(multiple, int(side * shrink + 1e-6) // multiple * multiple)
                     for side in size)
    return width, height


def bag_key(path: Path) -> str:
    """Return a digest of a recording by the names, sizes and times of change of its files."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    facts = [(file.name, file.stat().st_size, file.stat().st_mtime_ns)
             for file in files if file.is_file()]
    return digest(path.name, *facts)


def read_recording(frames: Iterable[Frame], selection: Selection, key: str, max_pixels: int,
                   work: WorkFolder, tick: Callable[[], None]) -> Recording:
    """Read the chosen frames once and keep them, reduced, in the work folder.

    frames   of the recording, in its order; not read where the work folder has the result
    key      of the recording and of what chose its images
    tick     called after each frame
    raises   BagError where no frame is chosen
    """
    key = digest('recording', key, selection, max_pixels)
    index = work.path('recording', key).with_suffix('.npz')
    if not index.exists():
        _read(frames, selection, max_pixels, work.path('images', key), index, tick)
    with np.load(index) as stored:
        size = (int(stored['size'][0]), int(stored['size'][1]))
        known = stored['camera'].tolist()
        width, height = size_within(size, max_pixels)
        return Recording(
            stored['stamps_ns'], str(stored['frame_id']), size,
            Intrinsics(*size, *known) if known else None,
            SpilledArray(work.path('images', key), (height, width, 3), 'uint8'),
            int(stored['left_out']), key)


def _read(frames: Iterable[Frame], selection: Selection, max_pixels: int, images: Path,
          index: Path, tick: Callable[[], None]) -> None:
    chooser = Chooser(selection)
    chosen = chooser.frames(frames)
    first = next(chosen, None)
    if first is None:
        raise BagError('no frame of the recording is chosen: none is '
                       f'{selection.start_s:g} s or more after its first one')
    width, height = size_within(first.size, max_pixels)
    stamps = [first.stamp_ns]
    with SpilledArray(images, (height, width, 3), 'uint8').growing() as growth:
        growth.append(reduced(first.image, width, height))
        tick()
        for frame in chosen:
            growth.append(reduced(frame.image, width, height))
            stamps.append(frame.stamp_ns)
            tick()
    camera = first.camera
    known = (camera.fx, camera.fy, camera.cx, camera.cy) if camera else ()
    save_arrays(index, stamps_ns=np.array(stamps, np.int64), frame_id=np.array(first.frame_id),
                size=np.array(first.size), camera=np.array(known, np.float64),
                left_out=np.array(chooser.left_out))


def reduced(image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Resize an image (H, W, 3) to (height, width, 3), each pixel the mean of what it covers."""
    if image.shape[:2] == (height, width):
        return image
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def reduced_frame(frame: Frame, width: int, height: int) -> Frame:
    """Return a frame with its image and intrinsics at another size."""
    return replace(frame, image=reduced(frame.image, width, height),
                   camera=frame.camera.scaled_to(width, height) if frame.camera else None)
