# SPDX-License-Identifier: Apache-2.0
"""What the other sensors of a recording say about its frames: motion from odometry, lidar depth.

Both reach the camera through the recording's own transforms; a sensor that they do not connect to
the camera says nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.alignment.constraints import RelativePose
from videodepth_ros.bags.frame_tree import (
    ODOMETRY,
    FrameTree,
    OdometryTrack,
    TransformSeries,
    frame_name,
    read_odometry,
)
from videodepth_ros.bags.reader import BagReader
from videodepth_ros.core.errors import InputError
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.messages.transforms import stamp_ns

Array = NDArray[np.float32]
Array64 = NDArray[np.float64]
Stamps = NDArray[np.int64]

CLOUD = 'sensor_msgs/msg/PointCloud2'
OWN = '/videodepth/'
FLOATS = {7: 'f4', 8: 'f8'}
"""By the datatype of a sensor_msgs/PointField."""
NEAREST_M = 0.1


@dataclass(frozen=True)
class CameraOdometry:
    """Motions of the camera between neighbouring frames; ``source``: the topic that tells them."""

    steps: tuple[RelativePose, ...]
    source: str


def read_camera_odometry(
    bag: BagReader, tree: FrameTree, camera_frame: str, stamps_ns: Stamps
) -> CameraOdometry | None:
    """Return how odometry moves the camera from frame to frame; None where there is none.

    stamps_ns  (N,) int64 of the frames; those outside of the odometry's time are left out
    A nav_msgs/Odometry topic comes first, then a frame ``odom`` above the camera in /tf (REP-105).
    """
    camera_frame = frame_name(camera_frame)
    for track in sorted(_tracks(bag), key=lambda one: (not one.topic.endswith('odom'), one.topic)):
        if tree.root(track.child) == tree.root(camera_frame):
            T_base_cam = tree.lookup(track.child, camera_frame, stamps_ns)
            steps = _steps(track.edge.at(stamps_ns) @ T_base_cam, track.edge.covers(stamps_ns))
            return CameraOdometry(steps, track.topic) if steps else None
    edge = _odom_above(tree, camera_frame)
    if edge is None:
        return None
    T = tree.lookup(edge.parent, camera_frame, stamps_ns)
    steps = _steps(T, edge.covers(stamps_ns))
    return CameraOdometry(steps, f'/tf frame {edge.parent}') if steps else None


def _tracks(bag: BagReader) -> list[OdometryTrack]:
    own = [
        topic.name
        for topic in bag.topics
        if topic.type == ODOMETRY and f'/{topic.name.strip("/")}'.startswith(OWN)
    ]
    return read_odometry(bag, own)


def _odom_above(tree: FrameTree, frame: str) -> TransformSeries | None:
    """Return the moving edge below a frame called odom, among those above a frame."""
    for name in tree.chain(frame)[:-1]:
        edge = tree.edges[name]
        if not edge.is_static and edge.parent.rpartition('/')[2] == 'odom':
            return edge
    return None


def _steps(T_odom_cam: Array64, known: NDArray[np.bool_]) -> tuple[RelativePose, ...]:
    return tuple(
        RelativePose(i, j, np.linalg.inv(T_odom_cam[i]) @ T_odom_cam[j])
        for i, j in pairwise(range(len(known)))
        if known[i] and known[j]
    )


def find_lidar_topics(bag: BagReader, tree: FrameTree, camera_frame: str) -> list[str]:
    """Return the clouds of a recording that its transforms connect to the camera.

    Clouds in the camera's own frame are those of a depth camera, whose images say more.
    """
    found = []
    for topic in bag.topics:
        if topic.type != CLOUD or f'/{topic.name.strip("/")}'.startswith(OWN):
            continue
        _, _, first = next(bag.messages([topic.name]), (None, None, None))
        frame = frame_name(first.header.frame_id) if first else ''
        if (
            frame
            and frame != frame_name(camera_frame)
            and tree.root(frame) == tree.root(frame_name(camera_frame))
            and _usable(bag, topic.name, first) is not None
        ):
            found.append(topic.name)
    return found


def _usable(bag: BagReader, topic: str, message: Any) -> Array64 | None:
    """Return the points of a cloud; None, with a note in ``bag.lost``, where it has none."""
    try:
        return points_from_cloud(message)
    except InputError as error:
        bag.note(topic, f'{topic} was not used: {error}')
        return None


def project_lidar(
    bag: BagReader,
    topics: Sequence[str],
    tree: FrameTree,
    camera_frame: str,
    camera: Intrinsics,
    stamps_ns: Stamps,
) -> Iterator[tuple[int, Array]]:
    """Yield frames and the depth (h, w) float32 that clouds near in time give them, NaN elsewhere.

    camera     intrinsics at the size wanted
    stamps_ns  (N,) int64 of the frames; a cloud belongs to the nearest one, if that is no further
               than the frames are apart
    """
    apart_ns = int(np.median(np.diff(stamps_ns))) if len(stamps_ns) > 1 else 10**8
    for topic, _, message in bag.messages(topics):
        cloud_ns = stamp_ns(message.header.stamp)
        n = int(np.abs(stamps_ns - cloud_ns).argmin())
        if abs(int(stamps_ns[n]) - cloud_ns) > apart_ns:
            continue
        T_cam_lidar = _between_times(
            tree,
            frame_name(camera_frame),
            int(stamps_ns[n]),
            frame_name(message.header.frame_id),
            cloud_ns,
        )
        points = _usable(bag, topic, message)
        if points is not None:
            yield n, rasterize_depth(points @ T_cam_lidar[:3, :3].T + T_cam_lidar[:3, 3], camera)


def _between_times(
    tree: FrameTree, target: str, target_ns: int, source: str, source_ns: int
) -> Array64:
    """Return T_target_source, each frame at a time of its own, by way of their root."""
    T_root_target = tree.T_root_frame(target, np.array([target_ns]))[0]
    T_root_source = tree.T_root_frame(source, np.array([source_ns]))[0]
    found: Array64 = np.linalg.inv(T_root_target) @ T_root_source
    return found


def points_from_cloud(message: Any) -> Array64:
    """Return the finite points (P, 3) float64 of a sensor_msgs/PointCloud2.

    raises  InputError where x, y and z are no floats, or the data of another size than stated
    """
    fields = {field.name: field for field in message.fields if field.datatype in FLOATS}
    if not {'x', 'y', 'z'} <= set(fields):
        raise InputError(
            f'cloud in {message.header.frame_id!r} has no float32 or float64 x, y '
            'and z; it cannot give depth'
        )
    axes = [fields[axis] for axis in 'xyz']
    kinds = [('>' if message.is_bigendian else '<') + FLOATS[axis.datatype] for axis in axes]
    ends = [axis.offset + np.dtype(kind).itemsize for axis, kind in zip(axes, kinds, strict=True)]
    if (
        max(ends) > message.point_step
        or message.width * message.point_step > message.row_step
        or message.height * message.row_step != len(message.data)
    ):
        raise InputError(
            f'cloud in {message.header.frame_id!r} of {message.width} x '
            f'{message.height} points has {len(message.data)} bytes, which its steps '
            f'{message.point_step} and {message.row_step} do not fit'
        )
    kind = np.dtype(
        {
            'names': ['x', 'y', 'z'],
            'formats': kinds,
            'offsets': [axis.offset for axis in axes],
            'itemsize': message.point_step,
        }
    )
    rows = np.frombuffer(bytes(message.data), np.uint8).reshape(message.height, message.row_step)
    packed = np.ascontiguousarray(rows[:, : message.width * message.point_step]).view(kind)
    points = np.stack([packed[axis].ravel() for axis in 'xyz'], axis=1).astype(np.float64)
    return points[np.isfinite(points).all(axis=1)]


def rasterize_depth(points: Array64, camera: Intrinsics) -> Array:
    """Return the nearest Z of the points (P, 3), metres in the camera, that fall on each pixel."""
    points = points[points[:, 2] > NEAREST_M]
    column = np.rint(camera.fx * points[:, 0] / points[:, 2] + camera.cx)
    row = np.rint(camera.fy * points[:, 1] / points[:, 2] + camera.cy)
    inside = (column >= 0) & (column < camera.width) & (row >= 0) & (row < camera.height)
    depth = np.full((camera.height, camera.width), np.inf, np.float32)
    np.minimum.at(
        depth,
        (row[inside].astype(np.intp), column[inside].astype(np.intp)),
        points[inside, 2].astype(np.float32),
    )
    depth[np.isinf(depth)] = np.nan
    return depth
