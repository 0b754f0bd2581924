# SPDX-License-Identifier: Apache-2.0
"""What other sensors of a recording say of the chosen frames, on disk for all processes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from videodepth_ros.alignment.constraints import RelativePose
from videodepth_ros.bags.frame_tree import read_frame_tree
from videodepth_ros.bags.reader import BagReader
from videodepth_ros.core.workspace import SpilledArray, WorkFolder, save_arrays
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.refine.recording import Recording
from videodepth_ros.refine.sensors import known_motion, lidar_depths, lidar_topics


def lidar_file(
    bag: BagReader, recording: Recording, camera: Intrinsics | None, work: WorkFolder
) -> SpilledArray | None:
    """Keep the depth (N, h, w) float32 that lidars give the frames; None where there is none.

    camera  intrinsics at the size wanted; without them no lidar can be used
    """
    tree = read_frame_tree(bag)
    topics = lidar_topics(bag, tree, recording.frame_id) if camera else []
    if not topics or camera is None:
        return None
    shape = camera.height, camera.width
    array = SpilledArray(work.path('lidar', recording.key), shape, 'float32')
    if not array.exists():
        with array.growing() as growth:
            for n, depth in lidar_depths(
                bag, topics, tree, recording.frame_id, camera, recording.stamps_ns
            ):
                while growth.count < n:
                    growth.append(np.full(shape, np.nan, np.float32))
                if growth.count == n:  # a second cloud of one frame is left out
                    growth.append(depth)
            while growth.count < len(recording):
                growth.append(np.full(shape, np.nan, np.float32))
    return array if np.isfinite(array.open()).any() else None


def motion_file(bag: BagReader, recording: Recording, work: WorkFolder) -> Path | None:
    """Keep what odometry says of the motion between frames; None where there is none."""
    known = known_motion(bag, read_frame_tree(bag), recording.frame_id, recording.stamps_ns)
    if known is None:
        return None
    path = work.path('motion', recording.key).with_suffix('.npz')
    save_arrays(
        path,
        frames=np.array([(one.i, one.j) for one in known.steps], np.int64),
        T_i_j=np.array([one.T_i_j for one in known.steps], np.float64),
    )
    return path


def load_motion(path: Path) -> list[RelativePose]:
    """Read what `motion_file` wrote."""
    with np.load(path) as stored:
        return [
            RelativePose(i, j, T)
            for (i, j), T in zip(stored['frames'].tolist(), stored['T_i_j'], strict=True)
        ]
