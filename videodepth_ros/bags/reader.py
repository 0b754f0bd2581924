# SPDX-License-Identifier: Apache-2.0
"""Recordings of ROS 1 and ROS 2, whole or damaged: topics, messages, and the frames of a camera.

rosbag2 folders (sqlite3, mcap; compressed by file, by message or by chunk), their files alone, and
ROS 1 bags. What cannot be read is left out, and ``BagReader.lost`` says what that was.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any

from ruamel.yaml import YAML

from videodepth_ros.bags.camera_topics import CameraTopics, Topic, find_camera, is_rectified
from videodepth_ros.bags.decoding import MessageDecoder
from videodepth_ros.bags.recording import SCANS, BagFile
from videodepth_ros.bags.scan import DAMAGE, unpack_file
from videodepth_ros.errors import BagError, InputError
from videodepth_ros.frames import Frame
from videodepth_ros.messages.camera_info import intrinsics_from, rectifier_from
from videodepth_ros.messages.image import decode_compressed, decode_image, is_compressed
from videodepth_ros.messages.transforms import stamp_ns

__all__ = ['BagReader', 'Topic', 'frames', 'open_bag']


def open_bag(path: Path | str) -> BagReader:
    """Open a recording for reading; use it in a ``with`` statement.

    raises  BagError if there is none, or nothing of it can be read
    """
    return BagReader(Path(path))


class BagReader:
    """A recording, open for reading.

    topics  every topic of it, in the order of their names
    """

    def __init__(self, path: Path) -> None:
        """Open the recording; raises BagError if there is none, or nothing of it can be read."""
        self.path = path
        self._notes: dict[str, str] = {}
        self._decoder = MessageDecoder()
        self._resources = ExitStack()
        try:
            self._files = [self._open(file) for file in self._find_files()]
        except BaseException:
            self._resources.close()
            raise
        counts: Counter[tuple[str, str]] = Counter()
        for channel in (one for file in self._files for one in file.channels):
            counts[channel.topic, channel.msgtype] += channel.count
        self.topics = tuple(Topic(*name_and_type, count)
                            for name_and_type, count in sorted(counts.items()))
        if self.lost and not self.count():
            self.close()
            raise BagError(f'nothing of {path} can be read: {self.lost}')

    def __enter__(self) -> BagReader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close its files."""
        self._resources.close()

    @property
    def lost(self) -> str | None:
        """What could not be read so far, in words; None if nothing."""
        notes = [note for file in self._files for note in file.notes]
        return '; '.join([*notes, *self._notes.values()]) or None

    def note(self, subject: str, text: str) -> None:
        """Add to ``lost`` what was left out; replaces an earlier note on the same subject."""
        self._notes[subject] = text

    def count(self, topics: Collection[str] = ()) -> int:
        """Return the number of messages of some topics (of all, if none is named)."""
        return sum(topic.count for topic in self.topics if not topics or topic.name in topics)

    def messages(self, topics: Collection[str] = ()) -> Iterator[tuple[str, int, Any]]:
        """Yield topic, time of recording in nanoseconds, and message, in the order of time.

        Messages that cannot be decoded are left out and counted in ``lost``.
        topics  names as in ``topics``; every topic if none is named
        """
        names = set(topics) or {topic.name for topic in self.topics}
        failed: Counter[str] = Counter()
        for file in self._files:
            for channel, recorded_ns, data in file.messages(names):
                try:
                    message = self._decoder.decode(channel, data)
                except DAMAGE as error:
                    failed[channel.topic] += 1
                    self.note(f'{channel.topic} {channel.msgtype}',
                              f'{failed[channel.topic]} messages of {channel.topic} '
                              f'({channel.msgtype}) could not be decoded: {error}')
                    continue
                yield channel.topic, recorded_ns, message

    def _open(self, path: Path) -> BagFile:
        """Open one file, unpacked first where rosbag2 compressed it as a whole."""
        if path.suffix == '.zstd':
            folder = Path(self._resources.enter_context(TemporaryDirectory()))
            try:
                damage = unpack_file(path, folder / path.stem)
            except OSError as error:
                raise BagError(f'{path} cannot be unpacked into {folder}: {error}') from error
            if damage:
                self.note(path.name, damage)
            path = folder / path.stem
        file = BagFile(path)
        self._resources.callback(file.close)
        return file

    def _find_files(self) -> list[Path]:
        """Return the files of the recording in their order."""
        if not self.path.exists():
            raise BagError(f'{self.path} does not exist; give the folder or file of a recording')
        if self.path.is_file():
            return [self.path]
        present = [file for file in self.path.iterdir()
                   if file.name.removesuffix('.zstd').endswith(tuple(SCANS))]
        listed = self._listed_files()
        missing = [name for name in listed if not (self.path / name).exists()]
        if missing:
            self.note('files', f'{", ".join(missing)} of {self.path.name} is missing')
        if not present:
            raise BagError(f'{self.path} has no file that ends in {", ".join(SCANS)}; '
                           'give the folder or file of a recording')
        return [self.path / name for name in listed if name not in missing] or \
            sorted(present, key=_by_number)

    def _listed_files(self) -> list[str]:
        """Return the names in metadata.yaml; none where it is damaged or, by a crash, missing."""
        metadata = self.path / 'metadata.yaml'
        if not metadata.exists():
            return []
        try:
            described = YAML(typ='safe').load(metadata.read_text())
            paths = described['rosbag2_bagfile_information']['relative_file_paths']
            return [Path(one).name for one in paths]
        except DAMAGE as error:
            self.note('metadata', f'metadata.yaml of {self.path.name} is damaged: {error}')
            return []


def _by_number(path: Path) -> list[tuple[int, str]]:
    """Order names by the numbers in them: part_2 before part_10."""
    return [(int(digits or 0), text) for text, digits in re.findall(r'(\D*)(\d*)', path.name)]


def frames(reader: BagReader, image_topic: str | None = None,
           camera_info_topic: str | None = None) -> Iterator[Frame]:
    """Yield the rectified frames of a camera, each with its intrinsics.

    A frame has the stamp of its header (the time of recording where that is zero). Its camera_info
    is the one with the same stamp, else the latest, before the first one the first. Images that
    cannot be used are left out and counted in ``reader.lost``.
    image_topic, camera_info_topic  found where they are None: see camera_topics.find_camera
    raises  ConfigError naming the candidates if a topic is missing or there are several; BagError
            at the end if not one image could be used
    """
    return _frames(reader, find_camera(reader.topics, image_topic, camera_info_topic))


def _frames(reader: BagReader, topics: CameraTopics) -> Iterator[Frame]:
    name, used, rejected = topics.image.name, 0, 0
    first_error: InputError | None = None
    for recorded_ns, image, info in _with_info(reader, topics):
        try:
            frame = _frame(recorded_ns, image, info, is_rectified(name))
        except InputError as error:
            first_error = first_error or error
            rejected += 1
            reader.note(f'frames of {name}',
                        f'{rejected} images of {name} could not be used: {first_error}')
            continue
        used += 1
        yield frame
    if rejected and not used:
        raise BagError(f'none of the {rejected} images of {name} can be used: {first_error}')


def _with_info(reader: BagReader, topics: CameraTopics) -> Iterator[tuple[int, Any, Any]]:
    """Yield time of recording, image, and camera_info or None.

    Drivers publish camera_info before or after its image, so an image without it waits until it
    or the next image comes.
    """
    if topics.info is None:
        for _, recorded_ns, image in reader.messages([topics.image.name]):
            yield recorded_ns, image, None
        return
    first = next(reader.messages([topics.info.name]), None)
    info = first[2] if first else None
    waiting: tuple[int, Any] | None = None
    for topic, recorded_ns, message in reader.messages([topics.image.name, topics.info.name]):
        if topic == topics.info.name:
            info = message
            if waiting and not _same_stamp(waiting[1], info):
                continue
        if waiting:
            yield *waiting, info
            waiting = None
        if topic == topics.image.name:
            waiting = recorded_ns, message
            if info is not None and _same_stamp(message, info):
                yield *waiting, info
                waiting = None
    if waiting:
        yield *waiting, info


def _same_stamp(one: Any, other: Any) -> bool:
    return stamp_ns(one.header.stamp) == stamp_ns(other.header.stamp)


def _frame(recorded_ns: int, message: Any, info: Any, already_rectified: bool) -> Frame:
    """Decode and rectify an image; raises InputError if it or its camera_info cannot be used."""
    image = decode_compressed(message) if is_compressed(message) else decode_image(message)
    camera, size = None, (image.shape[1], image.shape[0])
    if info is not None:
        camera = intrinsics_from(info, *size)
        rectifier = None if already_rectified else rectifier_from(info, *size)
        if rectifier:
            image = rectifier.rectify(image)
    return Frame(stamp_ns(message.header.stamp) or recorded_ns, message.header.frame_id, image,
                 camera)
