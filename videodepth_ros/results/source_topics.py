# SPDX-License-Identifier: Apache-2.0
"""Copying of topics from the source into the refined recording."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence, Set
from fnmatch import fnmatch
from typing import Any

from videodepth_ros.bags.decoding import MessageDecoder
from videodepth_ros.bags.frame_tree import TF, TF_STATIC, frame_name
from videodepth_ros.bags.reader import BagReader
from videodepth_ros.bags.scan import DECODE_ERRORS, Channel, RawMessage
from videodepth_ros.bags.writer import BagWriter
from videodepth_ros.core.errors import BagError
from videodepth_ros.messages.transforms import matrix_from_transform, stamp_ns
from videodepth_ros.results.map_attachment import StampedTransform

OWN_TOPICS = '/videodepth/'
TF_MESSAGE = 'tf2_msgs/msg/TFMessage'

Item = RawMessage | StampedTransform


class SourceTopicCopier:
    """A copier of the source's messages, in steps of time.

    notes  description of what could not be copied, by topic
    """

    def __init__(
        self,
        bag: BagReader,
        writer: BagWriter,
        recorded_at: Callable[[int], int],
        odometry: Sequence[StampedTransform],
        copied: Sequence[str],
        unused: Set[tuple[str, str]] = frozenset(),
    ) -> None:
        """Select the topics to copy.

        recorded_at  conversion of stamps to times of recording [ns]
        odometry     transforms that are written to /tf besides
        copied       names of topics, or patterns such as ``/camera/*``; /tf and /tf_static are
                     always copied, topics of this package never
        unused       parent and child of the transforms that are left out, as their frames have
                     another parent in the result, see `FrameTree`
        """
        self.notes: dict[str, str] = {}
        self._bag, self._writer, self._recorded_at = bag, writer, recorded_at
        self._unused = unused
        self._decoder = MessageDecoder()
        topics = [
            topic.name
            for topic in bag.topics
            if topic.name == TF or is_topic_copied(topic.name, copied)
        ]
        rest: Iterator[Item] = iter(bag.records(topics) if topics else ())
        self._items = heapq.merge(rest, iter(odometry), key=self._time)
        self._next = next(self._items, None)

    def copy_static(self, start_ns: int) -> None:
        """Write /tf_static at the start of the recording, so that all lookups succeed."""
        if self._next is not None:
            start_ns = min(start_ns, self._time(self._next))
        for channel, _, data in self._bag.records([TF_STATIC]):
            self._copy(channel, start_ns, data)

    def copy_until(self, end_ns: int | None) -> None:
        """Copy the messages recorded up to ``end_ns``; all that are left if that is None.

        raises  BagError if the result cannot be written
        """
        while self._next is not None and (end_ns is None or self._time(self._next) <= end_ns):
            if isinstance(self._next, StampedTransform):
                self._writer.write_transform(*self._next)
            else:
                self._copy(*self._next)
            self._next = next(self._items, None)

    def _time(self, item: Item) -> int:
        return self._recorded_at(item.stamp_ns) if isinstance(item, StampedTransform) else item[1]

    def _copy(self, channel: Channel, recorded_ns: int, data: bytes) -> None:
        """Write a message of the source, or a note if it cannot be written."""
        is_tf = channel.topic in (TF, TF_STATIC)
        try:
            if is_tf and (channel.encoding != 'cdr' or channel.msgtype != TF_MESSAGE):
                self._rewrite_transforms(channel, recorded_ns, data)
            elif is_tf and self._unused:
                self._copy_used_transforms(channel, recorded_ns, data)
            else:
                self._writer.copy(channel, recorded_ns, data)
        except BagError as error:
            self.notes[channel.topic] = str(error)
        except DECODE_ERRORS as error:
            self.notes[channel.topic] = f'{channel.topic} has a damaged message: {error}'

    def _rewrite_transforms(self, channel: Channel, recorded_ns: int, data: bytes) -> None:
        """Write transforms of ROS 1 without the leading slash of their frames."""
        for stamped in self._decoder.decode(channel, data).transforms:
            if not self._is_used(stamped):
                continue
            self._writer.write_transform(
                stamp_ns(stamped.header.stamp),
                frame_name(stamped.header.frame_id),
                frame_name(stamped.child_frame_id),
                matrix_from_transform(stamped.transform),
                static=channel.topic == TF_STATIC,
                recorded_ns=recorded_ns,
            )

    def _copy_used_transforms(self, channel: Channel, recorded_ns: int, data: bytes) -> None:
        """Write a message without its unused transforms; without it if it has no others."""
        message = self._decoder.decode(channel, data)
        used = [stamped for stamped in message.transforms if self._is_used(stamped)]
        if len(used) == len(message.transforms):
            self._writer.copy(channel, recorded_ns, data)
        elif used:
            message.transforms = used
            self._writer.write(channel.topic, recorded_ns, message, recorded_ns)

    def _is_used(self, stamped: Any) -> bool:
        names = stamped.header.frame_id, stamped.child_frame_id
        return tuple(map(frame_name, names)) not in self._unused


def is_topic_copied(topic: str, patterns: Sequence[str]) -> bool:
    """Return whether a topic matches one of the patterns, and is not always or never copied."""
    name = '/' + topic.strip('/')
    if name in (TF, TF_STATIC) or name.startswith(OWN_TOPICS):
        return False
    return any(fnmatch(name, '/' + pattern.strip('/')) for pattern in patterns)
