# SPDX-License-Identifier: Apache-2.0
"""Depth from the lidars of a recording, projected into the camera."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from videodepth_ros.bags.frame_tree import FrameTree, frame_name, read_frame_tree
from videodepth_ros.bags.reader import BagReader
from videodepth_ros.core.arrays import Float32Array, Float64Array, StampArray
from videodepth_ros.core.errors import InputError
from videodepth_ros.core.workspace import DiskArray, WorkFolder
from videodepth_ros.geometry.camera import Intrinsics, project_to_pixels
from videodepth_ros.messages.cloud_points import points_from_cloud
from videodepth_ros.messages.transforms import stamp_ns
from videodepth_ros.refine.image_sequence import ImageSequence
from videodepth_ros.refine.odometry import is_own_topic
from videodepth_ros.refine.options import LIDAR, LidarOptions

CLOUD = 'sensor_msgs/msg/PointCloud2'


def cached_lidar_depth(
    bag: BagReader, images: ImageSequence, camera: Intrinsics | None, work: WorkFolder
) -> DiskArray | None:
    """Write the lidar depth of the frames to the work folder; None where there is none.

    camera   intrinsics at the size wanted; None: not calibrated, so that nothing can be projected
    returns  (N, h, w) float32, Z in metres, NaN where no point falls
    """
    tree = read_frame_tree(bag)
    topics = find_lidar_topics(bag, tree, images.frame_id) if camera else []
    if not topics or camera is None:
        return None
    shape, cameras = (camera.height, camera.width), images.zoom.cameras(camera)
    array = DiskArray(work.path('lidar', images.key), shape, 'float32')
    if not array.exists():
        unknown = np.full(shape, np.nan, np.float32)
        with array.writer() as out:
            for index, depth_m in project_lidar(
                bag, topics, tree, images.frame_id, cameras, images.stamps_ns
            ):
                while out.count < index:
                    out.append(unknown)
                if out.count == index:  # a second cloud of one frame is left out
                    out.append(depth_m)
            while out.count < len(images):
                out.append(unknown)
    return array if np.isfinite(array.open()).any() else None


def find_lidar_topics(bag: BagReader, tree: FrameTree, camera_frame: str) -> list[str]:
    """Return the point cloud topics that the recording's transforms connect to the camera.

    Clouds in the camera's own frame come from a depth camera, whose images have more.
    """
    found, camera_frame = [], frame_name(camera_frame)
    for topic in bag.topics:
        if topic.type != CLOUD or is_own_topic(topic.name):
            continue
        _, _, first = next(bag.messages([topic.name]), (None, None, None))
        frame = frame_name(first.header.frame_id) if first else ''
        if (
            frame
            and frame != camera_frame
            and tree.root(frame) == tree.root(camera_frame)
            and _points_or_note(bag, topic.name, first) is not None
        ):
            found.append(topic.name)
    return found


def project_lidar(
    bag: BagReader,
    topics: Sequence[str],
    tree: FrameTree,
    camera_frame: str,
    cameras: Sequence[Intrinsics],
    stamps_ns: StampArray,
) -> Iterator[tuple[int, Float32Array]]:
    """Yield frame indices and depth maps (h, w) float32 of the clouds nearest in time.

    cameras    N, intrinsics of the frames at the size wanted
    stamps_ns  (N,) int64 of the frames; a cloud belongs to the nearest one, if that is within a
               frame period
    """
    period_ns = int(np.median(np.diff(stamps_ns))) if len(stamps_ns) > 1 else 10**8
    for topic, _, message in bag.messages(topics):
        cloud_ns = stamp_ns(message.header.stamp)
        index = int(np.abs(stamps_ns - cloud_ns).argmin())
        if abs(int(stamps_ns[index]) - cloud_ns) > period_ns:
            continue
        T_cam_lidar = _lookup_between(
            tree,
            frame_name(camera_frame),
            int(stamps_ns[index]),
            frame_name(message.header.frame_id),
            cloud_ns,
        )
        points = _points_or_note(bag, topic, message)
        if points is not None:
            points = points @ T_cam_lidar[:3, :3].T + T_cam_lidar[:3, 3]
            yield index, rasterize_depth(points, cameras[index])


def _lookup_between(
    tree: FrameTree, target: str, target_ns: int, source: str, source_ns: int
) -> Float64Array:
    """Return T_target_source, each frame at a time of its own, by way of their root."""
    T_root_target = tree.T_root_frame(target, np.array([target_ns]))[0]
    T_root_source = tree.T_root_frame(source, np.array([source_ns]))[0]
    return np.asarray(np.linalg.inv(T_root_target) @ T_root_source)


def _points_or_note(bag: BagReader, topic: str, message: Any) -> Float64Array | None:
    """Return the points of a cloud; None, with a note on the topic, where it has none."""
    try:
        return points_from_cloud(message)
    except InputError as error:
        bag.note_lost(topic, f'{topic} was not used: {error}')
        return None


def rasterize_depth(
    points: Float64Array, camera: Intrinsics, options: LidarOptions = LIDAR
) -> Float32Array:
    """Return the least Z of the points (P, 3), in the camera [m], on each pixel; NaN without."""
    rows, columns, z_m = project_to_pixels(points, camera, options.min_depth_m)
    depth_m = np.full((camera.height, camera.width), np.inf, np.float32)
    np.minimum.at(depth_m, (rows, columns), z_m.astype(np.float32))
    depth_m[np.isinf(depth_m)] = np.nan
    return depth_m
