# SPDX-License-Identifier: Apache-2.0
"""The refined recording: depth, camera_info, confidence, odometry, path and transforms.

/tf and /tf_static of the source are copied, so that the camera stays connected to the robot; other
topics on demand. Messages are in the order of time, also where the source was recorded by another
clock than that of its stamps.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from videodepth_ros.bags.frame_tree import frame_name
from videodepth_ros.bags.output_options import OUTPUT, OutputOptions
from videodepth_ros.bags.reader import BagReader
from videodepth_ros.bags.recording_clock import recording_clock
from videodepth_ros.bags.writer import BagWriter
from videodepth_ros.core.arrays import Float64Array
from videodepth_ros.geometry.trajectory import StepSigmas, Trajectory
from videodepth_ros.results.depth_topics import (
    POINT_DEFAULTS,
    DepthImages,
    DepthTopics,
    PointOptions,
)
from videodepth_ros.results.frame import RefinedFrame
from videodepth_ros.results.map_attachment import MapAttachment, StampedTransform
from videodepth_ros.results.occupancy import OccupancyGrid
from videodepth_ros.results.odometry import covariances, twists
from videodepth_ros.results.source_topics import SourceTopicCopier

PATH, ODOMETRY, MAP = 'videodepth/path', 'videodepth/odometry', 'videodepth/map'


@dataclass(frozen=True)
class SourceRecording:
    """The recording that was refined, and the topic of its images."""

    bag: BagReader
    image_topic: str


@dataclass(frozen=True)
class BagContents:
    """What a recording of results holds.

    topics  of depth, and their encoding
    cloud   pixels of the points
    copied  names of topics of the source to copy, or patterns such as ``/camera/*``
    """

    topics: OutputOptions = OUTPUT
    cloud: PointOptions = POINT_DEFAULTS
    copied: Sequence[str] = ()


DEPTH_AND_POSES = BagContents()


class DepthBagWriter:
    """A writer of depth without poses, for a ``with`` statement."""

    def __init__(
        self,
        path: Path,
        source: SourceRecording,
        contents: BagContents,
        transforms: Sequence[StampedTransform] = (),
        unused: Set[tuple[str, str]] = frozenset(),
    ) -> None:
        """Create the recording.

        transforms  that are written to /tf besides those of the source, in order of time
        unused      parent and child of those of the source that are left out
        raises      BagError if it exists or cannot be created
        """
        self._recorded_at = recording_clock(source.bag, source.image_topic)
        self._is_started = False
        self.writer = BagWriter(path, self._recorded_at, contents.topics.compression)
        self._topics = DepthTopics(self.writer, contents.topics, contents.cloud)
        self._copier = SourceTopicCopier(
            source.bag, self.writer, self._recorded_at, transforms, contents.copied, unused
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
        """Write the topics of a frame's depth.

        raises  BagError if it cannot be written
        """
        images = DepthImages(
            frame.stamp_ns,
            frame_name(frame.frame_id),
            frame.depth_m,
            frame.confidence,
            frame.camera,
            frame.image,
            frame.moving,
        )
        for _ in self._topics.write(images):
            pass

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
        contents: BagContents = DEPTH_AND_POSES,
        sigmas: StepSigmas | None = None,
    ) -> None:
        """Create the recording.

        trajectory  of the camera in the map of ``attachment``; one pose for each frame
        sigmas      of its steps; None: not known
        raises      as for `DepthBagWriter`
        """
        self._attachment, self._trajectory = attachment, trajectory
        self._twists = twists(trajectory)
        self._covariances = None if sigmas is None else covariances(trajectory, sigmas)
        self._transforms = (
            attachment.transforms(trajectory.stamp_ns, trajectory.T_map_cam)
            if attachment.child
            else None
        )
        self._frames = 0
        self._depth = DepthBagWriter(
            path, source, contents, attachment.odometry_transforms(), attachment.tree.unused
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
        if self._frames == 0:
            self._write_path()
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
            self._covariance(),
        )
        self._frames += 1

    def write_occupancy(self, grid: OccupancyGrid) -> None:
        """Write the grid with the stamp of the first frame, so that it is there when played."""
        self._depth.writer.write_occupancy(
            MAP,
            int(self._trajectory.stamp_ns[0]),
            self._attachment.map_frame,
            grid.cells,
            grid.origin_m,
            grid.resolution_m,
        )

    def finish(self) -> None:
        """Copy the rest of the source."""
        self._depth.finish()

    def _covariance(self) -> tuple[Float64Array, Float64Array] | None:
        """Return the covariances of pose and twist of the next frame."""
        if self._covariances is None:
            return None
        poses, velocities = self._covariances
        return poses[self._frames], velocities[self._frames]

    def _write_path(self) -> None:
        """Write all poses with the first frame: a latched message is of use from its arrival."""
        poses = list(
            zip(self._trajectory.stamp_ns.tolist(), self._trajectory.T_map_cam, strict=True)
        )
        self._depth.writer.write_path(PATH, poses[0][0], self._attachment.map_frame, poses)
