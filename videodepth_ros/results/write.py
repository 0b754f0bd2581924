# SPDX-License-Identifier: Apache-2.0
"""Results of a job with poses: recording, trajectory, point cloud, preview video and report.

All are written in one pass over the frames, into a temporary folder that is renamed at the end.
The same frames give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.core.arrays import Float64Array
from videodepth_ros.core.errors import InputError
from videodepth_ros.evaluation.true_depth import TrueDepth
from videodepth_ros.evaluation.tum import write_tum
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.geometry.trajectory import StepSigmas, Trajectory
from videodepth_ros.pictures import ColourRange, colour_range
from videodepth_ros.results.atomic_folder import atomic_folder
from videodepth_ros.results.bag import (
    DEPTH_AND_POSES,
    BagContents,
    RefinedBagWriter,
    SourceRecording,
)
from videodepth_ros.results.frame import RefinedFrame
from videodepth_ros.results.fused_mesh import FusedMesh
from videodepth_ros.results.gravity import GravityAlignment, align_to_gravity
from videodepth_ros.results.map_attachment import MapAttachment, attach_map
from videodepth_ros.results.map_page import map_scene
from videodepth_ros.results.map_views import MapSurface, map_views
from videodepth_ros.results.occupancy import OccupancyGrid, grid_files, occupancy_of
from videodepth_ros.results.options import CLOUD, CloudOptions
from videodepth_ros.results.point_cloud import VoxelGrid, positions_and_colours, write_ply
from videodepth_ros.results.preview import PreviewWriter
from videodepth_ros.results.report import ReportFigures, TrajectoryFigures, render_report
from videodepth_ros.results.top_view import TopDownMap

UNIT_NOTE = 'the scale is arbitrary: depth and poses are in a unit of their own, not in metres'
UNIT_OF_TRANSFORMS_NOTE = "the recording's transforms, which are copied, are in metres"

NO_GROUND_NOTE = 'no occupancy grid: the cloud has no ground below the camera'
TRAJECTORY_FILE, CLOUD_FILE, MESH_FILE = 'trajectory.tum', 'cloud.ply', 'map.ply'
GRID_NAME = 'map'
PREVIEW_FILE, REPORT_FILE = 'preview.mp4', 'report.html'


@dataclass(frozen=True)
class ResultOptions:
    """Options of the results.

    contents      of the recording
    sigmas        of the steps of the trajectory; None: not known
    cloud         options of the point cloud
    scene_points_m  (N, 3) float64, points of the scene in the world of the trajectory, around
                  which a mesh is built of depth whose confidence is 1 - expected relative error;
                  None: no mesh
    gravity_source  source of the vertical if the poses are aligned with gravity already; None:
                  they are aligned here
    occupancy     whether to write a 2D grid of ground and obstacles
    is_metric     whether depth and poses are in metres
    scale_source  where the metres come from
    colours       depths at the ends of the colours; None: those of the first frame
    facts         more rows of the report's table: names and values
    notes         warnings on the results
    late_notes    returns more of them when all frames have been written
    """

    contents: BagContents = DEPTH_AND_POSES
    sigmas: StepSigmas | None = None
    cloud: CloudOptions = CLOUD
    scene_points_m: Float64Array | None = None
    gravity_source: str | None = None
    occupancy: bool = False
    is_metric: bool = True
    scale_source: str = 'none'
    colours: ColourRange | None = None
    facts: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    late_notes: Callable[[], tuple[str, ...]] = tuple

    @property
    def unit(self) -> str:
        """Unit of lengths."""
        return 'm' if self.is_metric else 'unit'

    @property
    def all_notes(self) -> tuple[str, ...]:
        """The notes, with one on an arbitrary scale."""
        return self.notes if self.is_metric else (*self.notes, UNIT_NOTE)


@dataclass(frozen=True)
class ResultFacts:
    """What was written.

    outputs         folder of the recording, and the files in it
    path_length_m   of the camera; in the recording's unit where the scale is arbitrary
    gravity_source  see `GravityAlignment`
    frame_chain     frames from the map to the camera
    voxel_m         edge of the cloud's voxels, ``cloud_points`` their number
    notes           warnings on the results
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
    options: ResultOptions,
) -> ResultFacts:
    """Write recording, trajectory, cloud, video and report into a new folder.

    frames      iterated once, in the order of the trajectory, one for each of its poses
    trajectory  T_world_cam of the frames in a world of any orientation; results are in a map with
                z up, and the frames' own T_map_cam is not used
    source      the recording that was refined, open for reading
    raises      BagError if the folder exists or cannot be written; InputError if frames and
                poses do not match; what the iterable raises. Nothing is left then
    """
    with atomic_folder(folder) as part:
        facts = _ResultWriter(trajectory, source, options).write(frames, part)
    optional = (MESH_FILE, *grid_files(GRID_NAME))
    found = (name for name in optional if (folder / name).exists())
    names = (TRAJECTORY_FILE, CLOUD_FILE, *found, PREVIEW_FILE, REPORT_FILE)
    return replace(facts, outputs=(str(folder), *(str(folder / name) for name in names)))


@dataclass(frozen=True)
class _Accumulators:
    """What is accumulated over all frames."""

    cloud: VoxelGrid
    mesh: FusedMesh | None
    top_down: TopDownMap
    figures: ReportFigures

    def add(self, frame: RefinedFrame) -> None:
        """Add the next frame."""
        if frame.in_map:
            self.cloud.add(frame)
        if frame.in_map and self.mesh is not None:
            self.mesh.add(frame)
        self.top_down.add(frame)
        self.figures.add(frame)


class _ResultWriter:
    """The writer of all results of a trajectory."""

    def __init__(
        self, trajectory: Trajectory, source: SourceRecording, options: ResultOptions
    ) -> None:
        self._source, self._options, self._world = source, options, trajectory

    def write(self, frames: Iterable[RefinedFrame], folder: Path) -> ResultFacts:
        """Write all results into a folder that does not exist."""
        rest = iter(frames)
        first = next(rest, None)
        if first is None or not len(self._world.stamp_ns):
            raise InputError('there is no frame to write; all of them were left out')
        attachment = attach_map(self._source.bag, first.frame_id)
        aligned = self._align_to_gravity(attachment)
        mapped = Trajectory(self._world.stamp_ns, aligned.T_map_world @ self._world.T_map_cam)
        in_map = _in_map(chain([first], rest), mapped)
        first = replace(first, T_map_cam=mapped.T_map_cam[0])
        colours = self._options.colours or colour_range_of(first)
        accumulated = _Accumulators(
            VoxelGrid(self._options.cloud),
            self._empty_mesh(aligned.T_map_world),
            TopDownMap(mapped, first, min_confidence=self._options.contents.cloud.min_confidence),
            ReportFigures(len(mapped.stamp_ns), colours, TrueDepth(self._source.bag)),
        )
        grid, bag_notes = self._write_frames(in_map, folder, attachment, mapped, accumulated)
        write_tum(folder / TRAJECTORY_FILE, mapped)
        write_ply(folder / CLOUD_FILE, points := accumulated.cloud.points())
        surface = _write_mesh(folder, accumulated.mesh, points)
        facts = ResultFacts(
            frames=len(mapped.stamp_ns),
            outputs=(),
            path_length_m=_length(mapped),
            duration_s=float(mapped.stamp_ns[-1] - mapped.stamp_ns[0]) / 1e9,
            gravity_source=aligned.source,
            map_frame=attachment.map_frame,
            frame_chain=attachment.chain_description,
            cloud_points=len(points),
            voxel_m=accumulated.cloud.voxel_m,
            notes=(*self._notes(attachment), *attachment.notes, *bag_notes),
        )
        figures = TrajectoryFigures(
            accumulated.top_down.picture(len(mapped.stamp_ns)),
            mapped.positions_m[:, 2],
            accumulated.top_down.grid_m,
            map_views(surface, mapped.T_map_cam),
            map_scene(points, mapped.T_map_cam),
            grid,
        )
        rows = self._rows(facts, first)
        self._write_report(folder, rows, facts.notes, figures, accumulated.figures)
        return facts

    def _notes(self, attachment: MapAttachment) -> tuple[str, ...]:
        """Return the notes, with one on the unit of transforms where scales differ."""
        options = self._options
        differ = not options.is_metric and attachment.tree.transforms
        unit = (UNIT_OF_TRANSFORMS_NOTE,) if differ else ()
        return (*options.all_notes, *unit, *options.late_notes())

    def _write_report(
        self,
        folder: Path,
        rows: list[tuple[str, str]],
        notes: tuple[str, ...],
        poses: TrajectoryFigures,
        figures: ReportFigures,
    ) -> None:
        title, stamps_ns = f'{self._source.bag.path.name} refined', self._world.stamp_ns
        page = render_report(title, rows, notes, stamps_ns, poses, figures, self._options.unit)
        (folder / REPORT_FILE).write_text(page, encoding='utf-8')

    def _empty_mesh(self, T_map_world: Float64Array) -> FusedMesh | None:
        points_m = self._options.scene_points_m
        if points_m is None:
            return None
        return FusedMesh.around(points_m, T_map_world, len(self._world.stamp_ns))

    def _align_to_gravity(self, attachment: MapAttachment) -> GravityAlignment:
        if self._options.gravity_source is not None:
            return GravityAlignment(np.eye(4), self._options.gravity_source)
        return align_to_gravity(self._source.bag, attachment, self._world)

    def _write_frames(
        self,
        frames: Iterator[RefinedFrame],
        folder: Path,
        attachment: MapAttachment,
        mapped: Trajectory,
        accumulated: _Accumulators,
    ) -> tuple[OccupancyGrid | None, tuple[str, ...]]:
        """Write recording and video; return the grid, and notes on what could not be written."""
        options, colours = self._options, accumulated.figures.colours
        with (
            RefinedBagWriter(
                folder, self._source, attachment, mapped, options.contents, options.sigmas
            ) as bag,
            PreviewWriter(
                folder / PREVIEW_FILE, mapped.stamp_ns, accumulated.top_down, colours
            ) as preview,
        ):
            for frame in frames:
                bag.add(frame)
                accumulated.add(frame)
                preview.add(frame)
            bag.finish()
            if not options.occupancy:
                return None, bag.notes
            cloud, _ = positions_and_colours(accumulated.cloud.points())
            grid = occupancy_of(cloud, mapped.positions_m)
            if grid is None:
                return None, (*bag.notes, NO_GROUND_NOTE)
            bag.write_occupancy(grid)
            grid.write(folder, GRID_NAME)
        return grid, bag.notes

    def _rows(self, facts: ResultFacts, first: RefinedFrame) -> list[tuple[str, str]]:
        unit, camera = self._options.unit, first.camera
        return [
            ('frames', f'{facts.frames} in {facts.duration_s:.2f} s'),
            ('path', f'{facts.path_length_m:.3f} {unit}'),
            ('scale from', self._options.scale_source),
            ('gravity from', facts.gravity_source),
            ('coordinate frames', facts.frame_chain),
            ('image topic', self._source.image_topic),
            ('camera', format_camera(camera)),
            ('depth', self._options.contents.topics.depth_encoding.value),
            ('cloud', f'{facts.cloud_points} points, voxels of {facts.voxel_m:g} {unit}'),
            *self._options.facts,
        ]


def _write_mesh(folder: Path, mesh: FusedMesh | None, cloud: NDArray[np.void]) -> MapSurface:
    """Write the mesh if there is one; return it, else the points of the cloud."""
    if mesh is None:
        return MapSurface(*positions_and_colours(cloud), np.empty((0, 3), np.int32))
    found = mesh.write(folder / MESH_FILE)
    return MapSurface(found.vertices_m.astype(np.float64), found.colours, found.faces)


def format_camera(camera: Intrinsics) -> str:
    """Return the intrinsics of a camera as text."""
    return (
        f'{camera.width}x{camera.height}, fx {camera.fx:.2f}, fy {camera.fy:.2f}, '
        f'cx {camera.cx:.2f}, cy {camera.cy:.2f}'
    )


def _in_map(frames: Iterable[RefinedFrame], mapped: Trajectory) -> Iterator[RefinedFrame]:
    """Yield the frames with their poses in the map.

    raises  InputError if their stamps are not those of the trajectory
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
        raise InputError(f'there are {count} frames for {len(mapped.stamp_ns)} poses')


def _length(trajectory: Trajectory) -> float:
    return float(np.linalg.norm(np.diff(trajectory.positions_m, axis=0), axis=1).sum())


def colour_range_of(frame: RefinedFrame) -> ColourRange:
    """Return colours for a recording: the range of its first frame, with a margin."""
    found = colour_range([frame.depth_m])
    return ColourRange(0.8 * found.near_m, 1.25 * found.far_m)
