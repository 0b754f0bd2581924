# SPDX-License-Identifier: Apache-2.0
"""Recordings of every kind, written by rosbags itself, for the reader to read."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from videodepth_ros.bags.types import STORE, new_message
from videodepth_ros.messages.image import write_image
from videodepth_ros.messages.transforms import set_stamp

STORE_1 = get_typestore(Stores.ROS1_NOETIC)
IMAGE, INFO = '/camera/image_raw', '/camera/camera_info'
START_NS, PERIOD_NS = 1_700_000_000_000_000_000, 100_000_000
DELAY_NS = 7_000_000  # between the stamp of a message and its recording
SIZE = 48, 32


def stamp_of(k: int) -> int:
    return START_NS + k * PERIOD_NS


def stamped(kind, stamp_ns):
    msg = new_message(kind)
    set_stamp(msg.header.stamp, stamp_ns)
    msg.header.frame_id = 'camera_optical_frame'
    return msg


@lru_cache(maxsize=1000)
def picture(k):
    """Return the k-th image: its first pixel tells its number, the rest is noise."""
    pixels = np.random.default_rng(k).integers(0, 256, (SIZE[1], SIZE[0], 3), np.uint8)
    pixels[0, 0] = k % 256, k // 256, 0
    return pixels


def number_of(pixels):
    return int(pixels[0, 0, 0]) + 256 * int(pixels[0, 0, 1])


def image_message(k):
    msg = stamped('sensor_msgs/msg/Image', stamp_of(k))
    write_image(picture(k), msg, 'rgb8')
    return msg


def info_message(k, focal_px=40.0, D=(), size=SIZE):
    msg = stamped('sensor_msgs/msg/CameraInfo', stamp_of(k))
    msg.width, msg.height, msg.distortion_model = *size, 'plumb_bob'
    msg.k = np.array([focal_px, 0, 23.5, 0, focal_px, 15.5, 0, 0, 1])
    msg.p = np.array([focal_px, 0, 23.5, 0, 0, focal_px, 15.5, 0, 0, 0, 1, 0])
    msg.r, msg.d = np.eye(3).reshape(9), np.array(D, float)
    return msg


def camera_messages(frames):
    """Yield topic, time of recording and message: the image, then its camera_info."""
    for k in range(frames):
        yield IMAGE, stamp_of(k) + DELAY_NS, image_message(k)
        yield INFO, stamp_of(k) + DELAY_NS, info_message(k)


def write_rosbag2(path: Path, messages, plugin=StoragePlugin.MCAP, mode=CompressionMode.NONE):
    """Write messages (or pairs of a type and raw bytes) and return the folder."""
    writer = Writer(path, version=9, storage_plugin=plugin)
    writer.set_compression(mode, CompressionFormat.ZSTD)
    with writer:
        connections = {}
        for topic, recorded_ns, msg in messages:
            kind, raw = (
                msg
                if isinstance(msg, tuple)
                else (msg.__msgtype__, STORE.serialize_cdr(msg, msg.__msgtype__))
            )
            if topic not in connections:
                known = kind in STORE.fielddefs
                connections[topic] = (
                    writer.add_connection(topic, kind, typestore=STORE)
                    if known
                    else writer.add_connection(topic, kind, msgdef='', rihs01='RIHS01_0')
                )
            writer.write(connections[topic], recorded_ns, raw)
    return path


def write_rosbag1(path: Path, messages, compression=None):
    writer = Writer1(path)
    writer.chunk_threshold = 1 << 17
    if compression:
        writer.set_compression(compression)
    with writer:
        connections = {}
        for topic, recorded_ns, msg in messages:
            kind = msg.__msgtype__
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=STORE_1)
            raw = STORE_1.serialize_ros1(as_ros1(msg), kind)
            writer.write(connections[topic], recorded_ns, raw)
    return path


def as_ros1(msg):
    """Return the message in ROS 1's shape: a sequence number, upper-case matrices."""
    types = STORE_1.types
    header = types['std_msgs/msg/Header'](
        seq=0, stamp=msg.header.stamp, frame_id=msg.header.frame_id
    )
    cls = types[msg.__msgtype__]
    renamed = {
        name.upper() if name in 'dkrp' else name: getattr(msg, name)
        for name in msg.__dataclass_fields__
        if name != '__msgtype__'
    }
    return cls(**{**renamed, 'header': header})


def only_file(folder: Path) -> Path:
    found = [file for file in folder.iterdir() if file.name != 'metadata.yaml']
    assert len(found) == 1
    return found[0]
