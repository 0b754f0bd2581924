# SPDX-License-Identifier: Apache-2.0
"""Everything that the offline job leaves, in one pass over its frames.

A result is there whole or not at all: it is written into a folder beside, which gets its name at
the end. The same frames give the same bytes.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

import numpy as np

from videodepth_ros.core.errors import BagError, InputError
from videodepth_ros.evaluation.tum import write_tum
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.geometry.trajectory import Trajectory
from videodepth_ros.pictures import ColourRange, colour_range
from videodepth_ros.results.bag import DepthEncoding, RefinedBagWriter, SourceRecording
from videodepth_ros.results.frame import RefinedFrame
from videodepth_ros.results.gravity import GravityAlignment, align_to_gravity
from videodepth_ros.results.map_attachment import MapAttachment, attach_map
from videodepth_ros.results.point_cloud import CloudOptions, VoxelGrid, write_ply
from videodepth_ros.results.preview import PreviewVideo
from videodepth_ros.results.report import ReportFigures, TrajectoryFigures, render_report
from videodepth_ros.results.top_view import TopDownMap

UNIT_NOTE = (
    'nothing measured metres: depth and poses are in a unit of their own, while the '
    "recording's transforms are in metres"
)
TRAJECTORY, CLOUD, PREVIEW, REPORT = 'trajectory.tum', 'cloud.ply', 'preview.mp4', 'report.html'
VIEW_PX = 720


@dataclass(frozen=True)
class ResultOptions:
    """What is written, and what is said of it.

    depth         how depth is stored in the recording
    copied        topics of the source to copy, or patterns such as ``/camera/*`` or ``*``
    cloud         what goes into the cloud
    gravity_source  what made the poses upright already; None: they are aligned here
    is_metric     whether depth and poses are in metres
    scale_source  what knew the metres, in words
    colours       depths at the ends of the colours; None: those of the first frame
    facts         more lines for the table of the page: names and values
    notes         what the reader of the page must know
    """

    depth: DepthEncoding = DepthEncoding.METRES
    copied: tuple[str, ...] = ()
    cloud: CloudOptions = field(default_factory=CloudOptions)
    gravity_source: str | None = None
    is_metric: bool = True
    scale_source: str = 'none'
    colours: ColourRange | None = None
    facts: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def unit(self) -> str:
        """How lengths are named."""
        return 'm' if self.is_metric else 'unit'

    @property
    def all_notes(self) -> tuple[str, ...]:
        """The notes, and what is to be said of the unit."""
        return self.notes if self.is_metric else (*self.notes, UNIT_NOTE)


@dataclass(frozen=True)
class ResultFacts:
    """What was written.

    outputs         folder of the recording, and the files in it
    path_length_m   of the camera; in the recording's unit where nothing measured metres
    gravity_source         what knew the map's z axis: ``imu TOPIC``, ``frame NAME`` or ``camera``
    frame_chain     from the map to the camera
    voxel_m         edge of the cloud's voxels, ``cloud_points`` their number
    notes           what could not be done, or should be known, in words
    """

    frames: int
    outputs: tuple[str, ...]
    path_length_m: float
    duration_s: float
    gravity_source: str
    map_frame: str
    frame_chain: str
    cloud_points: int
    voxel_m: float
    notes: tuple[str, ...]


def write_results(
    frames: Iterable[RefinedFrame],
    trajectory: Trajectory,
    source: SourceRecording,
    folder: Path,
    settings: ResultOptions,
) -> ResultFacts:
    """Write recording, trajectory, cloud, video and page into a new folder.

    frames      gone through once, in the order of the trajectory, one for each of its poses
    trajectory  T_world_cam of the frames in a world of any orientation; what is written is in a
                map with z up, and so the frames' own T_map_cam is not used
    source      the recording that was refined, open for reading
    raises      BagError if the folder exists or cannot be written; InputError if frames and
                poses do not belong together; what the iterable raises. Nothing is left then
    """
    with atomic_folder(folder) as growing:
        facts = _Results(trajectory, source, settings).write(frames, growing)
    names = (TRAJECTORY, CLOUD, PREVIEW, REPORT)
    return replace(facts, outputs=(str(folder), *(str(folder / name) for name in names)))


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Yield a folder to make, which becomes ``folder`` at the end of the block.

    raises  BagError if that exists or cannot be written; where the block fails nothing is left
    """
    if folder.exists():
        raise BagError(f'{folder} exists and is not overwritten; remove it, or give another name')
    unfinished = folder.parent / f'.{folder.name}.partial'
    shutil.rmtree(unfinished, ignore_errors=True)  # of a run that was killed
    try:
        unfinished.mkdir(parents=True)
        yield unfinished / folder.name
        (unfinished / folder.name).rename(folder)
    except OSError as error:
        raise BagError(f'{folder} cannot be written: {error}') from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


class _Results:
    """What is known before the first frame is written."""

    def __init__(
        self, trajectory: Trajectory, source: SourceRecording, settings: ResultOptions
    ) -> None:
        self._source, self._settings = source, settings
        self._world = trajectory

    def write(self, frames: Iterable[RefinedFrame], folder: Path) -> ResultFacts:
        """Write all into a folder that does not exist."""
        rest = iter(frames)
        first = next(rest, None)
        if first is None or not len(self._world.stamp_ns):
            raise InputError('there is no frame to write; were all of them left out?')
        join = attach_map(self._source.bag, first.frame_id)
        made = self._upright(join)
        mapped = Trajectory(self._world.stamp_ns, made.T_map_world @ self._world.T_map_cam)
        in_map = _in_map(chain([first], rest), mapped)
        first = replace(first, T_map_cam=mapped.T_map_cam[0])
        cloud = VoxelGrid(self._settings.cloud)
        view = TopDownMap(mapped, first, VIEW_PX)
        figures = ReportFigures(
            len(mapped.stamp_ns), self._settings.colours or colour_range_of(first)
        )
        bag_notes = self._write_frames(in_map, folder, join, mapped, cloud, view, figures)
        write_tum(folder / TRAJECTORY, mapped)
        points = cloud.points()
        write_ply(folder / CLOUD, points)
        facts = ResultFacts(
            frames=len(mapped.stamp_ns),
            outputs=(),
            path_length_m=_length(mapped),
            duration_s=float(mapped.stamp_ns[-1] - mapped.stamp_ns[0]) / 1e9,
            gravity_source=made.gravity_source,
            map_frame=join.map_frame,
            frame_chain=join.described,
            cloud_points=len(points),
            voxel_m=cloud.voxel_m,
            notes=(*self._settings.all_notes, *join.notes, *bag_notes),
        )
        picture = view.picture(len(mapped.stamp_ns))
        (folder / REPORT).write_text(
            render_report(
                f'{self._source.bag.path.name} refined',
                self._rows(facts, first),
                facts.notes,
                mapped.stamp_ns,
                TrajectoryFigures(picture, mapped.positions_m[:, 2]),
                figures,
                self._settings.unit,
            ),
            encoding='utf-8',
        )
        return facts

    def _upright(self, join: MapAttachment) -> GravityAlignment:
        if self._settings.gravity_source is not None:
            return GravityAlignment(np.eye(4), self._settings.gravity_source)
        return align_to_gravity(self._source.bag, join, self._world)

    def _write_frames(
        self,
        frames: Iterator[RefinedFrame],
        folder: Path,
        join: MapAttachment,
        mapped: Trajectory,
        cloud: VoxelGrid,
        view: TopDownMap,
        figures: ReportFigures,
    ) -> tuple[str, ...]:
        with ExitStack() as stack:
            bag = stack.enter_context(
                RefinedBagWriter(
                    folder, self._source, join, mapped, self._settings.depth, self._settings.copied
                )
            )
            preview = stack.enter_context(
                PreviewVideo(folder / PREVIEW, mapped.stamp_ns, view, figures.colours)
            )
            for frame in frames:
                bag.add(frame)
                cloud.add(frame)
                view.add(frame)
                preview.add(frame)
                figures.add(frame)
            bag.finish()
        return bag.notes

    def _rows(self, facts: ResultFacts, first: RefinedFrame) -> list[tuple[str, str]]:
        unit, camera = self._settings.unit, first.camera
        return [
            ('frames', f'{facts.frames} in {facts.duration_s:.2f} s'),
            ('path', f'{facts.path_length_m:.3f} {unit}'),
            ('scale from', self._settings.scale_source),
            ('up from', facts.gravity_source),
            ('frames of reference', facts.frame_chain),
            ('image topic', self._source.image_topic),
            ('camera', format_camera(camera)),
            ('depth', self._settings.depth.value),
            ('cloud', f'{facts.cloud_points} points, one for each {facts.voxel_m:g} {unit}'),
            *self._settings.facts,
        ]


def format_camera(camera: Intrinsics) -> str:
    """Say the intrinsics of a camera in a line."""
    return (
        f'{camera.width}x{camera.height}, fx {camera.fx:.2f}, fy {camera.fy:.2f}, '
        f'cx {camera.cx:.2f}, cy {camera.cy:.2f}'
    )


def _in_map(frames: Iterable[RefinedFrame], mapped: Trajectory) -> Iterator[RefinedFrame]:
    """Yield the frames with their poses in the map.

    raises  InputError if they are not those of the trajectory
    """
    count = 0
    for frame in frames:
        if count == len(mapped.stamp_ns) or frame.stamp_ns != mapped.stamp_ns[count]:
            raise InputError(
                f'frame {count} has the stamp {frame.stamp_ns}, for which the '
                'trajectory has no pose'
            )
        yield replace(frame, T_map_cam=mapped.T_map_cam[count])
        count += 1
    if count < len(mapped.stamp_ns):
        raise InputError(f'{count} frames came for {len(mapped.stamp_ns)} poses')


def _length(trajectory: Trajectory) -> float:
    return float(np.linalg.norm(np.diff(trajectory.positions_m, axis=0), axis=1).sum())


def colour_range_of(frame: RefinedFrame) -> ColourRange:
    """Return colours for a recording by its first frame, with room for the others."""
    found = colour_range([frame.depth_m])
    return ColourRange(0.8 * found.near_m, 1.25 * found.far_m)
