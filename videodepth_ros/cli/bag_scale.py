# SPDX-License-Identifier: Apache-2.0
"""Evidence of the scale in a bag, for a session that runs over it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.bags.frame_tree import FrameTree, frame_name, read_frame_tree, read_odometry
from videodepth_ros.bags.frames import messages_with_info
from videodepth_ros.bags.reader import BagReader
from videodepth_ros.core.arrays import Float64Array
from videodepth_ros.core.errors import ConfigError, InputError
from videodepth_ros.frames import Frame, ScaleSource
from videodepth_ros.geometry.pose import invert_poses
from videodepth_ros.messages.camera_info import intrinsics_from
from videodepth_ros.messages.cloud_points import points_from_cloud
from videodepth_ros.messages.image import decode_depth
from videodepth_ros.messages.laser_scan import points_from_scan
from videodepth_ros.messages.transforms import orientation_from_imu, stamp_ns
from videodepth_ros.refine.depth_topic import choose_depth_topic, with_camera_info
from videodepth_ros.refine.lidar import find_lidar_topics
from videodepth_ros.refine.odometry import is_own_topic
from videodepth_ros.scale.fusion import FusedScale, FusionSettings

SCAN, IMU = 'sensor_msgs/msg/LaserScan', 'sensor_msgs/msg/Imu'
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

    Lidars, laser scans, IMUs with an orientation and odometry that the bag's transforms connect
    with the camera are used; a reference depth image where it is the only source, for in a
    recording it may be the truth that results are compared with.
    raises  ConfigError if depth is the source, and there is not one topic of it
    """
    feeds: list[_Feed] | None = None
    for frame in frames:
        if feeds is None:
            feeds = list(_feeds(bag, scale, frame_name(frame.frame_id)))
        for feed in feeds:
            feed.give(frame.stamp_ns + LOOK_AHEAD_NS)
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


def _feeds(bag: BagReader, scale: FusedScale, camera_frame: str) -> Iterator[_Feed]:
    """Yield the evidence of the sources that are wanted."""
    assert isinstance(scale.transforms, RecordedTransforms)
    tree, sources = scale.transforms.tree, scale.settings.sources
    if ScaleSource.LIDAR in sources:
        clouds = find_lidar_topics(bag, tree, camera_frame)
        yield _given(bag, clouds, lambda message: _give_points(scale, message, points_from_cloud))
        scans = _connected(bag, SCAN, tree, camera_frame)
        yield _given(bag, scans, lambda message: _give_points(scale, message, points_from_scan))
    if ScaleSource.CAMERA_HEIGHT in sources:
        imus = _connected(bag, IMU, tree, camera_frame)[:1]
        yield _given(bag, imus, lambda message: _give_orientation(scale, message))
    if sources == (ScaleSource.DEPTH,):
        yield _Feed(_depth(bag, scale))
    if ScaleSource.ODOMETRY in sources:
        yield _Feed(_odometry(bag, scale))


def _connected(bag: BagReader, kind: str, tree: FrameTree, camera_frame: str) -> list[str]:
    """Return the topics of a type whose frame the transforms connect with the camera."""
    found = []
    for topic in bag.topics:
        if topic.type != kind or is_own_topic(topic.name):
            continue
        _, _, first = next(bag.messages([topic.name]), (None, None, None))
        frame = frame_name(first.header.frame_id) if first else ''
        if frame and tree.root(frame) == tree.root(camera_frame):
            found.append(topic.name)
    return found


def _given(bag: BagReader, topics: list[str], give: Callable[[Any], None]) -> _Feed:
    """Return the messages of topics, each given to the scale; what is unusable is noted."""

    def items() -> Iterator[int]:
        for topic, _, message in bag.messages(topics):
            try:
                give(message)
            except InputError as error:
                bag.note_lost(topic, f'{topic} was not used: {error}')
                continue
            yield stamp_ns(message.header.stamp)

    return _Feed(items() if topics else iter(()))


def _give_points(
    scale: FusedScale, message: Any, points_from: Callable[[Any], NDArray[np.floating[Any]]]
) -> None:
    header, points_m = message.header, points_from(message).astype(np.float32)
    scale.add_points(stamp_ns(header.stamp), frame_name(header.frame_id), points_m)


def _give_orientation(scale: FusedScale, message: Any) -> None:
    header = message.header
    scale.orientations.add(
        frame_name(header.frame_id), stamp_ns(header.stamp), orientation_from_imu(message)
    )


def _depth(bag: BagReader, scale: FusedScale) -> Iterator[int]:
    """Give the images of the only depth topic, with the camera_info beside it."""
    try:
        name = choose_depth_topic(bag, None).name
    except ConfigError as error:
        raise ConfigError(
            '--scale-source depth needs one topic of depth images in the recording, which has '
            'none or several; choose another source'
        ) from error
    topics = with_camera_info(bag.topics, name)
    for _, message, info in messages_with_info(bag, topics):
        try:
            depth_m = decode_depth(message)
            camera = info and intrinsics_from(info, depth_m.shape[1], depth_m.shape[0])
        except InputError as error:
            bag.note_lost(name, f'{name} was not used: {error}')
            continue
        stamp = stamp_ns(message.header.stamp)
        scale.add_depth(stamp, frame_name(message.header.frame_id), depth_m, camera)
        yield stamp


def _odometry(bag: BagReader, scale: FusedScale) -> Iterator[int]:
    """Give the poses of the odometry that does not come from this package."""
    tracks = read_odometry(bag, [each.name for each in bag.topics if is_own_topic(each.name)])
    for track in tracks[:1]:
        series = track.series
        for stamp, T in zip(series.stamp_ns.tolist(), series.T_parent_child, strict=True):
            scale.odometry.add(series.parent, track.child, stamp, T)
            yield stamp
