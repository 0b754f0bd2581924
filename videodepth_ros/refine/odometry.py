# SPDX-License-Identifier: Apache-2.0
"""Camera motion from the odometry of a recording: nav_msgs/Odometry, or odom -> base in /tf."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from videodepth_ros.alignment.constraints import RelativePose
from videodepth_ros.bags.frame_tree import (
    ODOMETRY,
    FrameTree,
    OdometryTrack,
    TransformSeries,
    frame_name,
    read_frame_tree,
    read_odometry,
)
from videodepth_ros.bags.reader import BagReader
from videodepth_ros.core.arrays import Float64Array, MaskArray, StampArray
from videodepth_ros.core.workspace import WorkFolder, save_npz
from videodepth_ros.refine.image_sequence import ImageSequence

OWN_NAMESPACE = '/videodepth/'
"""Topics of this package, which are results and no measurements."""


@dataclass(frozen=True)
class CameraOdometry:
    """Relative poses of neighbouring frames; ``source``: the topic that they come from."""

    steps: tuple[RelativePose, ...]
    source: str


def cached_odometry(bag: BagReader, images: ImageSequence, work: WorkFolder) -> Path:
    """Return the file of the frames' odometry in the work folder, read unless it is there."""
    path = work.path('odometry', images.key).with_suffix('.npz')
    if not path.exists():
        found = read_camera_odometry(bag, read_frame_tree(bag), images.frame_id, images.stamps_ns)
        steps = np.full((len(images) - 1, 4, 4), np.nan)
        for step in found.steps if found else ():
            steps[step.i] = step.T_i_j
        save_npz(path, T_i_j=steps)
    return path


def load_odometry(path: Path) -> Float64Array | None:
    """Return what `cached_odometry` wrote; None where no step is known.

    returns  (N - 1, 4, 4) pose of each frame in the one before, metres, NaN where unknown
    """
    with np.load(path) as stored:
        steps: Float64Array = stored['T_i_j']
    return steps if np.isfinite(steps).any() else None


def load_relative_poses(path: Path) -> list[RelativePose]:
    """Return the known steps of a file of `cached_odometry`."""
    steps = load_odometry(path)
    known = [] if steps is None else np.flatnonzero(np.isfinite(steps).all(axis=(1, 2))).tolist()
    return [RelativePose(n, n + 1, steps[n]) for n in known if steps is not None]


def read_camera_odometry(
    bag: BagReader, tree: FrameTree, camera_frame: str, stamps_ns: StampArray
) -> CameraOdometry | None:
    """Return the relative poses of the camera by odometry; None where there is none.

    A nav_msgs/Odometry topic has priority over a frame ``odom`` above the camera in /tf (REP-105).
    stamps_ns  (N,) int64 of the frames; those outside of the odometry's time are left out
    """
    camera_frame = frame_name(camera_frame)
    tracks = _odometry_tracks(bag)
    for track in sorted(tracks, key=lambda track: (not track.topic.endswith('odom'), track.topic)):
        if tree.root(track.child) == tree.root(camera_frame):
            T_base_cam = tree.lookup(track.child, camera_frame, stamps_ns)
            T_odom_cam = track.series.at(stamps_ns) @ T_base_cam
            steps = _relative_poses(T_odom_cam, track.series.covers(stamps_ns))
            return CameraOdometry(steps, track.topic) if steps else None
    series = _odom_above(tree, camera_frame)
    if series is None:
        return None
    T_odom_cam = tree.lookup(series.parent, camera_frame, stamps_ns)
    steps = _relative_poses(T_odom_cam, series.covers(stamps_ns))
    return CameraOdometry(steps, f'/tf frame {series.parent}') if steps else None


def is_own_topic(topic: str) -> bool:
    """Return whether a topic holds results of this package."""
    return f'/{topic.strip("/")}'.startswith(OWN_NAMESPACE)


def _odometry_tracks(bag: BagReader) -> list[OdometryTrack]:
    own = [
        topic.name for topic in bag.topics if topic.type == ODOMETRY and is_own_topic(topic.name)
    ]
    return read_odometry(bag, own)


def _odom_above(tree: FrameTree, frame: str) -> TransformSeries | None:
    """Return the moving transform below a frame called odom, among those above a frame."""
    for name in tree.chain(frame)[:-1]:
        series = tree.transforms[name]
        if not series.is_static and series.parent.rpartition('/')[2] == 'odom':
            return series
    return None


def _relative_poses(T_odom_cam: Float64Array, known: MaskArray) -> tuple[RelativePose, ...]:
    return tuple(
        RelativePose(i, j, np.linalg.inv(T_odom_cam[i]) @ T_odom_cam[j])
        for i, j in pairwise(range(len(known)))
        if known[i] and known[j]
    )
