# SPDX-License-Identifier: Apache-2.0
"""What other sensors of a recording say of the chosen frames, on disk for all processes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from videodepth_ros.alignment.constraints import RelativePose
from videodepth_ros.bags.frame_tree import read_frame_tree
from videodepth_ros.bags.reader import BagReader
from videodepth_ros.core.workspace import DiskArray, WorkFolder, save_npz
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.refine.image_sequence import ImageSequence
from videodepth_ros.refine.sensors import find_lidar_topics, project_lidar, read_camera_odometry


def cached_lidar_depth(
    bag: BagReader, recording: ImageSequence, camera: Intrinsics | None, work: WorkFolder
) -> DiskArray | None:
    """Keep the depth (N, h, w) float32 that lidars give the frames; None where there is none.

    camera  intrinsics at the size wanted; without them no lidar can be used
    """
    tree = read_frame_tree(bag)
    topics = find_lidar_topics(bag, tree, recording.frame_id) if camera else []
    if not topics or camera is None:
        return None
    shape = camera.height, camera.width
    array = DiskArray(work.path('lidar', recording.key), shape, 'float32')
    if not array.exists():
        with array.writer() as growth:
            for n, depth in project_lidar(
                bag, topics, tree, recording.frame_id, camera, recording.stamps_ns
            ):
                while growth.count < n:
                    growth.append(np.full(shape, np.nan, np.float32))
                if growth.count == n:  # a second cloud of one frame is left out
                    growth.append(depth)
            while growth.count < len(recording):
                growth.append(np.full(shape, np.nan, np.float32))
    return array if np.isfinite(array.open()).any() else None


def cached_odometry(bag: BagReader, recording: ImageSequence, work: WorkFolder) -> Path | None:
    """Keep what odometry says of the motion between frames; None where there is none."""
    known = read_camera_odometry(
        bag, read_frame_tree(bag), recording.frame_id, recording.stamps_ns
    )
    if known is None:
        return None
    path = work.path('motion', recording.key).with_suffix('.npz')
    save_npz(
        path,
        frames=np.array([(one.i, one.j) for one in known.steps], np.int64),
        T_i_j=np.array([one.T_i_j for one in known.steps], np.float64),
    )
    return path


def load_odometry(path: Path) -> list[RelativePose]:
    """Read what `motion_file` wrote."""
    with np.load(path) as stored:
        return [
            RelativePose(i, j, T)
            for (i, j), T in zip(stored['frames'].tolist(), stored['T_i_j'], strict=True)
        ]
