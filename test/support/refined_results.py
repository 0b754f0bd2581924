# SPDX-License-Identifier: Apache-2.0
"""Small recordings of robots whose camera moves, and the refined frames that belong to them."""

from __future__ import annotations

import numpy as np
from rosbags.highlevel import AnyReader

from videodepth_ros.bags.types import new_message
from videodepth_ros.bags.writer import BagWriter
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.geometry.rotation import so3_exp
from videodepth_ros.geometry.trajectory import Trajectory
from videodepth_ros.messages.transforms import set_stamp, stamp_ns
from videodepth_ros.results.frame import RefinedFrame

CAMERA = Intrinsics(32, 24, 30.0, 30.0, 15.5, 11.5)
START_NS, PERIOD_NS, FRAMES = 1_700_000_000_000_000_000, 100_000_000, 8
STAMPS = START_NS + PERIOD_NS * np.arange(FRAMES)
OPTICAL = 'camera_optical_frame'
IMAGE = '/camera/image_raw'

TILT = np.radians(25.0)
T_BASE_CAM = np.eye(4)  # looks ahead and 25 degrees down from 0.3 m above the base
T_BASE_CAM[:3, :3] = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]]) @ so3_exp(
    np.array([-TILT, 0, 0])
)
T_BASE_CAM[:3, 3] = 0.1, 0.05, 0.3


def planar(x, y, yaw):
    T = np.eye(4)
    T[:3, :3] = so3_exp(np.array([0, 0, yaw]))
    T[:3, 3] = x, y, 0
    return T


def base_at(ns):
    """Return where the base truly is, in a level world, at any time."""
    s = (ns - START_NS) / 1e9
    return planar(1.0 * s, 0.3 * s * s, 0.6 * s)


def odom_at(ns):
    """Return where odometry thinks that the base is: it slips, and began elsewhere."""
    s = (ns - START_NS) / 1e9
    return planar(4, -2, 0.8) @ planar(1.05 * s, 0.27 * s * s, 0.63 * s)


def trajectory(world=None):
    """Return the camera's true poses, in a world turned in any way."""
    T = np.stack([base_at(ns) @ T_BASE_CAM for ns in STAMPS.tolist()])
    return Trajectory(STAMPS, (np.eye(4) if world is None else world) @ T)


def odd_world():
    T = np.eye(4)
    T[:3, :3] = so3_exp(np.array([0.7, -1.1, 0.4]))
    T[:3, 3] = 3, 5, -7
    return T


def image(k):
    return np.random.default_rng(k).integers(0, 255, (24, 32, 3), np.uint8)


def depth(k):
    depth_m = np.full((24, 32), 2.0 + 0.1 * k, np.float32)
    depth_m[:4], depth_m[4, :5], depth_m[10:16, 10:20] = np.inf, np.nan, 1.0
    return depth_m


def refined(frame_id=OPTICAL, frames=FRAMES):
    for k in range(frames):
        depth_m = depth(k)
        yield RefinedFrame(
            int(STAMPS[k]),
            frame_id,
            depth_m,
            np.where(np.isnan(depth_m), 0, 0.8).astype(np.float32),
            None,
            CAMERA,
            np.full((4, 4), np.nan),
            image(k),
        )


def write_images(bag, frame_id=OPTICAL):
    for k, ns in enumerate(STAMPS.tolist()):
        bag.write_image(IMAGE, ns, frame_id, image(k))
        bag.write_camera_info('/camera/camera_info', ns, frame_id, CAMERA)


def write_static(bag):
    """Write the camera's place on the robot, in two steps, as an URDF has it."""
    up = np.eye(4)
    up[2, 3] = 0.2
    bag.write_transform(START_NS, 'base_link', 'camera_link', up, static=True)
    bag.write_transform(
        START_NS, 'camera_link', OPTICAL, np.linalg.inv(up) @ T_BASE_CAM, static=True
    )


def odometry_stamps(period_ns=33_000_000, before_ns=70_000_000, after_ns=70_000_000):
    return np.arange(STAMPS[0] - before_ns, STAMPS[-1] + after_ns, period_ns).tolist()


def imu_message(ns, frame_id, acceleration):
    message = new_message('sensor_msgs/msg/Imu')
    set_stamp(message.header.stamp, ns)
    message.header.frame_id = frame_id
    a = message.linear_acceleration
    a.x, a.y, a.z = acceleration
    return message


def write_bag(path, *parts, frame_id=OPTICAL):
    """Write a recording with images and what ``parts`` add, each a function of the writer."""
    with BagWriter(path) as bag:
        write_images(bag, frame_id)
        for part in parts:
            part(bag)
    return path


def turn(q):
    x, y, z, w = q
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def matrix(position, q):
    T = np.eye(4)
    T[:3, :3] = turn(np.array([q.x, q.y, q.z, q.w]))
    T[:3, 3] = position.x, position.y, position.z
    return T


class Listener:
    """A plain tf2: every message of a recording as it comes, one parent a frame, no guessing."""

    def __init__(self, path):
        self.edges, self.messages, self.times = {}, {}, []
        with AnyReader([path]) as reader:
            for connection, recorded_ns, raw in reader.messages():
                self.times.append(recorded_ns)
                message = reader.deserialize(raw, connection.msgtype)
                self.messages.setdefault(connection.topic, []).append(message)
                if connection.topic in ('/tf', '/tf_static'):
                    for one in message.transforms:
                        self._hear(one, connection.topic == '/tf_static')

    def _hear(self, one, is_static):
        parent, series, static = self.edges.setdefault(
            one.child_frame_id, (one.header.frame_id, {}, is_static)
        )
        assert (parent, static) == (one.header.frame_id, is_static), 'a second parent'
        q = one.transform.rotation
        series[stamp_ns(one.header.stamp)] = (
            one.transform.translation,
            np.array([q.x, q.y, q.z, q.w]),
        )

    def lookup(self, target, source, ns):
        """Return T_target_source, and fail where tf2 would."""
        T = np.eye(4)
        while source != target:
            parent, series, static = self.edges[source]
            T = self._at(series, static, ns) @ T
            source = parent
        return T

    @staticmethod
    def _at(series, static, ns):
        stamps = sorted(series)
        after = next((s for s in stamps if s >= ns), None)
        before = next((s for s in reversed(stamps) if s <= ns), None)
        if static:
            before = after = stamps[-1]
        assert before is not None, 'extrapolation into the past'
        assert after is not None, 'extrapolation into the future'
        share = (ns - before) / (after - before) if after > before else 0.0
        (p, a), (q, b) = series[before], series[after]
        angle = np.arccos(np.clip(abs(a @ b), 0, 1))
        b = b if a @ b >= 0 else -b
        mixed = (
            a
            if angle < 1e-9
            else (np.sin((1 - share) * angle) * a + np.sin(share * angle) * b) / np.sin(angle)
        )
        T = np.eye(4)
        T[:3, :3] = turn(mixed / np.linalg.norm(mixed))
        T[:3, 3] = [(1 - share) * getattr(p, axis) + share * getattr(q, axis) for axis in 'xyz']
        return T

    def poses(self, topic='/videodepth/odometry'):
        """Return stamps and poses of the odometry that was written."""
        return [
            (stamp_ns(m.header.stamp), matrix(m.pose.pose.position, m.pose.pose.orientation))
            for m in self.messages[topic]
        ]
