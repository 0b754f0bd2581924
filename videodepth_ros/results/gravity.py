# SPDX-License-Identifier: Apache-2.0
"""Which way is up: a map has its z axis against gravity (REP-103, REP-105).

Known by, in this order: an inertial unit, whose mean acceleration over a while is that of gravity;
a frame of the robot that REP-105 calls level; or the camera, which people and robots hold upright
in the mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.bags.frame_tree import FrameTree, frame_name
from videodepth_ros.bags.reader import BagReader
from videodepth_ros.core.arrays import StampArray
from videodepth_ros.core.errors import BagError
from videodepth_ros.geometry.pose import interpolate_poses, invert_poses
from videodepth_ros.geometry.trajectory import Trajectory
from videodepth_ros.messages.transforms import stamp_ns
from videodepth_ros.results.map_attachment import MapAttachment

Array = NDArray[np.float64]

IMU = 'sensor_msgs/msg/Imu'
LEVEL_FRAMES = ('map', 'odom', 'base_footprint', 'base_link')
LEAST_SAMPLES = 10
LEAST_STEADINESS = 0.5
"""Length of the mean acceleration over the mean length: near 0 where gravity was taken out."""


@dataclass(frozen=True)
class GravityAlignment:
    """How a world becomes a map with z up.

    T_map_world  (4, 4) float64, rigid
    gravity_source      what knew: ``imu TOPIC``, ``frame NAME`` or ``camera``
    """

    T_map_world: Array
    gravity_source: str


def align_to_gravity(
    bag: BagReader, join: MapAttachment, trajectory: Trajectory
) -> GravityAlignment:
    """Return the map of a trajectory, whose poses T_world_cam are in any world.

    The map begins where its child in the tree does (the odometry's origin, the base, or the
    camera), with x along that frame's x axis, and along the view where that is the camera.
    """
    T_world_cam, stamps = trajectory.T_map_cam, trajectory.stamp_ns
    level = next(
        (
            name
            for name in reversed(join.tree.chain(join.camera))
            if name in LEVEL_FRAMES and name != join.camera
        ),
        None,
    )
    up, gravity_source = -T_world_cam[:, :3, 1].mean(axis=0), 'camera'
    if level is not None:
        T_cam_level = join.tree.lookup(join.camera, level, stamps)
        up = (T_world_cam[:, :3, :3] @ T_cam_level[:, :3, 2:])[:, :, 0].mean(axis=0)
        gravity_source = f'frame {level}'
    if by_imu := _gravity(bag, join.tree, join.camera, trajectory):
        up, gravity_source = by_imu[0], f'imu {by_imu[1]}'
    start, ahead = T_world_cam[0], T_world_cam[0, :3, 2]
    if level is not None:
        start = start @ invert_poses(join.tree.T_root_frame(join.camera, stamps[:1]))[0]
        ahead = start[:3, 0]
    return GravityAlignment(
        _level(up, ahead, T_world_cam[0, :3, :3], start[:3, 3]), gravity_source
    )


def _level(up: Array, ahead: Array, camera: Array, origin: Array) -> Array:
    """Return T_map_world with z along ``up`` and x as near to ``ahead`` as it gets.

    Where that is no direction the camera's axes (3, 3) stand in.
    """
    z = next(
        axis / np.linalg.norm(axis) for axis in (up, -camera[:, 1]) if np.linalg.norm(axis) > 1e-6
    )
    flat = (axis - axis @ z * z for axis in (ahead, camera[:, 2], -camera[:, 1]))
    x = next(axis / np.linalg.norm(axis) for axis in flat if np.linalg.norm(axis) > 0.1)
    T = np.eye(4)
    T[:3, :3] = x, np.cross(z, x), z
    T[:3, 3] = -T[:3, :3] @ origin
    return T


def _gravity(
    bag: BagReader, tree: FrameTree, camera: str, trajectory: Trajectory
) -> tuple[Array, str] | None:
    """Return the mean acceleration in the world, (3,), and the topic; None if none knows it.

    At rest an accelerometer measures the reaction to gravity, which points up; over a whole
    recording what the motion adds averages out.
    """
    topics = sorted(
        (topic for topic in bag.topics if topic.type == IMU),
        key=lambda topic: (-topic.count, topic.name),
    )
    for topic in topics:
        frames, stamps, acceleration = _accelerations(bag, topic.name)
        if len(frames) != 1 or len(stamps) < LEAST_SAMPLES:
            continue
        try:
            T_cam_imu = tree.lookup(camera, frames.pop(), stamps)
        except BagError:
            continue
        during = (stamps >= trajectory.stamp_ns[0]) & (stamps <= trajectory.stamp_ns[-1])
        if during.sum() < LEAST_SAMPLES:
            during[:] = True
        T_world_imu = (
            interpolate_poses(trajectory.stamp_ns, trajectory.T_map_cam, stamps[during])
            @ T_cam_imu[during]
        )
        turned = (T_world_imu[:, :3, :3] @ acceleration[during, :, None])[:, :, 0]
        mean = turned.mean(axis=0)
        if np.linalg.norm(mean) > LEAST_STEADINESS * np.linalg.norm(turned, axis=1).mean() > 0:
            return mean, topic.name
    return None


def _accelerations(bag: BagReader, topic: str) -> tuple[set[str], StampArray, Array]:
    """Return the frames, stamps (N,) and accelerations (N, 3) of an IMU, in order of time.

    A first covariance of -1 says that the unit measures none (sensor_msgs/Imu).
    """
    frames, rows = set(), {}
    for _, _, message in bag.messages([topic]):
        a = message.linear_acceleration
        if message.linear_acceleration_covariance[0] != -1 and np.isfinite([a.x, a.y, a.z]).all():
            frames.add(frame_name(message.header.frame_id))
            rows[stamp_ns(message.header.stamp)] = a.x, a.y, a.z
    stamps = np.array(sorted(rows), np.int64)
    return frames, stamps, np.array([rows[int(ns)] for ns in stamps], float).reshape(-1, 3)
