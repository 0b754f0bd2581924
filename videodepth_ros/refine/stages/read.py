# SPDX-License-Identifier: Apache-2.0
"""Stage 1: select the frames of the recording, decode and rectify them, keep them on disk."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import astuple, dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np

from videodepth_ros.bags.frames import read_frames
from videodepth_ros.bags.reader import BagReader
from videodepth_ros.bags.stamps import Stamps, monotonic, read_stamps
from videodepth_ros.core.errors import BagError
from videodepth_ros.core.progress import Stage
from videodepth_ros.core.workspace import DiskArray, DiskArrayWriter, WorkFolder, digest, save_npz
from videodepth_ros.frames import Frame
from videodepth_ros.refine.context import JobContext
from videodepth_ros.refine.depth_association import associate_depth
from videodepth_ros.refine.depth_topic import choose_depth_topic
from videodepth_ros.refine.image_sequence import (
    CameraFormat,
    CameraFormatFilter,
    FrameSelection,
    ImageSequence,
    Size,
    bag_digest,
    downsample,
    select_frames,
    size_within,
)
from videodepth_ros.refine.options import COST, READ, ReadOptions
from videodepth_ros.refine.plan import READ_STAGE
from videodepth_ros.refine.rectification import rectify_frames

UNCALIBRATED = (np.nan,) * 4


@dataclass(frozen=True)
class DecodedFrames:
    """The frames of the job.

    selection     images of the topic that they are
    images        the frames, on disk
    depth_stamps  stamps of the depth topic that is the prior; None with another prior
    """

    selection: FrameSelection
    images: ImageSequence
    depth_stamps: Stamps | None

    def with_notes(self, notes: tuple[str, ...]) -> DecodedFrames:
        """Return the same frames with more notes."""
        return replace(self, selection=self.selection.with_notes(notes))

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on what was left out."""
        return (*self.selection.notes, *self.images.notes)

    @property
    def left_out(self) -> int:
        """Number of images that were left out."""
        return self.selection.left_out + self.images.left_out


def decode_frames(job: JobContext) -> DecodedFrames:
    """Select the frames of a job and decode them.

    raises  BagError if no frame is left, or most have no depth although it is the prior
    """
    key, topic, on_step = bag_digest(job.bag.path), job.topics.image, job.on_step(READ_STAGE)
    reading = Stage(READ_STAGE, 2 * topic.count, COST.read_s / 2)
    if job.lens is None:  # the second time the stages are planned already
        job.meter.set_stages([reading, Stage('rest', 1, COST.rest_per_read * reading.seconds)])
    stamps = cached_stamps(job.bag, topic.name, key, job.work, on_step)
    selection, depth_stamps = select_frames(stamps, job.settings.selection), None
    if job.settings.prior == 'bag':
        depth_topic = choose_depth_topic(job.bag, job.settings.depth_topic).name
        recorded = cached_stamps(job.bag, depth_topic, key, job.work, on_step)
        if selection.stamps.is_recorded:
            stamps, recorded = stamps.by_recording(), recorded.by_recording()
        depth_stamps = monotonic(recorded)
        matched = associate_depth(selection.stamps.stamp_ns, stamps, depth_stamps, depth_topic)
        matched.check()
        selection = selection.take(np.flatnonzero(matched.has_depth), matched.notes)
    images = keep_images(
        lambda: _decode(job, selection),
        digest(key, job.topics, selection.stamps.key, job.settings.rectify, job.lens),
        len(selection.stamps),
        job.work,
        on_step,
        job.bag,
    )
    return DecodedFrames(selection.with_notes(job.topics.notes), images, depth_stamps)


def full_size_frames(job: JobContext, decoded: DecodedFrames) -> Iterator[Frame]:
    """Yield the frames at the camera's size: from disk, or else decoded once more."""
    images = decoded.images
    if images.full_size is not None:
        return images.full_size_frames()
    camera_format = CameraFormat(images.size, images.frame_id)
    return CameraFormatFilter(camera_format).filter(_decode(job, decoded.selection))


def _decode(job: JobContext, selection: FrameSelection) -> Iterator[Frame]:
    stamps = selection.stamps
    frames = read_frames(
        job.bag,
        job.topics.image.name,
        job.settings.camera_info_topic,
        stamps.contains,
        stamps.stamp_of,
        job.settings.rectify,
    )
    return frames if job.lens is None else rectify_frames(frames, job.lens)


def cached_stamps(
    bag: BagReader, topic: str, key: str, work: WorkFolder, on_step: Callable[[], None]
) -> Stamps:
    """Return the stamps of a topic, read once and kept in the work folder.

    key      digest of the recording
    on_step  called after each message
    """
    path = work.path('stamps', digest(key, topic)).with_suffix('.npz')
    if not path.exists():
        stamps = read_stamps(bag, topic, on_step)
        save_npz(path, stamp_ns=stamps.stamp_ns, recorded_ns=stamps.recorded_ns)
    with np.load(path) as stored:
        return Stamps(stored['stamp_ns'], stored['recorded_ns'])


def keep_images(
    decode: Callable[[], Iterator[Frame]],
    key: str,
    expected: int,
    work: WorkFolder,
    on_step: Callable[[], None],
    bag: BagReader | None = None,
    options: ReadOptions = READ,
) -> ImageSequence:
    """Decode the selected frames once and keep them in the work folder.

    decode    starts to decode; not called where the work folder has the result
    key       digest of the recording and of the selection
    expected  number of frames at most
    on_step   called after each frame
    bag       recording that ``decode`` reads, for what is lost and for its notes
    raises    BagError if there is no frame
    """
    key = digest('recording', key, options.tracking_pixels)
    index = work.path('recording', key).with_suffix('.npz')
    if not index.exists():
        keeper = _ImageKeeper(work, key, expected, on_step, options)
        camera = CameraFormatFilter()
        keeper.keep(camera.filter(decode()))
        (commonest, count), *_ = camera.counts.most_common(1)
        if camera.format != commonest:  # the first frame is the odd one
            keeper.keep(CameraFormatFilter(commonest).filter(decode()))
        keeper.finish(index, camera.counts.total() - count, bag)
    return _load(index, work, key, options)


def _load(index: Path, work: WorkFolder, key: str, options: ReadOptions) -> ImageSequence:
    with np.load(index) as stored:
        size = (int(stored['size'][0]), int(stored['size'][1]))
        images, full_size = _arrays(work, key, size, options)
        return ImageSequence(
            stored['stamps_ns'],
            str(stored['frame_id']),
            size,
            stored['intrinsics'],
            images,
            full_size if stored['has_full_size'] else None,
            int(stored['left_out']),
            tuple(stored['read_errors'].tolist()),
            tuple(stored['read_notes'].tolist()),
            key,
        )


def _arrays(
    work: WorkFolder, key: str, size: Size, options: ReadOptions
) -> tuple[DiskArray, DiskArray]:
    """Return the arrays of the downsampled and of the full images; one if both have one size."""
    width, height = size_within(size, options.tracking_pixels)
    images = DiskArray(work.path('images', key), (height, width, 3), 'uint8')
    if (width, height) == size:
        return images, images
    return images, DiskArray(work.path('full_size', key), (size[1], size[0], 3), 'uint8')


class _ImageKeeper:
    """Writes decoded frames to disk."""

    def __init__(
        self,
        work: WorkFolder,
        key: str,
        expected: int,
        on_step: Callable[[], None],
        options: ReadOptions,
    ) -> None:
        self._work, self._key, self._expected = work, key, expected
        self._on_step, self._options = on_step, options

    def keep(self, frames: Iterator[Frame]) -> None:
        """Write all frames; those of an earlier call are replaced."""
        first = next(frames, None)
        if first is None:
            raise BagError('no frame of the recording can be read; select others')
        self._first, self._stamps_ns, self._intrinsics = first, list[int](), list[object]()
        self._keeps_full_size = False
        images, full_size = _arrays(self._work, self._key, first.size, self._options)
        height, width = images.record_shape[:2]
        with ExitStack() as stack:
            kept = stack.enter_context(images.writer())
            kept_full: DiskArrayWriter | None = None
            if full_size != images and self._has_room(full_size):
                kept_full = stack.enter_context(full_size.writer())
            self._keeps_full_size = full_size == images or kept_full is not None
            for frame in chain([first], frames):
                kept.append(downsample(frame.image, width, height))
                if kept_full is not None:
                    kept_full.append(frame.image)
                self._stamps_ns.append(frame.stamp_ns)
                self._intrinsics.append(
                    astuple(frame.camera)[2:] if frame.camera else UNCALIBRATED
                )
                self._on_step()

    def finish(self, index: Path, left_out: int, bag: BagReader | None) -> None:
        """Write what is known besides the images; the sequence is complete then."""
        save_npz(
            index,
            stamps_ns=np.array(self._stamps_ns, np.int64),
            frame_id=np.array(self._first.frame_id),
            size=np.array(self._first.size),
            intrinsics=np.array(self._intrinsics, np.float64),
            has_full_size=np.array(self._keeps_full_size),
            left_out=np.array(left_out),
            read_errors=np.array(bag.read_errors if bag else (), np.str_),
            read_notes=np.array(bag.notes if bag else (), np.str_),
        )

    def _has_room(self, full_size: DiskArray) -> bool:
        """Return whether the images at the camera's size may be kept on disk."""
        needed = self._expected * full_size.record_bytes
        free = shutil.disk_usage(self._work.folder).free
        return needed <= min(
            self._options.max_full_size_bytes, self._options.max_disk_share * free
        )
