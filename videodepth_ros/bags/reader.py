# SPDX-License-Identifier: Apache-2.0
"""Reader of recordings of ROS 1 and ROS 2, complete or damaged: topics and messages.

rosbag2 folders (sqlite3, mcap; compressed by file, by message or by chunk), their single files,
and ROS 1 bags. What cannot be read is left out and described in ``BagReader.lost``.
"""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any

from ruamel.yaml import YAML

from videodepth_ros.bags.bag_file import SCANNERS, BagFile, Span, file_kind
from videodepth_ros.bags.camera_topics import TopicInfo
from videodepth_ros.bags.decoding import MessageDecoder
from videodepth_ros.bags.scan import DECODE_ERRORS, RawMessage, decompress_file
from videodepth_ros.core.errors import BagError

METADATA = 'metadata.yaml'


def open_bag(path: Path | str) -> BagReader:
    """Open a recording for reading, in a ``with`` statement.

    path    its folder or metadata.yaml, or one file
    raises  BagError if there is none, or nothing of it can be read
    """
    path = Path(path)
    return BagReader(path.parent if path.name == METADATA and path.is_file() else path)


class BagReader:
    """A recording, open for reading.

    topics  all topics, sorted by name
    """

    def __init__(self, path: Path) -> None:
        """Open the recording; raises BagError if there is none, or nothing of it can be read."""
        self.path = path
        self._lost: dict[str, str] = {}
        self._notes: dict[str, str] = {}
        self._decoder = MessageDecoder()
        self._resources = ExitStack()
        try:
            self._files = [self._open(file) for file in self._find_files()]
        except OSError as error:
            self._resources.close()
            raise BagError(f'{path} cannot be opened: {error}') from error
        except BagError:
            self._resources.close()
            raise
        counts: Counter[tuple[str, str]] = Counter()
        for channel in (one for file in self._files for one in file.channels):
            counts[channel.topic, channel.msgtype] += channel.count
        self.topics = tuple(
            TopicInfo(*name_and_type, count) for name_and_type, count in sorted(counts.items())
        )
        if self.lost and not self.count():
            self.close()
            raise BagError(f'nothing of {path} can be read: {self.lost}')

    def __enter__(self) -> BagReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close its files."""
        self._resources.close()

    @property
    def lost(self) -> str | None:
        """Description of what could not be read so far; None if everything was."""
        return '; '.join(self.read_errors) or None

    @property
    def read_errors(self) -> tuple[str, ...]:
        """Each part of ``lost``."""
        notes = [note for file in self._files for note in file.notes]
        return (*notes, *self._lost.values())

    @property
    def notes(self) -> tuple[str, ...]:
        """How messages were read otherwise than they are described, in words."""
        return tuple(self._notes.values())

    def note_lost(self, subject: str, text: str) -> None:
        """Add to ``lost``; the text replaces an earlier one on the same subject."""
        self._lost[subject] = text

    def note(self, subject: str, text: str) -> None:
        """Add to ``notes``; the text replaces an earlier one on the same subject."""
        self._notes[subject] = text

    @property
    def duration_s(self) -> float | None:
        """Time from the first message to the last; None where a file has no index."""
        spans = [file.span_ns for file in self._files]
        known = [span for span in spans if span is not None]
        if not known or len(known) < len(spans) or not self.count():
            return None
        return (max(end for _, end in known) - min(start for start, _ in known)) / 1e9

    def count(self, topics: Collection[str] = ()) -> int:
        """Return the number of messages of some topics; of all by default."""
        return sum(topic.count for topic in self.topics if not topics or topic.name in topics)

    def messages(
        self, topics: Collection[str] = (), between_ns: Span | None = None
    ) -> Iterator[tuple[str, int, Any]]:
        """Yield topic, time of recording [ns] and message, in the order of recording.

        Messages that cannot be decoded are left out and counted in ``lost``.

        topics      names as in ``topics``; all by default
        between_ns  see `records`
        """
        failed: Counter[str] = Counter()
        for channel, recorded_ns, data in self.records(topics, between_ns):
            try:
                message = self._decoder.decode(channel, data)
            except DECODE_ERRORS as error:
                failed[channel.topic] += 1
                self.note_lost(
                    f'{channel.topic} {channel.msgtype}',
                    f'{failed[channel.topic]} messages of {channel.topic} '
                    f'({channel.msgtype}) could not be decoded: {error}',
                )
                continue
            yield channel.topic, recorded_ns, message

    def records(
        self, topics: Collection[str] = (), between_ns: Span | None = None
    ) -> Iterator[RawMessage]:
        """Yield channel, time of recording [ns] and serialised message.

        topics      names as in ``topics``; all by default
        between_ns  first time of recording, and that after the last; None: all
        """
        names = set(topics) or {topic.name for topic in self.topics}
        for file in self._files:
            yield from file.messages(names, between_ns)

    def _open(self, path: Path) -> BagFile:
        """Open one file, or its copy: decompressed, or with its log from a read-only medium."""
        if path.suffix == '.zstd':
            folder = Path(self._resources.enter_context(TemporaryDirectory()))
            damage = decompress_file(path, folder / path.stem)
            if damage:
                self.note_lost(path.name, damage)
            path = folder / path.stem
        log = path.with_name(f'{path.name}-wal')
        if log.exists() and not os.access(path.parent, os.W_OK):  # sqlite needs a file beside it
            folder = Path(self._resources.enter_context(TemporaryDirectory()))
            for part in (log, path):
                shutil.copyfile(part, folder / part.name)
            path = folder / path.name
        file = BagFile(path)
        self._resources.callback(file.close)
        return file

    def _find_files(self) -> list[Path]:
        """Return the files of the recording in order."""
        if not self.path.exists():
            raise BagError(f'{self.path} does not exist; give the folder or file of a recording')
        if self.path.is_file():
            return [self.path]
        present = [
            file
            for file in self.path.iterdir()
            if file_kind(Path(file.name.removesuffix('.zstd'))) in SCANNERS
        ]
        listed = self._listed_files()
        missing = [name for name in listed if not (self.path / name).exists()]
        if missing:
            self.note_lost('files', f'{", ".join(missing)} of {self.path.name} is missing')
        if not present:
            raise BagError(
                f'{self.path} has no file that ends in {", ".join(SCANNERS)}; '
                'give the folder or file of a recording; `videodepth import` converts '
                'a folder of images'
            )
        return [self.path / name for name in listed if name not in missing] or sorted(
            present, key=natural_sort_key
        )

    def _listed_files(self) -> list[str]:
        """Return the names in metadata.yaml; none where it is damaged or missing after a crash."""
        metadata = self.path / METADATA
        if not metadata.exists():
            return []
        try:
            described = YAML(typ='safe').load(metadata.read_text())
            paths = described['rosbag2_bagfile_information']['relative_file_paths']
            return [Path(one).name for one in paths]
        except DECODE_ERRORS as error:
            self.note_lost('metadata', f'metadata.yaml of {self.path.name} is damaged: {error}')
            return []


def natural_sort_key(path: Path) -> list[tuple[str, int]]:
    """Return a key that sorts part_2 before part_10."""
    return [(text, int(digits or 0)) for text, digits in re.findall(r'(\D*)(\d*)', path.name)]
