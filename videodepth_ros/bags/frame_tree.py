# SPDX-License-Identifier: Apache-2.0
"""The tree of coordinate frames of a recording: /tf and /tf_static, looked up at any time.

Between two transforms poses are interpolated as tf2 does it. Unlike tf2, whose listeners wait for
what comes, the whole recording is known here; outside of its span a transform stays as it was
nearest.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.bags.reader import BagReader
from videodepth_ros.core.errors import BagError
from videodepth_ros.geometry.pose import interpolate_poses, invert_poses, poses_from_xyz_quat
from videodepth_ros.messages.transforms import stamp_ns

Array = NDArray[np.float64]
Stamps = NDArray[np.int64]

TF, TF_STATIC = '/tf', '/tf_static'
ODOMETRY = 'nav_msgs/msg/Odometry'


@dataclass(frozen=True)
class TransformSeries:
    """Where a frame is in its parent.

    stamp_ns        (N,) int64, increasing; N is 1 where ``is_static``
    T_parent_child  (N, 4, 4) float64
    """

    parent: str
    stamp_ns: Stamps
    T_parent_child: Array
    is_static: bool

    def at(self, at_ns: Stamps) -> Array:
        """Return T_parent_child at some stamps (M,), (M, 4, 4)."""
        return interpolate_poses(self.stamp_ns, self.T_parent_child, at_ns)

    def covers(self, at_ns: Stamps) -> NDArray[np.bool_]:
        """Return whether a tf2 listener could look the transform up, (M,)."""
        if self.is_static:
            return np.ones(len(at_ns), np.bool_)
        return np.asarray((at_ns >= self.stamp_ns[0]) & (at_ns <= self.stamp_ns[-1]))


@dataclass(frozen=True)
class FrameTree:
    """The frames of a recording, each with its one parent.

    edges  by the name of the child
    notes  what was wrong with the transforms, in words
    """

    edges: Mapping[str, TransformSeries]
    notes: tuple[str, ...] = ()

    def __contains__(self, frame: str) -> bool:
        return frame in self.edges or any(edge.parent == frame for edge in self.edges.values())

    def chain(self, frame: str) -> list[str]:
        """Return the frame and all above it, up to the root.

        raises  BagError if the frames above it form a circle
        """
        frames = [frame]
        while edge := self.edges.get(frames[-1]):
            if edge.parent in frames:
                circle = ' -> '.join([*frames, edge.parent])
                raise BagError(
                    f'the frames {circle} of the recording form a circle; '
                    'one of its transforms must go'
                )
            frames.append(edge.parent)
        return frames

    def root(self, frame: str) -> str:
        """Return the topmost frame above a frame, which is itself where it has no parent."""
        return self.chain(frame)[-1]

    def T_root_frame(self, frame: str, at_ns: Stamps) -> Array:
        """Return where a frame is in its root, (M, 4, 4), at stamps (M,)."""
        T = np.tile(np.eye(4), (len(at_ns), 1, 1))
        for name in self.chain(frame)[:-1]:
            T = self.edges[name].at(at_ns) @ T
        return T

    def lookup(self, target: str, source: str, at_ns: Stamps) -> Array:
        """Return T_target_source, (M, 4, 4) float64, at stamps (M,) int64.

        raises  BagError if the two frames are not connected
        """
        if self.root(target) != self.root(source):
            raise BagError(
                f"frames {target!r} and {source!r} are not connected by the recording's transforms"
            )
        return invert_poses(self.T_root_frame(target, at_ns)) @ self.T_root_frame(source, at_ns)

    def with_edge(self, child: str, edge: TransformSeries) -> FrameTree:
        """Return the tree with one edge more; ``child`` must not have a parent yet."""
        assert child not in self.edges, child
        return FrameTree({**self.edges, child: edge}, self.notes)


@dataclass
class _SeriesBuilder:
    """Transforms of one child and one parent while they are read."""

    stamp_ns: array[int] = field(default_factory=lambda: array('q'))
    numbers: array[float] = field(default_factory=lambda: array('d'))

    def add(self, ns: int, position: Any, rotation: Any) -> None:
        self.stamp_ns.append(ns)
        self.numbers.extend(
            (position.x, position.y, position.z, rotation.x, rotation.y, rotation.z, rotation.w)
        )

    def edge(self, parent: str, *, is_static: bool) -> TransformSeries | None:
        """Return the transforms in order of time, the last one of each stamp; None if none."""
        stamps = np.array(self.stamp_ns, np.int64)
        T = poses_from_xyz_quat(np.array(self.numbers).reshape(-1, 7))
        usable = np.isfinite(T).all(axis=(1, 2))
        stamps, T = stamps[usable], T[usable]
        if not len(stamps):
            return None
        if is_static:
            return TransformSeries(parent, stamps[-1:], T[-1:], True)
        last = len(stamps) - 1 - np.unique(stamps[::-1], return_index=True)[1]
        return TransformSeries(parent, stamps[last], T[last], False)


def read_frame_tree(bag: BagReader) -> FrameTree:
    """Return the frames of a recording; a tree of none where it has neither topic.

    Of several parents of one frame the one with most transforms counts, and a note says so.
    """
    found: dict[str, dict[tuple[str, bool], _SeriesBuilder]] = {}
    for topic, _, message in bag.messages([TF, TF_STATIC]):
        for one in message.transforms:
            key = frame_name(one.header.frame_id), topic == TF_STATIC
            series = found.setdefault(frame_name(one.child_frame_id), {})
            series.setdefault(key, _SeriesBuilder()).add(
                stamp_ns(one.header.stamp), one.transform.translation, one.transform.rotation
            )
    edges: dict[str, TransformSeries] = {}
    notes = []
    for child, by_parent in sorted(found.items()):
        ranked = sorted(by_parent.items(), key=lambda item: (-len(item[1].stamp_ns), item[0]))
        usable = [
            edge
            for (parent, is_static), series in ranked
            if (edge := series.edge(parent, is_static=is_static))
        ]
        if not usable:
            notes.append(f'the transforms of frame {child} hold no rotation')
            continue
        edges[child] = usable[0]
        if others := {edge.parent for edge in usable} - {usable[0].parent}:
            notes.append(
                f'frame {child} has several parents in the recording: '
                f'{usable[0].parent} is taken, {", ".join(sorted(others))} is not'
            )
    return FrameTree(edges, tuple(notes))


def frame_name(name: str) -> str:
    """Return a frame's name without the slash that ROS 1 put before it."""
    return name.strip('/')


@dataclass(frozen=True)
class OdometryTrack:
    """What a nav_msgs/Odometry topic says: ``child`` moving in ``edge.parent``."""

    topic: str
    child: str
    edge: TransformSeries


def read_odometry(bag: BagReader, without: Iterable[str] = ()) -> list[OdometryTrack]:
    """Return the odometry of a recording, one for each topic that names both frames."""
    tracks = []
    for topic in bag.topics:
        if topic.type != ODOMETRY or topic.name in without:
            continue
        series, frames = _SeriesBuilder(), set()
        for _, _, message in bag.messages([topic.name]):
            frames.add((frame_name(message.header.frame_id), frame_name(message.child_frame_id)))
            series.add(
                stamp_ns(message.header.stamp),
                message.pose.pose.position,
                message.pose.pose.orientation,
            )
        if len(frames) != 1:
            continue
        parent, child = frames.pop()
        edge = series.edge(parent, is_static=False)
        if parent and child and edge:
            tracks.append(OdometryTrack(topic.name, child, edge))
    return tracks
