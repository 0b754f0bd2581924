# SPDX-License-Identifier: Apache-2.0
"""The refined recording: depth, camera_info, confidence, odometry, path and transforms.

/tf and /tf_static of the source are copied, so that the camera stays connected to the robot; other
topics on demand. Messages are in the order of time, also where the source was recorded by another
clock than that of its stamps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import TracebackType

import numpy as np

from videodepth_ros.bags.frame_tree import frame_name
from videodepth_ros.bags.reader import BagReader
from videodepth_ros.bags.recording_clock import recording_clock
from videodepth_ros.bags.writer import BagWriter
from videodepth_ros.core.arrays import Float64Array
from videodepth_ros.geometry.rotation import so3_log
from videodepth_ros.geometry.trajectory import Trajectory
from videodepth_ros.results.frame import RefinedFrame
from videodepth_ros.results.map_attachment import MapAttachment, StampedTransform
from videodepth_ros.results.source_topics import SourceTopicCopier

DEPTH, CAMERA_INFO = 'videodepth/depth/image', 'videodepth/depth/camera_info'
CONFIDENCE = 'videodepth/depth/confidence'
COMPRESSED_DEPTH = f'{DEPTH}/compressedDepth'
PATH, ODOMETRY = 'videodepth/path', 'videodepth/odometry'


class DepthEncoding(str, Enum):
    """Encoding of the depth images."""

    METRES = '32FC1'  # float32: REP-118's canonical form
    MILLIMETRES = '16UC1'  # up to 65.535 m; 0 is unknown or nothing hit
    COMPRESSED = 'compressed'  # compressedDepth of 32FC1: 16-bit inverse depth in PNG


@dataclass(frozen=True)
class SourceRecording:
    """The recording that was refined, and the topic of its images."""

    bag: BagReader
    image_topic: str


class DepthBagWriter:
    """A writer of depth without poses, for a ``with`` statement."""

    def __init__(
        self,
        path: Path,
        source: SourceRecording,
        encoding: DepthEncoding,
        copied: Sequence[str] = (),
        transforms: Sequence[StampedTransform] = (),
    ) -> None:
        """Create the recording.

        copied      names of topics to copy, or patterns such as ``/camera/*``
        transforms  that are written to /tf besides those of the source, in order of time
        raises      BagError if it exists or cannot be created
        """
        self._encoding = encoding
        self._recorded_at = recording_clock(source.bag, source.image_topic)
        self._is_started = False
        self.writer = BagWriter(path, self._recorded_at)
        self._copier = SourceTopicCopier(
            source.bag, self.writer, self._recorded_at, transforms, copied
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """Description of what could not be copied."""
        return tuple(self._copier.notes.values())

    def __enter__(self) -> DepthBagWriter:
        self.writer.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.writer.__exit__(kind, error, trace)

    def copy_source_until(self, frame: RefinedFrame) -> None:
        """Copy the messages of the source that were recorded before a frame."""
        recorded_ns = self._recorded_at(frame.stamp_ns)
        if not self._is_started:
            self._copier.copy_static(recorded_ns)
            self._is_started = True
        self._copier.copy_until(recorded_ns)

    def add(self, frame: RefinedFrame) -> None:
        """Write depth, camera_info and confidence of a frame.

        raises  BagError if it cannot be written
        """
        frame_id, ns = frame_name(frame.frame_id), frame.stamp_ns
        write, topic = {
            DepthEncoding.METRES: (self.writer.write_depth, DEPTH),
            DepthEncoding.MILLIMETRES: (self.writer.write_depth_mm, DEPTH),
            DepthEncoding.COMPRESSED: (self.writer.write_compressed_depth, COMPRESSED_DEPTH),
        }[self._encoding]
        write(topic, ns, frame_id, frame.depth_m)
        self.writer.write_camera_info(CAMERA_INFO, ns, frame_id, frame.camera)
        self.writer.write_depth(CONFIDENCE, ns, frame_id, frame.confidence)

    def finish(self) -> None:
        """Copy the rest of the source."""
        self._copier.copy_until(None)


class RefinedBagWriter:
    """A writer of depth and poses, for a ``with`` statement."""

    def __init__(
        self,
        path: Path,
        source: SourceRecording,
        attachment: MapAttachment,
        trajectory: Trajectory,
        encoding: DepthEncoding,
        copied: Sequence[str] = (),
    ) -> None:
        """Create the recording.

        trajectory  of the camera in the map of ``attachment``; one pose for each frame
        copied, raises  as for `DepthBag`
        """
        self._attachment, self._trajectory = attachment, trajectory
        self._twists = _twists(trajectory)
        self._transforms = (
            attachment.transforms(trajectory.stamp_ns, trajectory.T_map_cam)
            if attachment.child
            else None
        )
        self._frames = 0
        self._depth = DepthBagWriter(
            path, source, encoding, copied, attachment.odometry_transforms()
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """Description of what could not be copied."""
        return self._depth.notes

    def __enter__(self) -> RefinedBagWriter:
        self._depth.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._depth.__exit__(kind, error, trace)

    def add(self, frame: RefinedFrame) -> None:
        """Write the next frame of the trajectory, after the source's messages before it.

        raises  BagError if it cannot be written
        """
        self._depth.copy_source_until(frame)
        if self._transforms is not None:
            for transform in next(self._transforms):
                self._depth.writer.write_transform(*transform)
        self._depth.add(frame)
        self._depth.writer.write_odometry(
            ODOMETRY,
            frame.stamp_ns,
            self._attachment.map_frame,
            frame_name(frame.frame_id),
            self._trajectory.T_map_cam[self._frames],
            self._twists[self._frames],
        )
        self._frames += 1

    def finish(self) -> None:
        """Write the path, and copy the rest of the source."""
        poses = list(
            zip(self._trajectory.stamp_ns.tolist(), self._trajectory.T_map_cam, strict=True)
        )
        self._depth.writer.write_path(PATH, poses[-1][0], self._attachment.map_frame, poses)
        self._depth.finish()


def _twists(trajectory: Trajectory) -> Float64Array:
    """Return the twist of each pose (N, 6) in its own frame, by central differences.

    Linear [m/s] and angular [rad/s]; zero where there is only one pose.
    """
    count = len(trajectory.stamp_ns)
    before, after = (
        np.maximum(np.arange(count) - 1, 0),
        np.minimum(np.arange(count) + 1, count - 1),
    )
    seconds = np.maximum((trajectory.stamp_ns[after] - trajectory.stamp_ns[before]) / 1e9, 1e-9)
    R, p = trajectory.T_map_cam[:, :3, :3], trajectory.positions_m
    R_inverse = np.swapaxes(R, 1, 2)
    linear = R_inverse @ (p[after] - p[before])[:, :, None]
    rotation = so3_log(R_inverse[before] @ R[after])
    angular = R_inverse @ R[before] @ rotation[:, :, None]
    return np.asarray(np.concatenate([linear, angular], axis=1)[:, :, 0] / seconds[:, None])
