# SPDX-License-Identifier: Apache-2.0
"""Evidence of the scale in a bag, for a session that runs over it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from videodepth_ros.bags.frame_tree import (
    FrameTree,
    OdometryTrack,
    frame_name,
    read_frame_tree,
    read_odometry,
)
from videodepth_ros.bags.reader import BagReader
from videodepth_ros.core.arrays import Float64Array
from videodepth_ros.core.errors import InputError
from videodepth_ros.frames import Frame, ScaleSource
from videodepth_ros.geometry.pose import invert_poses
from videodepth_ros.messages.cloud_points import points_from_cloud
from videodepth_ros.messages.transforms import stamp_ns
from videodepth_ros.refine.lidar import find_lidar_topics
from videodepth_ros.refine.odometry import is_own_topic
from videodepth_ros.scale.fusion import FusedScale, FusionSettings

LOOK_AHEAD_NS = 200_000_000
"""Data time beyond a frame up to which its evidence is read [ns]."""


@dataclass(frozen=True)
class RecordedTransforms:
    """The transforms of a recording, see ``geometry.transform_buffer.Transforms``."""

    tree: FrameTree

    def lookup(
        self, target: str, target_ns: int, source: str, source_ns: int
    ) -> Float64Array | None:
        """Return T_target_source (4, 4), each frame at a stamp of its own; None: not connected."""
        if self.tree.root(target) != self.tree.root(source):
            return None
        T_root_target = self.tree.T_root_frame(target, np.array([target_ns]))[0]
        T_root_source = self.tree.T_root_frame(source, np.array([source_ns]))[0]
        return np.asarray(invert_poses(T_root_target) @ T_root_source)

    def parents(self, frame: str) -> list[str]:
        """Return a frame and its ancestors up to the root."""
        return self.tree.chain(frame)


def open_scale(bag: BagReader, settings: FusionSettings) -> FusedScale:
    """Return the scale of a session over a bag, with the bag's transforms."""
    return FusedScale(settings, RecordedTransforms(read_frame_tree(bag)))


def with_evidence(frames: Iterable[Frame], bag: BagReader, scale: FusedScale) -> Iterator[Frame]:
    """Yield frames after the evidence that belongs to them was given to their scale.

    Lidars and odometry that the bag's transforms connect with the camera are used.
    """
    odometry = points = None
    for frame in frames:
        if points is None or odometry is None:
            odometry, points = _odometry(bag, scale), _points(bag, scale, frame.frame_id)
        until_ns = frame.stamp_ns + LOOK_AHEAD_NS
        odometry.give(until_ns)
        points.give(until_ns)
        yield frame


class _Feed:
    """Evidence in order of its stamps, given up to a stamp; each item gives itself."""

    def __init__(self, items: Iterator[int]) -> None:
        self._items = items
        self._given_ns = -(2**62)

    def give(self, until_ns: int) -> None:
        """Give what is stamped up to ``until_ns``."""
        while self._given_ns <= until_ns:
            self._given_ns = next(self._items, 2**62)


def _points(bag: BagReader, scale: FusedScale, camera_frame: str) -> _Feed:
    if ScaleSource.LIDAR not in scale.settings.sources:
        return _Feed(iter(()))
    assert isinstance(scale.transforms, RecordedTransforms)
    topics = find_lidar_topics(bag, scale.transforms.tree, camera_frame)

    def give() -> Iterator[int]:
        for topic, _, message in bag.messages(topics):
            stamp = stamp_ns(message.header.stamp)
            try:
                points_m = points_from_cloud(message).astype(np.float32)
            except InputError as error:
                bag.note_lost(topic, f'{topic} was not used: {error}')
                continue
            scale.add_points(stamp, frame_name(message.header.frame_id), points_m)
            yield stamp

    return _Feed(give() if topics else iter(()))


def _odometry(bag: BagReader, scale: FusedScale) -> _Feed:
    if ScaleSource.ODOMETRY not in scale.settings.sources:
        return _Feed(iter(()))
    tracks = read_odometry(bag, [each.name for each in bag.topics if is_own_topic(each.name)])

    def give(track: OdometryTrack) -> Iterator[int]:
        series = track.series
        for stamp, T in zip(series.stamp_ns.tolist(), series.T_parent_child, strict=True):
            scale.odometry.add(series.parent, track.child, stamp, T)
            yield stamp

    return _Feed(give(tracks[0]) if tracks else iter(()))
