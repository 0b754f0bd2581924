# SPDX-License-Identifier: Apache-2.0
"""The trajectory of a camera from whatever holds one: a TUM file, or the topics of a bag."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from videodepth_ros.bags.camera_topics import CAMERA_INFO, COMPRESSED, IMAGE, find_topic
from videodepth_ros.bags.frame_tree import TF, FrameTree, frame_name, read_frame_tree
from videodepth_ros.bags.reader import BagReader
from videodepth_ros.cli.pairs import present_topic
from videodepth_ros.evaluation.tum import TUM_SUFFIXES
from videodepth_ros.geometry.pose import poses_from_xyz_quat
from videodepth_ros.geometry.trajectory import Trajectory
from videodepth_ros.messages.transforms import stamp_ns

PREDICTED = ('videodepth/path', 'videodepth/odometry')
TRUE = ('ground_truth/pose',)
PREDICTED_BELOW, TRUE_BELOW = '/videodepth/', '/ground_truth/'

PATH, POSE, ODOMETRY = (
    'nav_msgs/msg/Path',
    'geometry_msgs/msg/PoseStamped',
    'nav_msgs/msg/Odometry',
)
POSE_TYPES = (PATH, POSE, ODOMETRY)


def is_trajectory_file(path: Path) -> bool:
    """Return whether a path names a TUM file rather than a recording."""
    return path.suffix in TUM_SUFFIXES and not path.is_dir()


def find_poses(
    bag: BagReader, name: str | None, usual: tuple[str, ...], not_below: str
) -> tuple[Trajectory, str] | None:
    """Return a trajectory and the topic that it is from; None where it is not clear which.

    name       topic that the user names
    usual      topics to look for first
    not_below  topics that belong to the other side
    raises     ConfigError if the named topic has no poses; BagError if frames form a circle

    Without a usual topic, it is the only one that has poses, or else /tf where that moves the
    camera. Odometry of a base is brought to the camera where the recording's frames tell how.
    """
    if name:
        topic = find_topic(bag.topics, name, POSE_TYPES)
        return _read(bag, topic.name, topic.type), topic.name
    for wanted in usual:
        if found := present_topic(bag, wanted):
            return _read(bag, found, next(t.type for t in bag.topics if t.name == found)), found
    others = [
        topic
        for topic in bag.topics
        if topic.type in POSE_TYPES and topic.count and not topic.name.startswith(not_below)
    ]
    if len(others) == 1:
        return _read(bag, others[0].name, others[0].type), others[0].name
    by_frames = None if others else _by_frames(bag)
    return (by_frames, TF) if by_frames else None


def _read(bag: BagReader, topic: str, kind: str) -> Trajectory:
    messages = [message for _, _, message in bag.messages([topic])]
    if kind == PATH:  # the last one holds all poses that those before held
        return _trajectory(
            [(pose.header, pose.pose) for pose in messages[-1].poses] if messages else []
        )
    if kind == POSE:
        return _trajectory([(message.header, message.pose) for message in messages])
    trajectory = _trajectory([(message.header, message.pose.pose) for message in messages])
    camera = _camera_frame(bag)
    moving = {frame_name(message.child_frame_id) for message in messages}
    if camera is None or len(moving) != 1 or camera in moving:
        return trajectory
    tree, base = read_frame_tree(bag), moving.pop()
    if tree.root(base) != tree.root(camera):
        return trajectory
    T_base_cam = tree.lookup(base, camera, trajectory.stamp_ns)
    return Trajectory(trajectory.stamp_ns, trajectory.T_map_cam @ T_base_cam)


def _by_frames(bag: BagReader) -> Trajectory | None:
    """Return where /tf moves the camera, at the stamps of the topmost frame that moves."""
    camera = _camera_frame(bag)
    tree = read_frame_tree(bag)
    if camera is None or not (moving := _moving(tree, camera)):
        return None
    stamps = tree.edges[moving[-1]].stamp_ns
    for name in moving:
        stamps = stamps[tree.edges[name].covers(stamps)]
    return Trajectory(stamps, tree.T_root_frame(camera, stamps))


def _moving(tree: FrameTree, frame: str) -> list[str]:
    """Return the frames that move in their parents, from a frame upwards."""
    return [name for name in tree.chain(frame)[:-1] if not tree.edges[name].is_static]


def _camera_frame(bag: BagReader) -> str | None:
    """Return the frame that all images of a recording have; None if they have several."""
    frames: set[str] = set()
    for topic in bag.topics:
        if topic.type in (IMAGE, COMPRESSED, CAMERA_INFO):
            frames.update(
                frame_name(message.header.frame_id) for _, _, message in _first(bag, topic.name)
            )
    return frames.pop() if len(frames) == 1 else None


def _first(bag: BagReader, topic: str) -> list[tuple[str, int, Any]]:
    first = next(bag.messages([topic]), None)
    return [first] if first else []


def _trajectory(poses: list[tuple[Any, Any]]) -> Trajectory:
    """Return headers and poses as a trajectory, in order of time, the first of each stamp.

    Poses that nobody filled become NaN.
    """
    stamps = np.array([stamp_ns(header.stamp) for header, _ in poses], np.int64)
    numbers = np.array(
        [
            (
                p.position.x,
                p.position.y,
                p.position.z,
                p.orientation.x,
                p.orientation.y,
                p.orientation.z,
                p.orientation.w,
            )
            for _, p in poses
        ]
    )
    once, first = np.unique(stamps, return_index=True)
    return Trajectory(once, poses_from_xyz_quat(numbers.reshape(-1, 7))[first])
