# SPDX-License-Identifier: Apache-2.0
"""Notes on odometry of a recording that cannot be used."""

from __future__ import annotations

from videodepth_ros.bags.frame_tree import ODOMETRY, frame_name, read_frame_tree, read_odometry
from videodepth_ros.bags.reader import BagReader
from videodepth_ros.refine.odometry import is_own_topic


def odometry_notes(bag: BagReader, camera_frame: str) -> tuple[str, ...]:
    """Return a note if no transform leads from the recording's odometry to the camera.

    camera_frame  optical frame of the camera
    """
    topics = [topic.name for topic in bag.topics if topic.type == ODOMETRY and topic.count]
    if all(is_own_topic(topic) for topic in topics):
        return ()
    tree, camera = read_frame_tree(bag), frame_name(camera_frame)
    tracks = read_odometry(bag, [topic for topic in topics if is_own_topic(topic)])
    if not tracks or any(tree.root(track.child) == tree.root(camera) for track in tracks):
        return ()
    names = ', '.join(f'{track.topic} (of {track.child!r})' for track in tracks)
    return (
        f'the odometry {names} is not used: no transform of the recording leads from there to the '
        f'camera {camera!r}; record /tf_static too, with the mount of the camera',
    )
