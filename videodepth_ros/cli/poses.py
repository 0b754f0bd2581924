# SPDX-License-Identifier: Apache-2.0
"""Trajectory of a camera from the topics of a bag."""

from __future__ import annotations

from typing import Any

import numpy as np

from videodepth_ros.bags.camera_topics import CAMERA_INFO, COMPRESSED, IMAGE, find_topic
from videodepth_ros.bags.frame_tree import TF, FrameTree, frame_name, read_frame_tree
from videodepth_ros.bags.reader import BagReader
from videodepth_ros.cli.depth_pairs import present_topic
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


def find_poses(
    bag: BagReader, name: str | None, usual: tuple[str, ...], not_below: str
) -> tuple[Trajectory, str] | None:
    """Return a trajectory and its topic; None without a topic, or with several.

    name       topic to use; None: the first of ``usual``, else the only topic with poses, else
               /tf if it moves the camera
    usual      names to search first
    not_below  prefix of topics to ignore, those of the other side of a comparison

    Odometry of a base is transformed to the camera if /tf and /tf_static connect them.

    Raise ConfigError if the named topic has no poses.
    """
    if name:
        topic = find_topic(bag.topics, name, POSE_TYPES)
        return _read(bag, topic.name, topic.type), topic.name
    for candidate in usual:
        if found := present_topic(bag, candidate):
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
    if kind == PATH:  # the last path includes the poses of those before
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
    """Return the camera trajectory of /tf, at the stamps of the topmost moving frame."""
    camera = _camera_frame(bag)
    tree = read_frame_tree(bag)
    if camera is None or not (moving := _moving(tree, camera)):
        return None
    stamps = tree.transforms[moving[-1]].stamp_ns
    for name in moving:
        stamps = stamps[tree.transforms[name].covers(stamps)]
    return Trajectory(stamps, tree.T_root_frame(camera, stamps))


def _moving(tree: FrameTree, frame: str) -> list[str]:
    """Return the frames that move in their parents, from ``frame`` to the root."""
    return [name for name in tree.chain(frame)[:-1] if not tree.transforms[name].is_static]


def _camera_frame(bag: BagReader) -> str | None:
    """Return the common frame of all images of a recording; None if there are several."""
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
    """Return headers and poses as a trajectory, sorted by stamp, with the first of each stamp.

    Unset poses become NaN.
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
    unique, first = np.unique(stamps, return_index=True)
    return Trajectory(unique, poses_from_xyz_quat(numbers.reshape(-1, 7))[first])
