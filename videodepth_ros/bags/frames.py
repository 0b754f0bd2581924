# SPDX-License-Identifier: Apache-2.0
"""The rectified frames of a camera in a recording, each with its intrinsics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from videodepth_ros.bags.camera_topics import CameraTopics, find_camera_topics
from videodepth_ros.bags.frame_tree import frame_name
from videodepth_ros.bags.reader import BagReader
from videodepth_ros.bags.stamps import stamp_or_recorded
from videodepth_ros.core.errors import BagError, InputError
from videodepth_ros.frames import Frame
from videodepth_ros.messages.camera_info import is_calibrated
from videodepth_ros.messages.frame import FrameDecoder, needs_rectification
from videodepth_ros.messages.transforms import stamp_ns
from videodepth_ros.messages.video import VideoDecoder, VideoPacket, video_packet

FramePredicate = Callable[[int, int], bool]
"""Whether to decode an image, by time of recording and stamp [ns]."""
StampChoice = Callable[[int, int], int]
"""Stamp of a frame, by time of recording and stamp of its header [ns]."""


def read_frames(
    reader: BagReader,
    image_topic: str | None = None,
    camera_info_topic: str | None = None,
    predicate: FramePredicate = lambda recorded_ns, stamp_ns: True,
    stamp_of: StampChoice = lambda recorded_ns, stamp_ns: stamp_or_recorded(stamp_ns, recorded_ns),
    rectify: str = 'auto',
) -> Iterator[Frame]:
    """Yield the rectified frames of a camera, each with its intrinsics.

    A frame has the stamp of its header, or the time of recording where that is zero or negative,
    and a frame_id without the leading slash of ROS 1. Its camera_info is the one with the same
    stamp, else the latest before it, else the first; those with K = 0 count only where all are
    so. Images that cannot be decoded are left out
    and counted in ``reader.lost``.

    image_topic, camera_info_topic  None: found, see `find_camera_topics`
    predicate                       images that it rejects are not decoded, but those of video
    stamp_of                        stamp of a frame by time of recording and stamp of its header
    rectify                         one of `RECTIFY`
    raises                          ConfigError naming the candidates if a topic is missing or
                                    ambiguous; BagError at the end if no image could be decoded
    """
    topics = find_camera_topics(reader.topics, image_topic, camera_info_topic)
    decoder = FrameDecoder(rectify=needs_rectification(topics.image.name, rectify))
    return _read(reader, topics, predicate, stamp_of, decoder)


def _read(
    reader: BagReader,
    topics: CameraTopics,
    predicate: FramePredicate,
    stamp_of: StampChoice,
    decoder: FrameDecoder,
) -> Iterator[Frame]:
    name, used, rejected = topics.image.name, 0, 0
    first_error: InputError | None = None
    images = _decode_video(reader, name, messages_with_info(reader, topics))
    for recorded_ns, image, info in images:
        if not predicate(recorded_ns, stamp_ns(image.header.stamp)):
            continue
        try:
            frame = decoder.decode(image, info)
        except InputError as error:
            first_error = first_error or error
            rejected += 1
            reader.note_lost(
                f'frames of {name}',
                f'{rejected} images of {name} could not be used: {first_error}',
            )
            continue
        used += 1
        for note in decoder.notes:
            reader.note(f'decoding of {name}', f'{name}: {note}')
        yield replace(
            frame,
            stamp_ns=stamp_of(recorded_ns, frame.stamp_ns),
            frame_id=frame_name(frame.frame_id),
        )
    if rejected and not used:
        raise BagError(f'none of the {rejected} images of {name} can be used: {first_error}')


def _decode_video(
    reader: BagReader, name: str, images: Iterable[tuple[int, Any, Any]]
) -> Iterator[tuple[int, Any, Any]]:
    """Replace packets of a video by their images: all of them, as each needs those before it."""
    video = VideoDecoder()
    for recorded_ns, image, info in images:
        if not isinstance(image, VideoPacket):
            yield recorded_ns, image, info
            continue
        yield recorded_ns, video.decode(image), info
        if video.note:
            reader.note_lost(f'video of {name}', f'{name}: {video.note}')


def _messages(reader: BagReader, names: list[str]) -> Iterator[tuple[str, int, Any]]:
    """Yield topic, time of recording and message, or a `VideoPacket` in its place."""
    for topic, recorded_ns, message in reader.messages(names):
        yield topic, recorded_ns, video_packet(message) or message


def messages_with_info(reader: BagReader, topics: CameraTopics) -> Iterator[tuple[int, Any, Any]]:
    """Yield time of recording, image, and camera_info or None.

    Drivers publish camera_info before or after its image, so an image without one is held until
    it or the next image arrives.
    """
    if topics.info is None:
        for _, recorded_ns, image in _messages(reader, [topics.image.name]):
            yield recorded_ns, image, None
        return
    info = _first_calibration(reader, topics.info.name)
    pending: tuple[int, Any] | None = None
    for topic, recorded_ns, message in _calibrated_messages(reader, topics, info):
        if topic == topics.info.name:
            info = message
            if pending and not _same_stamp(pending[1], info):
                continue
        if pending:
            yield *pending, info
            pending = None
        if topic == topics.image.name:
            pending = recorded_ns, message
            if info is not None and _same_stamp(message, info):
                yield *pending, info
                pending = None
    if pending:
        yield *pending, info


def _first_calibration(reader: BagReader, topic: str) -> Any | None:
    """Return the first camera_info of a topic that describes a camera, else the first of all."""
    first = None
    for _, _, info in reader.messages([topic]):
        first = first or info
        if is_calibrated(info):
            return info
    return first


def _calibrated_messages(
    reader: BagReader, topics: CameraTopics, first: Any | None
) -> Iterator[tuple[str, int, Any]]:
    """Yield images and camera_info, without those of K = 0 where ``first`` has another K."""
    assert topics.info is not None
    name, left_out = topics.info.name, 0
    for topic, recorded_ns, message in _messages(reader, [topics.image.name, name]):
        if topic == name and is_calibrated(first) and not is_calibrated(message):
            left_out += 1
            reader.note(
                f'calibration of {name}',
                f'{left_out} messages of {name} have K = 0; the calibration before them is used, '
                'or the first one',
            )
            continue
        yield topic, recorded_ns, message


def _same_stamp(one: Any, other: Any) -> bool:
    return stamp_ns(one.header.stamp) == stamp_ns(other.header.stamp)
