# SPDX-License-Identifier: Apache-2.0
"""The offline job: a recording in; refined depth, intrinsics and camera poses out.

Five stages, each kept in a work folder beside the output as soon as it is done: frames are read
and reduced, a prior says their depth, keyframes are aligned, then the clips between them, and
everything is written at the camera's size. A job that was killed goes on where it was, and what it
writes at the end is the same to the byte.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from videodepth_ros.alignment.options import HIERARCHY_DEFAULTS
from videodepth_ros.alignment.pair_graph import PairGraph
from videodepth_ros.alignment.parallel import AlignmentFiles, align_parallel, load_clip
from videodepth_ros.bags.camera_topics import find_camera_topics
from videodepth_ros.bags.frames import frames
from videodepth_ros.bags.reader import BagReader, open_bag
from videodepth_ros.bags.stamps import Stamps, monotonic
from videodepth_ros.core.errors import BagError
from videodepth_ros.core.progress import Progress, ProgressMeter, Stage
from videodepth_ros.core.shot_detection import detect_shots
from videodepth_ros.core.workspace import WorkFolder, digest
from videodepth_ros.engines.store import cache_folder
from videodepth_ros.frames import Frame, ScaleSource
from videodepth_ros.geometry.trajectory import Trajectory
from videodepth_ros.refine import plan as stages
from videodepth_ros.refine.alignment_inputs import (
    AlignmentInputs,
    PairProviderFactory,
    build_recording_graph,
)
from videodepth_ros.refine.bag_depth import choose_depth_topic
from videodepth_ros.refine.consistency import DepthSequence, coalign_depth, run_rollingdepth
from videodepth_ros.refine.depth_association import associate_depth
from videodepth_ros.refine.facts import RefineFacts
from videodepth_ros.refine.image_sequence import (
    NANOSECONDS,
    CameraFormat,
    CameraFormatFilter,
    FrameSelection,
    ImageSequence,
    Size,
    bag_digest,
    cached_stamps,
    read_images,
    select_frames,
    size_within,
)
from videodepth_ros.refine.metric_scale import (
    MetricScale,
    MetricScaleSource,
    estimate_metric_scale,
    metric_scale_source,
    stationary_camera_notes,
)
from videodepth_ros.refine.plan import JobPlan
from videodepth_ros.refine.preflight import check_requirements
from videodepth_ros.refine.prior_depth import PriorDepth, estimate_prior_depth, evict_cache
from videodepth_ros.refine.priors import NETWORKS, open_prior
from videodepth_ros.refine.refined_frames import (
    AlignedFrame,
    aligned_frames,
    unposed_frames,
    upsample_frames,
)
from videodepth_ros.refine.sensor_files import cached_lidar_depth, cached_odometry
from videodepth_ros.refine.settings import DEFAULTS, Method, Pairs, RefineSettings
from videodepth_ros.results.bag import SourceRecording
from videodepth_ros.results.depth_only import write_depth_results
from videodepth_ros.results.frame import RefinedFrame
from videodepth_ros.results.point_cloud import CloudOptions
from videodepth_ros.results.write import ResultOptions, write_results
from videodepth_ros.sfm.reconstruction import default_camera

REST = 20.0
"""What is left after reading, in times of it, before more is known."""

TRACKING_PIXELS = 640 * 480
"""Images are kept so large for the matching of features."""


def ignore(*_: object) -> None:
    """Hear, and do nothing."""


def never() -> bool:
    """Tell that nobody wants the end."""
    return False


def refine_bag(
    input_bag: Path,
    output_bag: Path,
    settings: RefineSettings = DEFAULTS,
    report: Callable[[Progress], None] = ignore,
    cancelled: Callable[[], bool] = never,
    announce: Callable[[str], None] = ignore,
) -> RefineFacts:
    """Refine a recording into another one.

    report     hears of progress, many times a second
    cancelled  asked as often; the work folder stays, so that the same call goes on
    announce   hears lines for the operator: the plan, licences, what is amiss
    raises     Cancelled; BagError, ConfigError, ModelError, InputError, DeviceError where the job
               cannot go on: each says what to do
    """
    if output_bag.exists():
        raise BagError(
            f'{output_bag} exists and is not overwritten; remove it, or give another name'
        )
    with ExitStack() as stack:
        bag = stack.enter_context(open_bag(input_bag))
        check_requirements(bag, settings)
        work = stack.enter_context(WorkFolder(work_folder(output_bag)))
        facts = _Job(
            bag, output_bag, settings, work, ProgressMeter(report, cancelled), announce
        ).run()
        work.remove()
    return facts


def shot_cut_notes(recording: ImageSequence) -> tuple[str, ...]:
    """Return a note on cuts, over which no camera can be followed; none where there is none."""
    starts = [str(shot.start) for shot in detect_shots(list(recording.images.open()))[1:]]
    return (
        (
            f'the picture changes at once at frame {", ".join(starts)} (the first one is 0): how '
            'the cameras before and after lie to each other is not known; refine them apart with '
            '--start-s and --end-s',
        )
        if starts
        else ()
    )


def work_folder(output_bag: Path) -> Path:
    """Return where a job keeps what it has done, until it is through."""
    return output_bag.with_name(output_bag.name + '.work')


class _Job:
    """One recording on its way through the stages."""

    def __init__(
        self,
        bag: BagReader,
        output: Path,
        settings: RefineSettings,
        work: WorkFolder,
        meter: ProgressMeter,
        announce: Callable[[str], None],
    ) -> None:
        self._bag, self._output, self._settings = bag, output, settings
        self._work, self._meter, self._announce = work, meter, announce
        self._topics = find_camera_topics(
            bag.topics, settings.image_topic, settings.camera_info_topic
        )
        self._key = bag_digest(bag.path)
        self._depth_stamps: Stamps | None = None  # for the prior that is in the recording
        self._processes = settings.processes or os.cpu_count() or 1

    def run(self) -> RefineFacts:
        """Go through all stages."""
        began_s = time.monotonic()
        recording = self._read()
        self._kind = CameraFormat(recording.size, recording.frame_id)
        self._notes = (*self._choice.notes, *recording.notes)
        poses = self._settings.chosen_pairs is not Pairs.NONE
        graph = build_recording_graph(recording.images, self._settings.clip) if poses else None
        self._tell(recording, graph)
        estimates = self._estimate(recording)
        depth = self._depth(recording, estimates)
        if graph is None:
            written = self._write_depth(recording, depth)
        else:
            files = self._align(recording, estimates, depth, graph)
            written = self._write(recording, depth, files)
        return replace(written, seconds=round(time.monotonic() - began_s, 3))

    def _read(self) -> ImageSequence:
        """Read and reduce the chosen frames."""
        topics, tick = self._topics, self._ticks(stages.READ)
        reading = Stage(stages.READ, 2 * topics.image.count, stages.READ_S / 2)
        self._meter.set_stages([reading, Stage('rest', 1, REST * reading.seconds)])
        images = cached_stamps(self._bag, topics.image.name, self._key, self._work, tick)
        self._choice = select_frames(images, self._settings.selection)
        if self._settings.prior == 'bag':
            self._choice = self._with_depth(images)
        return read_images(
            self._chosen,
            digest(self._key, topics, self._choice.stamps.key),
            TRACKING_PIXELS,
            self._work,
            tick,
        )

    def _with_depth(self, images: Stamps) -> FrameSelection:
        """Return the chosen images that have depth; raises BagError where most have none."""
        topic = choose_depth_topic(self._bag.topics, self._settings.depth_topic).name
        self._depth_stamps = monotonic(
            cached_stamps(self._bag, topic, self._key, self._work, self._ticks(stages.READ))
        )
        match = associate_depth(self._choice.stamps.stamp_ns, images, self._depth_stamps, topic)
        match.check()
        return self._choice.at(np.flatnonzero(match.has_depth), match.notes)

    def _chosen(self) -> Iterator[Frame]:
        return frames(
            self._bag,
            self._topics.image.name,
            self._settings.camera_info_topic,
            self._choice.stamps.contains,
        )

    def _frames(self) -> Iterator[Frame]:
        """Yield the frames of the job, in full size."""
        return CameraFormatFilter(self._kind).frames(self._chosen())

    def _ticks(self, stage: str) -> Callable[[], None]:
        return partial(self._meter.advance, stage)

    def _working_size(self, recording: ImageSequence) -> Size:
        return size_within(recording.size, self._settings.max_pixels)

    def _tell(self, recording: ImageSequence, graph: PairGraph | None) -> None:
        """Say what will be done, and how long it may take."""
        seconds_of_data = float(recording.stamps_ns[-1] - recording.stamps_ns[0]) / NANOSECONDS
        outline = JobPlan(
            len(recording),
            recording.size,
            self._working_size(recording),
            seconds_of_data,
            self._settings.method,
            self._settings.prior,
            graph,
            self._processes,
        )
        self._meter.set_stages(outline.stages())
        self._meter.mark_done(stages.READ)
        for line in (str(outline), *(f'note: {note}' for note in self._notes)):
            self._announce(line)

    def _estimate(self, recording: ImageSequence) -> PriorDepth:
        """Ask the prior for the depth of every frame; kept in the user's cache if it is slow."""
        settings = self._settings
        size = self._working_size(recording)
        slow = settings.prior in NETWORKS
        folder = cache_folder() / 'estimates' if slow else self._work.folder
        key = digest(recording.key, settings.prior, settings.depth_topic, size)
        estimates = PriorDepth.at(folder / f'estimates-{key}', size)
        if not estimates.exist():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with closing(
                open_prior(
                    settings.prior,
                    bag=self._bag.path,
                    engine=settings.engine,
                    depth_topic=settings.depth_topic,
                    depth_stamps=self._depth_stamps,
                )
            ) as prior:
                if prior.notice:
                    self._announce(prior.notice)
                estimate_prior_depth(
                    self._frames(), prior, estimates, self._ticks(stages.DEPTH), resume=slow
                )
            if slow:
                evict_cache(folder)
        self._meter.mark_done(stages.DEPTH)
        return estimates

    def _depth(self, recording: ImageSequence, estimates: PriorDepth) -> DepthSequence:
        """Return the depth that the estimates make, by the method that was chosen."""
        settings = self._settings
        prior = DepthSequence(
            estimates.depth(self._work.path('depth', estimates.key)), estimates.scale_source
        )
        if settings.method is Method.ALIGN3R:
            return prior
        advanced = self._meter.fraction_callback(stages.CONSISTENCY)
        if settings.method is Method.COALIGN:
            depth = coalign_depth(recording, prior, self._work, advanced)
        else:
            depth = run_rollingdepth(
                recording, prior, settings.preset, self._work, self._announce, advanced
            )
        self._meter.mark_done(stages.CONSISTENCY)
        return depth

    def _align(
        self,
        recording: ImageSequence,
        estimates: PriorDepth,
        depth: DepthSequence,
        graph: PairGraph,
    ) -> AlignmentFiles:
        """Align keyframes and clips; return where the results are."""
        scene = self._scene(recording, estimates, depth, graph)
        key = digest(scene, recording.key)
        files = AlignmentFiles(
            self._work.path('keyframes', key) if len(graph.keyframes) > 1 else None,
            tuple(self._work.path(f'clip{n:05d}', key) for n in range(len(graph.clips))),
        )
        align_parallel(
            scene, files, self._processes, self._ticks(stages.KEYFRAMES), self._ticks(stages.CLIPS)
        )
        for stage in (stages.KEYFRAMES, stages.CLIPS):
            self._meter.mark_done(stage)
        return files

    def _scene(
        self,
        recording: ImageSequence,
        estimates: PriorDepth,
        depth: DepthSequence,
        graph: PairGraph,
    ) -> AlignmentInputs:
        """Gather what is aligned: pairs, and what sensors know."""
        settings = self._settings
        width, height = self._working_size(recording)
        camera = recording.camera_at(width, height)
        measured = (
            depth.array
            if depth.scale_source is ScaleSource.SENSOR
            else cached_lidar_depth(self._bag, recording, camera, self._work)
        )
        motion = cached_odometry(self._bag, recording, self._work) if settings.odometry else None
        pairs = PairProviderFactory(
            settings.chosen_pairs,
            recording.images,
            depth.array,
            estimates,
            camera,
            self._work.path('reconstruction', digest(depth)),
        )
        reconstruction = pairs.reconstruct(self._meter.fraction_callback(stages.TRACK))
        if reconstruction:
            camera = reconstruction.camera
            self._notes = (*self._notes, *reconstruction.warnings())
        self._meter.mark_done(stages.TRACK)
        options = HIERARCHY_DEFAULTS.with_camera(camera)
        if settings.chosen_pairs is Pairs.GEOMETRIC:  # its bundle adjustment has smoothed enough
            options = options.without_smoothing()
        return AlignmentInputs(pairs, graph, options, measured, motion)

    def _write(
        self, recording: ImageSequence, depth: DepthSequence, files: AlignmentFiles
    ) -> RefineFacts:
        """Write depth and poses, at the camera's size."""
        unit = estimate_metric_scale(
            map(load_clip, files.clips),
            depth.array.open(),
            depth.scale_source,
            self._settings.path_length_m,
        )
        T_world_cam = np.concatenate([load_clip(path).T_world_cam for path in files.clips])
        T_world_cam[:, :3, 3] *= unit.metres
        working = aligned_frames(files.clips, depth.array.open(), unit.metres)
        found = write_results(
            self._refined(working),
            Trajectory(recording.stamps_ns, T_world_cam),
            SourceRecording(self._bag, self._topics.image.name),
            self._output,
            self._results(
                unit,
                (
                    *shot_cut_notes(recording),
                    *stationary_camera_notes(T_world_cam, depth.array.open()[0]),
                ),
            ),
        )
        return replace(
            self._facts(recording, unit, found.notes, found.outputs),
            path_length_m=found.path_length_m,
            up_from=found.up_from,
        )

    def _write_depth(self, recording: ImageSequence, depth: DepthSequence) -> RefineFacts:
        """Write depth alone, at the camera's size."""
        unit = MetricScale(1.0, metric_scale_source(depth.scale_source))
        width, height = self._working_size(recording)
        camera = recording.camera_at(width, height) or default_camera(width, height)
        found = write_depth_results(
            self._refined(unposed_frames(depth.array.open(), camera)),
            recording.stamps_ns,
            SourceRecording(self._bag, self._topics.image.name),
            self._output,
            self._results(unit),
        )
        return self._facts(recording, unit, found.notes, found.outputs)

    def _refined(self, working: Iterable[AlignedFrame]) -> Iterator[RefinedFrame]:
        return upsample_frames(
            self._frames(),
            working,
            self._settings.max_range_m,
            partial(self._meter.advance, stages.WRITE),
        )

    def _results(self, unit: MetricScale, notes: tuple[str, ...] = ()) -> ResultOptions:
        settings = self._settings
        return ResultOptions(
            depth=settings.depth_encoding,
            copied=('*',) if settings.copy_topics else (),
            cloud=CloudOptions(voxel_m=settings.voxel_m),
            is_metric=unit.source not in (MetricScaleSource.NONE, MetricScaleSource.MODEL),
            scale_source=unit.source.value,
            notes=(*self._notes, *notes),
        )

    def _facts(
        self,
        recording: ImageSequence,
        unit: MetricScale,
        notes: tuple[str, ...],
        outputs: tuple[str, ...],
    ) -> RefineFacts:
        settings = self._settings
        return RefineFacts(
            len(recording),
            recording.left_out + self._choice.left_out,
            0.0,
            settings.method.value,
            settings.prior,
            settings.chosen_pairs.value,
            unit.source.value,
            None,
            None,
            self._bag.lost,
            notes,
            outputs,
        )
