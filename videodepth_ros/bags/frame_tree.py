# SPDX-License-Identifier: Apache-2.0
"""The tree of coordinate frames of a recording, from /tf and /tf_static, looked up at any time.

Poses are interpolated as in tf2. The whole recording is known, so that a transform outside of its
time span is the first or last one, where tf2 would raise an extrapolation error.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from videodepth_ros.bags.reader import BagReader
from videodepth_ros.core.arrays import Float64Array, MaskArray, StampArray
from videodepth_ros.core.errors import BagError
from videodepth_ros.geometry.pose import interpolate_poses, invert_poses, poses_from_xyz_quat
from videodepth_ros.messages.transforms import stamp_ns

TF, TF_STATIC = '/tf', '/tf_static'
ODOMETRY = 'nav_msgs/msg/Odometry'


@dataclass(frozen=True)
class TransformSeries:
    """The transforms of one frame to its parent.

    stamp_ns        (N,) int64, increasing; N is 1 where ``is_static``
    T_parent_child  (N, 4, 4) float64
    """

    parent: str
    stamp_ns: StampArray
    T_parent_child: Float64Array
    is_static: bool

    def at(self, at_ns: StampArray) -> Float64Array:
        """Return T_parent_child at some stamps (M,), (M, 4, 4)."""
        return interpolate_poses(self.stamp_ns, self.T_parent_child, at_ns)

    def covers(self, at_ns: StampArray) -> MaskArray:
        """Return whether tf2 could look the transform up without extrapolation, (M,)."""
        if self.is_static:
            return np.ones(len(at_ns), np.bool_)
        return np.asarray((at_ns >= self.stamp_ns[0]) & (at_ns <= self.stamp_ns[-1]))


@dataclass(frozen=True)
class FrameTree:
    """The frames of a recording, each with at most one parent.

    transforms  by the name of the child frame
    notes       description of ambiguous or invalid transforms
    unused      parent and child of the transforms that the recording has besides
    """

    transforms: Mapping[str, TransformSeries]
    notes: tuple[str, ...] = ()
    unused: frozenset[tuple[str, str]] = frozenset()

    def __contains__(self, frame: str) -> bool:
        return frame in self.transforms or any(
            series.parent == frame for series in self.transforms.values()
        )

    def chain(self, frame: str) -> list[str]:
        """Return a frame and its ancestors up to the root.

        raises  BagError if the frames form a cycle
        """
        frames = [frame]
        while series := self.transforms.get(frames[-1]):
            if series.parent in frames:
                cycle = ' -> '.join([*frames, series.parent])
                raise BagError(
                    f'the frames {cycle} of the recording form a cycle; '
                    'remove one of its transforms'
                )
            frames.append(series.parent)
        return frames

    def root(self, frame: str) -> str:
        """Return the topmost ancestor of a frame; itself if it has no parent."""
        return self.chain(frame)[-1]

    def T_root_frame(self, frame: str, at_ns: StampArray) -> Float64Array:
        """Return the pose of a frame in its root, (M, 4, 4), at stamps (M,)."""
        T = np.tile(np.eye(4), (len(at_ns), 1, 1))
        for name in self.chain(frame)[:-1]:
            T = self.transforms[name].at(at_ns) @ T
        return T

    def lookup(self, target: str, source: str, at_ns: StampArray) -> Float64Array:
        """Return T_target_source, (M, 4, 4) float64, at stamps (M,) int64.

        raises  BagError if the two frames are not connected
        """
        if self.root(target) != self.root(source):
            raise BagError(
                f"frames {target!r} and {source!r} are not connected by the recording's transforms"
            )
        return invert_poses(self.T_root_frame(target, at_ns)) @ self.T_root_frame(source, at_ns)

    def with_transform(self, child: str, series: TransformSeries) -> FrameTree:
        """Return the tree with one more transform; ``child`` must not have a parent yet."""
        assert child not in self.transforms, child
        return replace(self, transforms={**self.transforms, child: series})


@dataclass
class _SeriesBuilder:
    """Transforms of one child and one parent while they are read."""

    stamp_ns: array[int] = field(default_factory=lambda: array('q'))
    numbers: array[float] = field(default_factory=lambda: array('d'))

    def add(self, ns: int, position: Any, rotation: Any) -> None:
        """Add a transform: a vector and a quaternion message."""
        self.stamp_ns.append(ns)
        self.numbers.extend(
            (position.x, position.y, position.z, rotation.x, rotation.y, rotation.z, rotation.w)
        )

    def build(self, parent: str, *, is_static: bool) -> TransformSeries | None:
        """Return the transforms in order of time, the last one of each stamp; None if none."""
        stamps = np.array(self.stamp_ns, np.int64)
        T = poses_from_xyz_quat(np.array(self.numbers).reshape(-1, 7))
        valid = np.isfinite(T).all(axis=(1, 2))
        stamps, T = stamps[valid], T[valid]
        if not len(stamps):
            return None
        if is_static:
            return TransformSeries(parent, stamps[-1:], T[-1:], True)
        last = len(stamps) - 1 - np.unique(stamps[::-1], return_index=True)[1]
        return TransformSeries(parent, stamps[last], T[last], False)


def read_frame_tree(bag: BagReader) -> FrameTree:
    """Read the frames of a recording; an empty tree without /tf and /tf_static.

    With a note each: of several parents of a frame the one with most transforms is taken;
    transforms of a frame to itself, or without a name, are ignored as in tf2; those of a cycle
    are left out, for any one of them may be the wrong one.
    """
    found, ignored = _collect_transforms(bag)
    notes = [
        f'{count} transforms from {parent!r} to {child!r} are ignored, as in tf2: a transform is '
        'between two frames with names'
        for (parent, child), count in sorted(ignored.items())
    ]
    transforms: dict[str, TransformSeries] = {}
    for child, by_parent in sorted(found.items()):
        ranked = sorted(by_parent.items(), key=lambda item: (-len(item[1].stamp_ns), item[0]))
        valid = [
            series
            for (parent, is_static), builder in ranked
            if (series := builder.build(parent, is_static=is_static))
        ]
        if not valid:
            notes.append(f'the transforms of frame {child} have no valid rotation')
            continue
        transforms[child] = valid[0]
        if others := {series.parent for series in valid} - {valid[0].parent}:
            notes.append(
                f'frame {child} has several parents in the recording: '
                f'{valid[0].parent} is used, {", ".join(sorted(others))} is not'
            )
    for cycle in _cycles(transforms):
        for name in cycle:
            del transforms[name]
        described = ' -> '.join([*cycle, cycle[0]])
        notes.append(
            f'the frames {described} of the recording form a cycle: the transforms between them '
            'are left out; remove the wrong one from the recording to use the others'
        )
    recorded = {(parent, child) for child, parents in found.items() for parent, _ in parents}
    used = {(series.parent, child) for child, series in transforms.items()}
    return FrameTree(transforms, tuple(notes), frozenset(recorded | ignored.keys()) - used)


_Builders = dict[str, dict[tuple[str, bool], _SeriesBuilder]]
"""Transforms by child, then by parent and whether they are static."""


def _collect_transforms(bag: BagReader) -> tuple[_Builders, Counter[tuple[str, str]]]:
    """Read all transforms between two frames; count the others by parent and child."""
    found: _Builders = {}
    ignored: Counter[tuple[str, str]] = Counter()
    for topic, _, message in bag.messages([TF, TF_STATIC]):
        for stamped in message.transforms:
            parent = frame_name(stamped.header.frame_id)
            child = frame_name(stamped.child_frame_id)
            if parent == child or not (parent and child):
                ignored[parent, child] += 1
                continue
            builders = found.setdefault(child, {})
            builders.setdefault((parent, topic == TF_STATIC), _SeriesBuilder()).add(
                stamp_ns(stamped.header.stamp),
                stamped.transform.translation,
                stamped.transform.rotation,
            )
    return found, ignored


def _cycles(transforms: Mapping[str, TransformSeries]) -> list[list[str]]:
    """Return the cycles of the frames, each from a child on to its ancestors."""
    cycles: list[list[str]] = []
    done: set[str] = set()
    for start in sorted(transforms):
        path: list[str] = []
        name = start
        while name in transforms and name not in done:
            done.add(name)
            path.append(name)
            name = transforms[name].parent
        if name in path:
            cycles.append(path[path.index(name) :])
    return cycles


def frame_name(name: str) -> str:
    """Return a frame's name without the leading slash of ROS 1."""
    return name.strip('/')


@dataclass(frozen=True)
class OdometryTrack:
    """The motion of ``child`` in ``series.parent`` by a nav_msgs/Odometry topic."""

    topic: str
    child: str
    series: TransformSeries


def read_odometry(bag: BagReader, without: Iterable[str] = ()) -> list[OdometryTrack]:
    """Read the odometry of a recording, one track for each topic that names both frames.

    without  topics to leave out
    """
    tracks = []
    for topic in bag.topics:
        if topic.type != ODOMETRY or topic.name in without:
            continue
        builder, frames = _SeriesBuilder(), set()
        for _, _, message in bag.messages([topic.name]):
            frames.add((frame_name(message.header.frame_id), frame_name(message.child_frame_id)))
            builder.add(
                stamp_ns(message.header.stamp),
                message.pose.pose.position,
                message.pose.pose.orientation,
            )
        if len(frames) != 1:
            continue
        parent, child = frames.pop()
        series = builder.build(parent, is_static=False)
        if parent and child and series:
            tracks.append(OdometryTrack(topic.name, child, series))
    return tracks
