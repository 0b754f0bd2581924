# SPDX-License-Identifier: Apache-2.0
"""Reader and writer of recordings: rosbag2 (mcap, sqlite3) and ROS 1 bags, complete or damaged.

>>> import tempfile
>>> from pathlib import Path
>>> import numpy as np
>>> from videodepth_ros.bags import BagWriter, open_bag, read_frames
>>> path = Path(tempfile.mkdtemp()) / 'recording'
>>> with BagWriter(path) as writer:
...     for stamp_ns in (1_000_000_000, 1_100_000_000):
...         image = np.zeros((48, 64, 3), np.uint8)  # RGB
...         writer.write_image('/camera/image_raw', stamp_ns, 'camera_optical_frame', image)
>>> with open_bag(path) as reader:
...     print([(topic.name, topic.count) for topic in reader.topics])
...     print([(frame.stamp_ns, frame.size) for frame in read_frames(reader)])
[('/camera/image_raw', 2)]
[(1000000000, (64, 48)), (1100000000, (64, 48))]

``reader.lost`` describes what could not be read of a damaged recording.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from videodepth_ros.bags.camera_topics import CameraTopics, TopicInfo, find_camera_topics
    from videodepth_ros.bags.footage import Footage, FootageFrame, open_footage
    from videodepth_ros.bags.frame_tree import (
        FrameTree,
        OdometryTrack,
        TransformSeries,
        read_frame_tree,
        read_odometry,
    )
    from videodepth_ros.bags.frames import read_frames
    from videodepth_ros.bags.reader import BagReader, open_bag
    from videodepth_ros.bags.stamps import Stamps, read_stamps
    from videodepth_ros.bags.types import new_message
    from videodepth_ros.bags.writer import BagWriter

_MODULES = {
    'BagReader': 'reader',
    'BagWriter': 'writer',
    'CameraTopics': 'camera_topics',
    'Footage': 'footage',
    'FootageFrame': 'footage',
    'FrameTree': 'frame_tree',
    'OdometryTrack': 'frame_tree',
    'Stamps': 'stamps',
    'TopicInfo': 'camera_topics',
    'TransformSeries': 'frame_tree',
    'find_camera_topics': 'camera_topics',
    'new_message': 'types',
    'open_bag': 'reader',
    'open_footage': 'footage',
    'read_frame_tree': 'frame_tree',
    'read_frames': 'frames',
    'read_odometry': 'frame_tree',
    'read_stamps': 'stamps',
}

__all__ = [
    'BagReader',
    'BagWriter',
    'CameraTopics',
    'Footage',
    'FootageFrame',
    'FrameTree',
    'OdometryTrack',
    'Stamps',
    'TopicInfo',
    'TransformSeries',
    'find_camera_topics',
    'new_message',
    'open_bag',
    'open_footage',
    'read_frame_tree',
    'read_frames',
    'read_odometry',
    'read_stamps',
]


def __getattr__(name: str) -> Any:
    """Import a public name at its first use (PEP 562): options need no rosbags."""
    if name not in _MODULES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(import_module(f'{__name__}.{_MODULES[name]}'), name)
