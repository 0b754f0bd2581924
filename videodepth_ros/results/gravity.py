# SPDX-License-Identifier: Apache-2.0
"""Alignment of the map with gravity: its z axis points up (REP-103, REP-105).

Sources, the most reliable first: an inertial measurement unit, whose mean acceleration is the
reaction to gravity; a frame of the robot that REP-105 defines as level; the camera, which people
and robots hold upright on average.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from videodepth_ros.bags.frame_tree import FrameTree, frame_name
from videodepth_ros.bags.reader import BagReader
from videodepth_ros.core.arrays import Float64Array, StampArray
from videodepth_ros.core.errors import BagError
from videodepth_ros.geometry.pose import interpolate_poses, invert_poses
from videodepth_ros.geometry.trajectory import Trajectory
from videodepth_ros.messages.transforms import stamp_ns
from videodepth_ros.results.map_attachment import MapAttachment
from videodepth_ros.results.options import GRAVITY, GravityOptions

IMU = 'sensor_msgs/msg/Imu'
LEVEL_FRAMES = ('map', 'odom', 'base_footprint', 'base_link')


@dataclass(frozen=True)
class GravityAlignment:
    """The transform from a world of any orientation to a map with z up.

    T_map_world  (4, 4) float64, rigid
    source       of the vertical: ``imu TOPIC``, ``frame NAME`` or ``camera``
    """

    T_map_world: Float64Array
    source: str


def align_to_gravity(
    bag: BagReader, attachment: MapAttachment, trajectory: Trajectory
) -> GravityAlignment:
    """Return the map of a trajectory, whose poses T_world_cam are in a world of any orientation.

    The origin of the map is that of its child frame (the odometry's, the base's, or the camera's)
    at the start, with x along the child's x axis; along the optical axis if that is the camera.
    """
    T_world_cam, stamps = trajectory.T_map_cam, trajectory.stamp_ns
    tree, camera = attachment.tree, attachment.camera
    level = next(
        (name for name in reversed(tree.chain(camera)) if name in LEVEL_FRAMES and name != camera),
        None,
    )
    up, source = -T_world_cam[:, :3, 1].mean(axis=0), 'camera'
    if level is not None:
        T_cam_level = tree.lookup(camera, level, stamps)
        up = (T_world_cam[:, :3, :3] @ T_cam_level[:, :3, 2:])[:, :, 0].mean(axis=0)
        source = f'frame {level}'
    if measured := _measure_up(bag, tree, camera, trajectory):
        up, source = measured[0], f'imu {measured[1]}'
    start, ahead = T_world_cam[0], T_world_cam[0, :3, 2]
    if level is not None:
        start = start @ invert_poses(tree.T_root_frame(camera, stamps[:1]))[0]
        ahead = start[:3, 0]
    T_map_world = _level_transform(up, ahead, T_world_cam[0, :3, :3], start[:3, 3])
    return GravityAlignment(T_map_world, source)


def _level_transform(
    up: Float64Array, ahead: Float64Array, camera: Float64Array, origin: Float64Array
) -> Float64Array:
    """Return T_map_world with z along ``up`` and x as close to ``ahead`` as possible.

    camera  rotation (3, 3); its axes replace directions that are zero or parallel
    """
    z = next(
        axis / np.linalg.norm(axis) for axis in (up, -camera[:, 1]) if np.linalg.norm(axis) > 1e-6
    )
    horizontal = (axis - axis @ z * z for axis in (ahead, camera[:, 2], -camera[:, 1]))
    x = next(axis / np.linalg.norm(axis) for axis in horizontal if np.linalg.norm(axis) > 0.1)
    T = np.eye(4)
    T[:3, :3] = x, np.cross(z, x), z
    T[:3, 3] = -T[:3, :3] @ origin
    return T


def _measure_up(
    bag: BagReader,
    tree: FrameTree,
    camera: str,
    trajectory: Trajectory,
    options: GravityOptions = GRAVITY,
) -> tuple[Float64Array, str] | None:
    """Return the mean acceleration in the world, (3,), and its topic; None without a valid IMU.

    At rest an accelerometer measures the reaction to gravity, which points up; accelerations of
    the motion average out over the recording.
    """
    topics = sorted(
        (topic for topic in bag.topics if topic.type == IMU),
        key=lambda topic: (-topic.count, topic.name),
    )
    for topic in topics:
        frames, stamps, acceleration = _read_accelerations(bag, topic.name)
        if len(frames) != 1 or len(stamps) < options.min_samples:
            continue
        try:
            T_cam_imu = tree.lookup(camera, frames.pop(), stamps)
        except BagError:  # no transform connects it to the camera
            continue
        during = (stamps >= trajectory.stamp_ns[0]) & (stamps <= trajectory.stamp_ns[-1])
        if during.sum() < options.min_samples:
            during[:] = True
        T_world_imu = (
            interpolate_poses(trajectory.stamp_ns, trajectory.T_map_cam, stamps[during])
            @ T_cam_imu[during]
        )
        rotated = (T_world_imu[:, :3, :3] @ acceleration[during, :, None])[:, :, 0]
        mean, lengths = rotated.mean(axis=0), np.linalg.norm(rotated, axis=1)
        if np.linalg.norm(mean) > options.min_mean_ratio * lengths.mean() > 0:
            return mean, topic.name
    return None


def _read_accelerations(bag: BagReader, topic: str) -> tuple[set[str], StampArray, Float64Array]:
    """Return the frames, stamps (N,) and accelerations (N, 3) of an IMU, in order of time.

    A first covariance of -1 means that the unit measures none (sensor_msgs/Imu).
    """
    frames, rows = set(), {}
    for _, _, message in bag.messages([topic]):
        a = message.linear_acceleration
        if message.linear_acceleration_covariance[0] != -1 and np.isfinite([a.x, a.y, a.z]).all():
            frames.add(frame_name(message.header.frame_id))
            rows[stamp_ns(message.header.stamp)] = a.x, a.y, a.z
    stamps = np.array(sorted(rows), np.int64)
    return frames, stamps, np.array([rows[int(ns)] for ns in stamps], float).reshape(-1, 3)
