# SPDX-License-Identifier: Apache-2.0
"""What is played: the results of a recording, with what the recording itself has, by data time.

Results are written at the time of their stamp, and so the images of the camera are played at
theirs. What else the recording has is played when it was recorded, moved by a constant where the
recorder's clock is another one than the camera's.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from rosbags.rosbag2 import Reader

from videodepth_ros.bags.camera_topics import CAMERA_INFO, CameraTopics, Topic, find_camera
from videodepth_ros.bags.reader import BagReader, open_bag
from videodepth_ros.bags.scan import DAMAGE
from videodepth_ros.bags.types import STORE, new_message
from videodepth_ros.bags.writer import TF, TF_STATIC
from videodepth_ros.errors import BagError, ConfigError
from videodepth_ros.messages.transforms import stamp_ns

RESULTS = '/videodepth/'
"""Prefix of the topics of results; they are played under the names that the live node uses."""

CLOCK = '/clock'
SAME_CLOCK_NS = 10 * 10**9
"""Stamps that are no further from the time of recording are of the same clock."""

LATENCY_NS = 10**9
"""An image that was recorded so long after its stamp is still played at its stamp; and so much
of the transforms before the first image is played with it, for nothing else lies between."""


@dataclass(frozen=True)
class Track:
    """One topic that is played.

    topic    name to publish under
    source   name in the recording
    latched  whether its one message is for everybody who comes later, too
    """

    topic: str
    source: str
    type: str
    latched: bool


@dataclass(frozen=True)
class Entry:
    """A message of rosbags that is due at ``due_ns`` in the clock of the data."""

    due_ns: int
    track: Track
    message: Any


class Playlist:
    """The messages of results and recording, to be used in a ``with`` statement.

    tracks            everything that is played but the static transforms
    image, info       which of them the camera's are, None where they are not played
    begin_ns, end_ns  time of the first and of the last result
    """

    def __init__(self, results: Path, recording: Path | None, play_topics: str = 'camera',
                 image_topic: str | None = None, camera_info_topic: str | None = None) -> None:
        """Open both.

        play_topics  'camera', 'all' or 'none': what of the recording is played
        raises       BagError if one of them cannot be read; ConfigError if the recording has
                     several cameras and none is named
        """
        self.begin_ns, self.end_ns = _span(results)
        self._resources = ExitStack()
        try:
            self._results = self._resources.enter_context(open_bag(results))
            self._recording = None if recording is None or play_topics == 'none' else \
                self._resources.enter_context(open_bag(recording))
            camera = self._camera(image_topic, camera_info_topic)
            self._result_tracks = _tracks(self._results.topics, ())
            taken = {track.source for track in self._result_tracks} - {TF}
            self._recorded_tracks = self._choose(camera, play_topics, taken)
            self._shift_ns = self._find_shift(camera)
        except Exception:
            self._resources.close()
            raise
        self.tracks = tuple({track.topic: track for track in (
            *self._result_tracks, *self._recorded_tracks)}.values())
        self.image = self._track(camera.image if camera else None)
        self.info = self._track(camera.info if camera else None)

    def __enter__(self) -> Playlist:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._resources.close()

    def static_transforms(self) -> Any:
        """Return all static transforms as one TFMessage; those of the results come first."""
        found: dict[str, Any] = {}
        for reader in filter(None, (self._results, self._recording)):
            known = set(found)
            if reader.count([TF_STATIC]):
                found |= {each.child_frame_id: each
                          for _, _, message in reader.messages([TF_STATIC])
                          for each in message.transforms if each.child_frame_id not in known}
        message = new_message('tf2_msgs/msg/TFMessage')
        message.transforms = list(found.values())
        return message

    def entries(self) -> Iterator[Entry]:
        """Yield everything in the order of its time."""
        results = self._result_entries()
        if self.image in self._result_tracks:
            results = in_order(results, LATENCY_NS)
        if self._recording is None or not self._recorded_tracks:
            return results
        recorded = in_order(self._recorded_entries(self._recording), LATENCY_NS)
        return heapq.merge(results, recorded, key=lambda entry: entry.due_ns)

    def _camera(self, image: str | None, info: str | None) -> CameraTopics | None:
        try:
            return find_camera((self._recording or self._results).topics, image, info)
        except ConfigError:
            if self._recording is not None:
                raise
            return None   # results alone need not hold images

    def _choose(self, camera: CameraTopics | None, play_topics: str, taken: set[str]
                ) -> tuple[Track, ...]:
        """Return the topics of the recording that are played; ``taken``: results have them."""
        if self._recording is None or camera is None:
            return ()
        wanted = {camera.image.name, camera.info.name if camera.info else '', TF}
        return _tracks((topic for topic in self._recording.topics if topic.name in wanted or (
            play_topics == 'all' and not topic.name.startswith(RESULTS))), taken)

    def _find_shift(self, camera: CameraTopics | None) -> int:
        """Return what to add to a time of recording to have the camera's time."""
        if self._recording is None or camera is None:
            return 0
        for _, recorded_ns, message in self._recording.messages([camera.image.name]):
            shift_ns = stamp_ns(message.header.stamp) - recorded_ns
            return shift_ns if abs(shift_ns) > SAME_CLOCK_NS else 0
        return 0

    def _track(self, topic: Topic | None) -> Track | None:
        return next((track for track in self.tracks if topic and track.source == topic.name), None)

    def _result_entries(self) -> Iterator[Entry]:
        tracks = {track.source: track for track in self._result_tracks}
        once = [name for name, track in tracks.items() if track.latched]
        for source, _, message in self._results.messages(once) if once else ():
            yield Entry(self.begin_ns, tracks[source], message)
        many = set(tracks) - set(once)
        for source, recorded_ns, message in self._results.messages(many) if many else ():
            yield Entry(self._due_ns(tracks[source], recorded_ns, message), tracks[source],
                        message)

    def _recorded_entries(self, reader: BagReader) -> Iterator[Entry]:
        tracks = {track.source: track for track in self._recorded_tracks}
        placed = self._placed_frames()
        for source, recorded_ns, message in reader.messages(tracks):
            due_ns = self._due_ns(tracks[source], recorded_ns + self._shift_ns, message)
            if source == TF:
                message.transforms = [each for each in message.transforms
                                      if each.child_frame_id not in placed]
                if -LATENCY_NS < due_ns - self.begin_ns < 0:
                    due_ns = self.begin_ns
            if tracks[source].latched:
                due_ns = self.begin_ns
            if self.begin_ns <= due_ns <= self.end_ns:
                yield Entry(due_ns, tracks[source], message)

    def _due_ns(self, track: Track, recorded_ns: int, message: Any) -> int:
        """Return when to play a message: what the camera gave, at its stamp."""
        if track not in (self.image, self.info):
            return recorded_ns
        stamped_ns = stamp_ns(message.header.stamp)
        return stamped_ns if abs(stamped_ns - recorded_ns) < LATENCY_NS else recorded_ns

    def _placed_frames(self) -> set[str]:
        """Return the frames that have a parent in the results: a second one would not do."""
        placed = {each.child_frame_id for each in self.static_transforms().transforms}
        if self._results.count([TF]):
            _, _, first = next(self._results.messages([TF]))
            placed |= {each.child_frame_id for each in first.transforms}
        return placed


def in_order(entries: Iterable[Entry], window_ns: int) -> Iterator[Entry]:
    """Yield entries in the order of their time, where none comes later than ``window_ns``."""
    waiting: list[tuple[int, int, Entry]] = []
    for number, entry in enumerate(entries):
        heapq.heappush(waiting, (entry.due_ns, number, entry))
        while waiting[0][0] <= entry.due_ns - window_ns:
            yield heapq.heappop(waiting)[2]
    while waiting:
        yield heapq.heappop(waiting)[2]


def as_ros2(message: Any, kind: str) -> Any:
    """Return the message with the field names of ROS 2; only CameraInfo had others in ROS 1."""
    if kind != CAMERA_INFO or not hasattr(message, 'K'):
        return message
    info = new_message(CAMERA_INFO)
    for name, _ in STORE.fielddefs[CAMERA_INFO][1]:
        setattr(info, name, getattr(message, name, None) if hasattr(message, name)
                else getattr(message, name.upper()))
    return info


def _tracks(topics: Iterable[Topic], taken: Iterable[str]) -> tuple[Track, ...]:
    """Return what can be played of these topics, without those that are taken."""
    left_out = {CLOCK, TF_STATIC, *taken}
    return tuple(Track(topic.name.removeprefix(RESULTS), topic.name, topic.type, topic.count == 1)
                 for topic in topics if topic.count and topic.name not in left_out
                 and topic.type in STORE.fielddefs)


def _span(results: Path) -> tuple[int, int]:
    """Return the times of the first and the last message; raises BagError if there is none."""
    if not results.exists():
        raise BagError(f'{results} does not exist; give the folder or file of refined results')
    try:
        with Reader(results) as reader:
            if reader.message_count == 0:
                raise BagError(f'{results} is empty; refine the recording again')
            return reader.start_time, reader.end_time - 1   # the reader's end is after the last
    except DAMAGE as error:
        raise BagError(f'{results} cannot be read: {error}; refine the recording again') from error
