# SPDX-License-Identifier: Apache-2.0
"""The messages of a playback in data time: results, and topics of their recording.

Results and images are played at their stamp. Other messages, such as transforms, are played at
their time of recording, shifted by a constant if recorder and camera have different clocks.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from videodepth_ros.bags.camera_topics import CameraTopics, TopicInfo, find_camera_topics
from videodepth_ros.bags.cdr import header_stamp_ns
from videodepth_ros.bags.frame_tree import TF, TF_STATIC
from videodepth_ros.bags.options import CLOCK as RECORDING_CLOCK
from videodepth_ros.bags.reader import BagReader, open_bag
from videodepth_ros.bags.scan import RawMessage, decompress_message
from videodepth_ros.bags.types import STORE, new_message
from videodepth_ros.core.errors import BagError, ConfigError
from videodepth_ros.messages.transforms import stamp_ns

RESULTS = '/videodepth/'
"""Prefix of the topics of results; they are played under the names of the live node's topics."""

PATH, DEPTH_INFO = f'{RESULTS}path', f'{RESULTS}depth/camera_info'
CLOCK, TF_MESSAGE = '/clock', 'tf2_msgs/msg/TFMessage'
LATENCY_NS = 10**9
"""Maximum latency of a recording [ns]: a message that was recorded later than this after its stamp
is played at its time of recording. Transforms of this time before the first image are played
with it."""


@dataclass(frozen=True)
class Track:
    """One topic of a playback.

    topic    published name
    source   name in the recording
    latched  its only message is published for late subscribers too (transient local)
    """

    topic: str
    source: str
    type: str
    latched: bool


@dataclass(frozen=True)
class Entry:
    """A message in CDR, due at ``due_ns`` of data time."""

    due_ns: int
    track: Track
    data: bytes


@dataclass(frozen=True)
class PlaybackSources:
    """Results, and the recording that they were computed from; None if it is not available.

    image_topic, camera_info_topic  of the refined camera; None: found by `find_camera_topics`
    """

    results: Path
    recording: Path | None = None
    image_topic: str | None = None
    camera_info_topic: str | None = None


class Playlist:
    """The messages of results and recording; a context manager.

    tracks            all topics except the static transforms
    image, info       tracks of the camera; None if they are not played
    begin_ns, end_ns  stamps of the first and of the last result
    """

    def __init__(self, sources: PlaybackSources, play_topics: str = 'camera') -> None:
        """Open results and recording.

        play_topics  'camera', 'all' or 'none': topics of the recording to play

        Raise BagError if one cannot be read; ConfigError if the recording has several cameras
        and none is named.
        """
        with ExitStack() as resources:
            self._results = resources.enter_context(open_bag(sources.results))
            self.begin_ns, self.end_ns = _span(self._results)
            readers = [self._results]
            if sources.recording is not None and play_topics != 'none':
                readers.append(resources.enter_context(open_bag(sources.recording)))
            camera = _camera(readers[-1], sources)
            self._parts = [_Part(readers[0], _choose(readers[0], camera, play_topics, {TF}))]
            if len(readers) > 1:
                own = {topic.name for topic in readers[0].topics}
                self._parts.append(
                    _Part(
                        readers[1],
                        tuple(
                            track
                            for track in _choose(readers[1], camera, play_topics, set())
                            if track.source not in own and not track.source.startswith(RESULTS)
                        ),
                    )
                )
            self._resources = resources.pop_all()
        self.tracks = tuple(track for part in self._parts for track in part.tracks)
        self.image = self._track(camera.image if camera else None)
        self.info = self._track(camera.info if camera else None)

    def __enter__(self) -> Playlist:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._resources.close()

    def static_transforms(self) -> bytes:
        """Return the static transforms of results and recording as one TFMessage."""
        found = {}
        if self._results.count([TF_STATIC]):
            found = {
                transform.child_frame_id: transform
                for _, _, message in self._results.messages([TF_STATIC])
                for transform in message.transforms
            }
        all_of_them = new_message(TF_MESSAGE)
        all_of_them.transforms = list(found.values())
        return bytes(STORE.serialize_cdr(all_of_them, TF_MESSAGE))

    def entries(self) -> Iterator[Entry]:
        """Yield all messages in order of their due time."""
        streams = []
        for part in self._parts:
            regular = [
                track for track in part.tracks if self._is_stamped(track) and not track.latched
            ]
            streams.append(reorder(self._entries(part), regular, LATENCY_NS))
        return heapq.merge(*streams, key=lambda entry: entry.due_ns)

    def _track(self, topic: TopicInfo | None) -> Track | None:
        return next((track for track in self.tracks if topic and track.source == topic.name), None)

    def _entries(self, part: _Part) -> Iterator[Entry]:
        tracks = {track.source: track for track in part.tracks}
        latched = [track.source for track in part.tracks if track.latched]
        for record in part.reader.records(latched) if latched else ():
            yield Entry(self.begin_ns, tracks[record[0].topic], to_cdr(record))
        shift_ns = self._shift_ns(part)
        passing = set(tracks) - set(latched)
        for record in part.reader.records(passing) if passing else ():
            track, data = tracks[record[0].topic], to_cdr(record)
            due_ns = record[1] + shift_ns
            if self._is_stamped(track) and abs(header_stamp_ns(data) - due_ns) < LATENCY_NS:
                due_ns = header_stamp_ns(data)
            elif track.source == TF and -LATENCY_NS < due_ns - self.begin_ns < 0:
                due_ns = self.begin_ns
            if self.begin_ns <= due_ns <= self.end_ns:
                yield Entry(due_ns, track, data)

    def _is_stamped(self, track: Track) -> bool:
        return track in (self.image, self.info) or track.source.startswith(RESULTS)

    def _shift_ns(self, part: _Part) -> int:
        """Return the offset from the clock of the recorder to that of the camera."""
        clock = next(
            (
                track.source
                for track in part.tracks
                if self._is_stamped(track) and not track.latched
            ),
            None,
        )
        for record in part.reader.records([clock]) if clock else ():
            shift_ns = header_stamp_ns(to_cdr(record)) - record[1]
            return shift_ns if abs(shift_ns) > RECORDING_CLOCK.max_offset_ns else 0
        return 0


@dataclass(frozen=True)
class _Part:
    """A recording and its tracks."""

    reader: BagReader
    tracks: tuple[Track, ...]


def reorder(
    entries: Iterable[Entry], regular: Collection[Track], window_ns: int
) -> Iterator[Entry]:
    """Yield entries in order of their due time, buffering as few as possible.

    regular    tracks whose entries are late but in order: the next of each is waited for
    window_ns  an entry later than this is not waited for
    """
    waiting: list[tuple[int, int, Entry]] = []
    reached = dict.fromkeys(regular, -1)
    newest_ns = -1
    for number, entry in enumerate(entries):
        heapq.heappush(waiting, (entry.due_ns, number, entry))
        newest_ns = max(newest_ns, entry.due_ns)
        if entry.track in reached:
            reached[entry.track] = entry.due_ns
        safe_ns = max(min(reached.values(), default=newest_ns), newest_ns - window_ns)
        while waiting and waiting[0][0] <= safe_ns:
            yield heapq.heappop(waiting)[2]
    while waiting:
        yield heapq.heappop(waiting)[2]


def to_cdr(record: RawMessage) -> bytes:
    """Return a message of a ROS 1 or ROS 2 recording in CDR."""
    channel, _, data = record
    raw = decompress_message(data)
    if channel.encoding == 'ros1':
        return bytes(STORE.ros1_to_cdr(raw, channel.msgtype))
    return bytes(raw)


def _camera(reader: BagReader, sources: PlaybackSources) -> CameraTopics | None:
    """Return the topics of the camera; None without images, as in results without recording."""
    try:
        return find_camera_topics(reader.topics, sources.image_topic, sources.camera_info_topic)
    except ConfigError:
        if any(
            not topic.name.startswith(RESULTS) and topic.name not in (TF, TF_STATIC)
            for topic in reader.topics
        ):
            raise
        return None


def _choose(
    reader: BagReader, camera: CameraTopics | None, play_topics: str, required: set[str]
) -> tuple[Track, ...]:
    """Return the tracks of a recording."""
    if camera is not None and play_topics != 'none':
        required = required | {camera.image.name, camera.info.name if camera.info else ''}
    return tuple(
        Track(topic.name.removeprefix(RESULTS), topic.name, topic.type, topic.count == 1)
        for topic in reader.topics
        if topic.count
        and topic.type in STORE.fielddefs
        and topic.name not in (CLOCK, TF_STATIC)
        and (topic.name in required or topic.name.startswith(RESULTS) or play_topics == 'all')
    )


def _span(results: BagReader) -> tuple[int, int]:
    """Return the stamps of the first and the last result; raise BagError without results."""
    stamps_ns: list[int] = []
    if results.count([PATH]):  # one message instead of all depth images
        stamps_ns = [
            stamp_ns(pose.header.stamp)
            for _, _, path in results.messages([PATH])
            for pose in path.poses
        ]
    elif results.count([DEPTH_INFO]):
        stamps_ns = [header_stamp_ns(to_cdr(record)) for record in results.records([DEPTH_INFO])]
    if not stamps_ns:
        raise BagError(
            f'{results.path} has no {DEPTH_INFO}, so it is not a refined recording; '
            'give the output of `videodepth refine`'
        )
    return min(stamps_ns), max(stamps_ns)
