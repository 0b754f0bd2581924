# SPDX-License-Identifier: Apache-2.0
"""A recording and its results, as small as they can be."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from videodepth_ros.bags.types import new_message
from videodepth_ros.bags.writer import BagWriter
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.messages.image import write_image
from videodepth_ros.messages.transforms import set_stamp

START_NS, PERIOD_NS = 1_700_000_000_000_000_000, 50_000_000
LATENCY_NS = 30_000_000  # from the stamp of an image to its recording
CAMERA = Intrinsics(32, 24, 30.0, 30.0, 15.5, 11.5)
DEPTH_M = 2.0


def stamp_of(k: int) -> int:
    return START_NS + k * PERIOD_NS


def pose(x: float) -> np.ndarray:
    T = np.eye(4)
    T[0, 3] = x
    return T


def write_recording(
    path: Path, frames: int, clock_ns: int = 0, cameras: tuple[str, ...] = ('camera',)
) -> Path:
    """Write a camera or more, their place on the robot, odometry and a bumper.

    clock_ns  by how much the recorder's clock is ahead of the camera's
    """
    with BagWriter(path) as bag:
        bag.write_transform(START_NS + clock_ns, 'base', 'optical', pose(0.3), static=True)
        bag.write(*once('description', START_NS + clock_ns))
        for k in range(-4, frames + 4):
            recorded_ns = stamp_of(k) + clock_ns
            bag.write_transform(recorded_ns, 'odom', 'base', pose(0.1 * k))
            bag.write(*once('bumper', recorded_ns))
            image = new_message('sensor_msgs/msg/Image')
            write_image(np.full((24, 32, 3), (k % 256, 20, 30), np.uint8), image, 'rgb8')
            info = new_message('sensor_msgs/msg/CameraInfo')
            info.width, info.height = 32, 24
            info.k = np.array([30.0, 0, 15.5, 0, 30, 11.5, 0, 0, 1])
            for topic, message in (('image_raw', image), ('camera_info', info)):
                set_stamp(message.header.stamp, stamp_of(k))
                message.header.frame_id = 'optical'
                for camera in cameras:
                    bag.write(f'{camera}/{topic}', recorded_ns + LATENCY_NS, message)
    return path


def once(text: str, stamp_ns: int):
    message = new_message('std_msgs/msg/String')
    message.data = text
    return text, stamp_ns, message


def write_results(path: Path, frames: int, clock_ns: int = 0) -> Path:
    """Write what the offline job would: results, and the frames of the recording.

    clock_ns  by how much the recorder's clock is ahead of the camera's
    """
    with BagWriter(path, lambda stamp_ns: stamp_ns + clock_ns) as bag:
        bag.write_transform(stamp_of(-4), 'base', 'optical', pose(0.3), static=True)
        bag.write_transform(stamp_of(-4), 'world', 'map', pose(0), static=True)
        depth_m = np.full((24, 32), DEPTH_M, np.float32)
        for k in range(-4, frames + 4):
            now = stamp_of(k)
            bag.write_transform(now, 'odom', 'base', pose(0.1 * k))
            if not 0 <= k < frames:
                continue
            bag.write_transform(now, 'map', 'odom', pose(0.01 * k))
            bag.write_depth('videodepth/depth/image', now, 'optical', depth_m)
            bag.write_depth('videodepth/depth/confidence', now, 'optical', depth_m / 4)
            bag.write_camera_info('videodepth/depth/camera_info', now, 'optical', CAMERA)
        bag.write_path(
            'videodepth/path',
            stamp_of(frames - 1),
            'map',
            [(stamp_of(k), pose(0.1 * k)) for k in range(frames)],
        )
    return path
