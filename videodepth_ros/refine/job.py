# SPDX-License-Identifier: Apache-2.0
"""The refinement job: a recording in; refined depth, intrinsics and camera poses out.

    read         select and decode the frames                       stages/read.py
    prior        estimate depth of single frames                    stages/prior.py
    calibrate    estimate the lens, if that is asked for            stages/calibrate.py
    consistency  co-align them, or run RollingDepth                 stages/consistency.py
    reconstruct  poses by bundle adjustment, corrected depth        stages/reconstruct.py
    align        or: poses and depth from pairs of frames           stages/align.py
    stereo       multi-view stereo on these poses                   stages/stereo.py
    write        upsample to the camera's size; bag, cloud, report  stages/write.py

Each stage keeps its results in a work folder beside the output. A job that was killed continues
with the first stage that is missing there, and writes the same bytes in the end.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from videodepth_ros.alignment.pair_graph import PairGraph
from videodepth_ros.bags.camera_topics import find_camera_topics
from videodepth_ros.bags.reader import open_bag
from videodepth_ros.core.errors import BagError
from videodepth_ros.core.progress import Progress, ProgressMeter
from videodepth_ros.core.workspace import WorkFolder, digest, require_new
from videodepth_ros.mvs.parallel import StereoTask
from videodepth_ros.refine.aligned_sequence import AlignedSequence
from videodepth_ros.refine.alignment_inputs import build_recording_graph
from videodepth_ros.refine.completion import Completion, explain_full_disk, facts_file, work_folder
from videodepth_ros.refine.context import JobContext
from videodepth_ros.refine.facts import RefineFacts
from videodepth_ros.refine.image_sequence import NANOSECONDS, bag_bytes, bag_digest, size_within
from videodepth_ros.refine.odometry_notes import odometry_notes
from videodepth_ros.refine.plan import PRIOR_STAGE, READ_STAGE, JobPlan, stored_bytes
from videodepth_ros.refine.preflight import check_requirements
from videodepth_ros.refine.prior_depth import DepthSequence, PriorDepth
from videodepth_ros.refine.prior_error import cached_prior_error
from videodepth_ros.refine.settings import DEFAULTS, Pairs, RefineSettings
from videodepth_ros.refine.stages.align import align_frames, needs_alignment, shot_cut_notes
from videodepth_ros.refine.stages.calibrate import find_lens, lens_notes
from videodepth_ros.refine.stages.consistency import make_consistent
from videodepth_ros.refine.stages.prior import depth_notes, estimate_prior
from videodepth_ros.refine.stages.read import DecodedFrames, decode_frames
from videodepth_ros.refine.stages.reconstruct import rate_without_stereo, reconstruct_frames
from videodepth_ros.refine.stages.stereo import match_stereo
from videodepth_ros.refine.stages.write import write_posed, write_unposed


def refine_bag(
    input_bag: Path,
    output_bag: Path,
    settings: RefineSettings = DEFAULTS,
    report: Callable[[Progress], None] = lambda progress: None,
    cancelled: Callable[[], bool] = lambda: False,
    log: Callable[[str], None] = lambda line: None,
) -> RefineFacts:
    """Refine a recording into a new one.

    report     takes the progress, several times a second
    cancelled  polled as often; True raises Cancelled, and the same call continues later
    log        takes lines for the operator: the plan, notes, licences
    raises     Cancelled; BagError, ConfigError, ModelError, InputError or DeviceError with the
               next step in its message
    """
    if not facts_file(output_bag).exists():
        require_new(output_bag)
    with ExitStack() as stack:
        bag = stack.enter_context(open_bag(input_bag))
        check_requirements(bag, settings)
        topics = find_camera_topics(bag.topics, settings.image_topic, settings.camera_info_topic)
        work = stack.enter_context(WorkFolder(work_folder(output_bag)))
        completion = Completion(output_bag, digest(bag_digest(input_bag), settings))
        facts = completion.stored_facts()
        if facts is None:
            job = JobContext(bag, topics, settings, work, ProgressMeter(report, cancelled), log)
            facts = completion.store(_run_stages(job, completion.staged))
        completion.finish(work)
    return facts


def _run_stages(job: JobContext, output: Path) -> RefineFacts:
    """Run all stages and write the results; a full disk is an error with path and need."""
    start_s, plan = time.monotonic(), None
    try:
        with job.clock.measure('read'):
            decoded = decode_frames(job)
        graph = None
        if job.settings.chosen_pairs is not Pairs.NONE:
            graph = build_recording_graph(decoded.images.images, job.settings.clip)
        aligns = graph is not None and needs_alignment(job.settings)
        if graph is not None and job.settings.odometry:
            images = decoded.images
            notes = odometry_notes(job.bag, images.frame_id, images.stamps_ns)
            decoded = decoded.with_notes(notes)
        plan = _plan(job, decoded, graph, aligns)
        _announce_plan(job, plan, decoded)
        facts = _refine(job, decoded, graph, aligns, output)
    except (OSError, BagError) as error:
        needed_mb = plan.disk_mb if plan else None
        raise explain_full_disk(error, job.work.folder, needed_mb) from error
    seconds = round(time.monotonic() - start_s, 3)
    return replace(facts, seconds=seconds, stages=job.clock.times)


def _refine(
    job: JobContext, decoded: DecodedFrames, graph: PairGraph | None, aligns: bool, output: Path
) -> RefineFacts:
    measure = job.clock.measure
    with measure('prior'):
        prior = estimate_prior(job, decoded)
    with measure('calibrate'):
        lens = find_lens(job, decoded.images, prior)
    if lens is not None:
        job, notes = replace(job, lens=lens), lens_notes(lens, decoded.images.size)
        job.meter.repeat(READ_STAGE, PRIOR_STAGE)
        with measure('rectify'):
            decoded = replace(decoded, images=decode_frames(job).images).with_notes(notes)
            job.meter.mark_done(READ_STAGE)
            prior = estimate_prior(job, decoded)
    with measure('consistency'):
        decoded = decoded.with_notes(depth_notes(job, decoded, prior))
        depth = make_consistent(job, decoded.images, prior)
    if graph is None:
        with measure('write'):
            return write_unposed(job, decoded, depth, output)
    with measure('align' if aligns else 'reconstruct'):
        posed = _pose(job, decoded, prior, depth, graph if aligns else None)
    with measure('stereo' if job.settings.stereo else 'confidence'):
        error = None
        if job.settings.stereo or posed.confidence is None:
            error = cached_prior_error(job.work, job.settings, depth)
        stereo = match_stereo(job, decoded, posed, depth, error) if job.settings.stereo else None
        if posed.confidence is None and not isinstance(stereo, StereoTask):
            posed = rate_without_stereo(job, decoded.images, depth, posed, error)
    with measure('write'):
        return write_posed(job, decoded, posed, stereo, output)


def _pose(
    job: JobContext,
    decoded: DecodedFrames,
    prior: PriorDepth,
    depth: DepthSequence,
    graph: PairGraph | None,
) -> AlignedSequence:
    """Return poses and depth: of the alignment of the pairs of a graph, or reconstructed."""
    if graph is None:
        return reconstruct_frames(job, decoded.images, depth)
    posed = align_frames(job, decoded.images, prior, depth, graph)
    return replace(posed, notes=(*posed.notes, *shot_cut_notes(decoded.images)))


def _plan(
    job: JobContext, decoded: DecodedFrames, graph: PairGraph | None, aligns: bool
) -> JobPlan:
    images, settings = decoded.images, job.settings
    return JobPlan(
        len(images),
        images.size,
        size_within(images.size, settings.max_pixels),
        float(images.stamps_ns[-1] - images.stamps_ns[0]) / NANOSECONDS,
        settings.method,
        settings.prior,
        graph,
        aligns,
        settings.stereo,
        job.processes,
        images.full_size is not None,
        stored_bytes(settings),
        bag_bytes(job.bag.path) if settings.copy_topics else 0,
    )


def _announce_plan(job: JobContext, plan: JobPlan, decoded: DecodedFrames) -> None:
    """Log the plan and the notes so far, and set the expected time of the stages."""
    job.meter.set_stages(plan.stages())
    job.meter.mark_done(READ_STAGE)
    notes = [*decoded.notes]
    free_mb = shutil.disk_usage(job.work.folder).free / 1e6
    if free_mb < plan.disk_mb:
        notes.append(
            f'{job.work.folder.parent} has {free_mb:.0f} MB free, less than the plan needs: give '
            'an output on another disk, or refine fewer frames'
        )
    for line in (str(plan), *(f'note: {note}' for note in notes)):
        job.log(line)
