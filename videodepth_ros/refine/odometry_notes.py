# SPDX-License-Identifier: Apache-2.0
"""Notes on odometry of a recording that cannot be used."""

from __future__ import annotations

from videodepth_ros.bags.frame_tree import ODOMETRY, frame_name, read_frame_tree, read_odometry
from videodepth_ros.bags.reader import BagReader
from videodepth_ros.core.arrays import StampArray
from videodepth_ros.refine.odometry import is_own_topic


def odometry_notes(bag: BagReader, camera_frame: str, stamps_ns: StampArray) -> tuple[str, ...]:
    """Return a note if odometry has no transform to the camera, or no stamp among its images.

    camera_frame  optical frame of the camera
    stamps_ns     (N,) int64 of the images, increasing
    """
    topics = [topic.name for topic in bag.topics if topic.type == ODOMETRY and topic.count]
    if all(is_own_topic(topic) for topic in topics):
        return ()
    tree, camera = read_frame_tree(bag), frame_name(camera_frame)
    tracks = read_odometry(bag, [topic for topic in topics if is_own_topic(topic)])
    connected = [track for track in tracks if tree.root(track.child) == tree.root(camera)]
    if not tracks or any(track.series.covers(stamps_ns).any() for track in connected):
        return ()
    if connected:
        track, ends_ns = connected[0], stamps_ns[[0, -1]]
        own_s, image_s = (
            ' to '.join(f'{ns / 1e9:.3f}' for ns in each.tolist())
            for each in (track.series.stamp_ns[[0, -1]], ends_ns)
        )
        return (
            f'the odometry {track.topic} is not used: its stamps, {own_s} s, are at no time those '
            f'of the images, {image_s} s; record both with one clock',
        )
    names = ', '.join(f'{track.topic} (of {track.child!r})' for track in tracks)
    return (
        f'the odometry {names} is not used: no transform of the recording leads from there to the '
        f'camera {camera!r}; record /tf_static too, with the mount of the camera',
    )
