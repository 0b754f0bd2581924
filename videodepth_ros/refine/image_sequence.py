# SPDX-License-Identifier: Apache-2.0
"""The frames of a job: selected by their stamps, of one camera, decoded once and kept on disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from videodepth_ros.bags.stamps import Stamps, monotonic_indices, useful
from videodepth_ros.core.arrays import Float64Array, IndexArray, StampArray, UInt8Array
from videodepth_ros.core.errors import BagError, ConfigError
from videodepth_ros.core.workspace import DiskArray, digest
from videodepth_ros.frames import Frame
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.refine.options import READ
from videodepth_ros.sfm.zoom import Zoom

NANOSECONDS = 1_000_000_000
Size = tuple[int, int]
"""Width and height."""


@dataclass(frozen=True)
class FrameRange:
    """Every ``stride``-th frame from ``start_s`` to ``end_s``, at most ``frames``.

    Seconds count from the first image; 0 for ``end_s`` and ``frames``: up to the last one.

    >>> FrameRange(start_s=2.0, stride=3).stride
    3
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
    """The images of a camera that are the frames of a job.

    stamps    of these images, increasing
    left_out  number of images that were rejected for the reasons in ``notes``
    """

    stamps: Stamps
    left_out: int
    notes: tuple[str, ...]

    def take(self, indices: IndexArray, notes: tuple[str, ...]) -> FrameSelection:
        """Return the images at some indices (M,); ``notes`` state why the others are left out."""
        rejected = len(self.stamps) - len(indices)
        return FrameSelection(
            self.stamps.take(indices), self.left_out + rejected, (*self.notes, *notes)
        )

    def with_notes(self, notes: tuple[str, ...]) -> FrameSelection:
        """Return the same images with more notes, which come first."""
        return FrameSelection(self.stamps, self.left_out, (*notes, *self.notes))


def select_frames(stamps: Stamps, frame_range: FrameRange) -> FrameSelection:
    """Select the images of a range; those whose stamps are out of order are left out.

    stamps  of all images, in the order of their recording
    raises  BagError if the selection is empty
    """
    stamps, notes = useful(stamps)
    ordered = monotonic_indices(stamps.stamp_ns)
    rejected = np.setdiff1d(np.arange(len(stamps)), ordered)
    increasing = stamps.take(ordered)
    elapsed_s = (increasing.stamp_ns - increasing.stamp_ns[:1]) / NANOSECONDS
    selected = np.flatnonzero(
        (elapsed_s >= frame_range.start_s) & (elapsed_s <= (frame_range.end_s or np.inf))
    )[:: frame_range.stride]
    selected = selected[: frame_range.frames or None]
    if not len(stamps):
        raise BagError('no frame of the recording is selected: it has no image')
    if not len(selected):
        raise BagError(
            f'no frame of the recording is selected: its {len(stamps)} images take '
            f'{elapsed_s[-1]:g} s, and none is {frame_range.start_s:g} s or more after '
            'the first one'
        )
    if len(rejected):
        notes += (
            f'left out: {len(rejected)} of {len(stamps)} images, whose stamps repeat, go back or '
            f'jump ahead of those around them; the first is image {rejected[0]} (from 0)',
        )
    return FrameSelection(increasing.take(selected), len(rejected), notes)


class CameraFormat(NamedTuple):
    """What all images of one camera have in common: width and height, and the optical frame."""

    size: Size
    frame_id: str


class CameraFormatFilter:
    """A filter of frames by their format.

    format  that passes; None: that of the first frame
    counts  number of frames of each format so far
    """

    def __init__(self, camera_format: CameraFormat | None = None) -> None:
        self.format = camera_format
        self.counts: Counter[CameraFormat] = Counter()

    def filter(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """Yield the frames of the format, without repeated ones."""
        last_ns = -1
        for frame in frames:
            found = CameraFormat(frame.size, frame.frame_id)
            self.format = self.format or found
            self.counts[found] += 1
            if found == self.format and frame.stamp_ns > last_ns:  # else it was recorded twice
                last_ns = frame.stamp_ns
                yield frame


@dataclass(frozen=True)
class ImageSequence:
    """The selected frames of one camera, rectified, on disk.

    stamps_ns    (N,) int64; frame_id: optical frame
    size         width and height of the camera's images
    intrinsics   (N, 4) float64, fx fy cx cy at that size; NaN where the camera is not calibrated
    images       (N, h, w, 3) uint8 RGB, downsampled for feature matching
    full_size    (N, H, W, 3) uint8 RGB at the camera's size; None: too large to be kept
    left_out     number of images of another format
    read_errors  messages that could not be read, in words
    read_notes   how messages were read otherwise than they are described, in words
    key          digest of all that this was made from
    """

    stamps_ns: StampArray
    frame_id: str
    size: Size
    intrinsics: Float64Array
    images: DiskArray
    full_size: DiskArray | None
    left_out: int
    read_errors: tuple[str, ...]
    read_notes: tuple[str, ...]
    key: str

    def __len__(self) -> int:
        return len(self.stamps_ns)

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on images of another format, a calibration that changes, and `read_notes`."""
        return (*self._format_notes, *self._zoom_notes, *self.read_notes)

    @property
    def _zoom_notes(self) -> tuple[str, ...]:
        """A note if the intrinsics differ between frames, as those of a zoom lens do."""
        changed = self._changed
        if not len(changed):
            return ()
        least, most = np.nanmin(self.intrinsics[:, 0]), np.nanmax(self.intrinsics[:, 0])
        return (
            f'camera_info changes: fx is {least:.1f} to {most:.1f} px, and {len(changed)} of '
            f'{len(self)} frames differ from the first one, from frame {changed[0]} (from 0) on; '
            'each frame has its own intrinsics',
        )

    @property
    def _changed(self) -> IndexArray:
        """Frames whose intrinsics differ from those of the first one that is calibrated."""
        known = np.isfinite(self.intrinsics[:, 0])
        if not known.any():
            return np.empty(0, np.intp)
        difference = np.abs(self.intrinsics - self.intrinsics[known][0]).max(axis=1)
        return np.flatnonzero(known & (difference > READ.max_intrinsics_change * self.size[0]))

    @property
    def _format_notes(self) -> tuple[str, ...]:
        """A note on images of another format, if there are any."""
        return (
            (
                f'left out: {self.left_out} of {len(self) + self.left_out} images, which are not '
                f'of {self.size[0]}x{self.size[1]} and {self.frame_id!r} as most are',
            )
            if self.left_out
            else ()
        )

    @property
    def camera(self) -> Intrinsics | None:
        """Intrinsics common to all frames, of the widest view; None where not calibrated."""
        focal_px = self.intrinsics[:, 0]
        known = np.flatnonzero(np.isfinite(focal_px))
        if not len(known):
            return None
        return self.camera_of(int(np.nanargmin(focal_px) if self.is_zooming else known[0]))

    @property
    def is_zooming(self) -> bool:
        """Whether the intrinsics differ between frames."""
        return len(self._changed) > 0

    @property
    def zoom(self) -> Zoom:
        """Intrinsics of the frames relative to `camera`."""
        if not self.is_zooming or self.camera is None:
            return Zoom.constant(len(self))
        known = np.where(np.isfinite(self.intrinsics), self.intrinsics, astuple(self.camera)[2:])
        return Zoom.relative_to(self.camera, known)

    def camera_of(self, index: int) -> Intrinsics | None:
        """Return the intrinsics of one frame; None where it is not calibrated."""
        values = self.intrinsics[index].tolist()
        return None if np.isnan(values[0]) else Intrinsics(*self.size, *values)

    def camera_at(self, width: int, height: int) -> Intrinsics | None:
        """Return the intrinsics of the images resized to that size; None where not known."""
        return self.camera.scaled_to(width, height) if self.camera else None

    def full_size_frames(self) -> Iterator[Frame]:
        """Yield the frames at the camera's size; ``full_size`` must be there."""
        assert self.full_size is not None
        stamped = zip(self.stamps_ns.tolist(), self.full_size.records(), strict=True)
        for index, (stamp_ns, image) in enumerate(stamped):
            yield Frame(stamp_ns, self.frame_id, image, self.camera_of(index))


def size_within(size: Size, max_pixels: int) -> Size:
    """Return a size of about the same aspect with at most ``max_pixels``, never a larger one."""
    scale = min(1.0, (max_pixels / (size[0] * size[1])) ** 0.5)
    width, height = (max(1, int(side * scale + 1e-6)) for side in size)
    return width, height


def downsample(image: UInt8Array, width: int, height: int) -> UInt8Array:
    """Resize an image (H, W, 3) to (height, width, 3) by the mean over each pixel's area."""
    if image.shape[:2] == (height, width):
        return image
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def bag_bytes(path: Path) -> int:
    """Return the size of the files of a recording."""
    files = path.iterdir() if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def bag_digest(path: Path) -> str:
    """Return a digest of the files of a recording: names, sizes and times of modification."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    facts = [
        (file.name, file.stat().st_size, file.stat().st_mtime_ns)
        for file in files
        if file.is_file()
    ]
    return digest(path.name, *facts)
