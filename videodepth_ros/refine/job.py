# SPDX-License-Identifier: Apache-2.0
"""The refinement job: a recording in; refined depth, intrinsics and camera poses out.

    read         select and decode the frames                       stages/read.py
    prior        estimate depth of single frames                    stages/prior.py
    consistency  co-align them, or run RollingDepth                 stages/consistency.py
    reconstruct  poses by bundle adjustment, corrected depth        stages/reconstruct.py
    align        or: poses and depth from pairs of frames           stages/align.py
    stereo       multi-view stereo on these poses                   stages/stereo.py
    write        upsample to the camera's size; bag, cloud, report  stages/write.py

Each stage keeps its results in a work folder beside the output. A job that was killed continues
with the first stage that is missing there, and writes the same bytes in the end.
"""

from __future__ import annotations

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
from videodepth_ros.core.workspace import WorkFolder
from videodepth_ros.refine.alignment_inputs import build_recording_graph
from videodepth_ros.refine.context import JobContext
from videodepth_ros.refine.facts import RefineFacts
from videodepth_ros.refine.image_sequence import NANOSECONDS, size_within
from videodepth_ros.refine.plan import READ_STAGE, JobPlan
from videodepth_ros.refine.preflight import check_requirements
from videodepth_ros.refine.settings import DEFAULTS, Pairs, RefineSettings
from videodepth_ros.refine.stages.align import align_frames, needs_alignment, shot_cut_notes
from videodepth_ros.refine.stages.consistency import make_consistent
from videodepth_ros.refine.stages.prior import estimate_prior
from videodepth_ros.refine.stages.read import DecodedFrames, decode_frames
from videodepth_ros.refine.stages.reconstruct import reconstruct_frames
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
    if output_bag.exists():
        raise BagError(
            f'{output_bag} exists and is not overwritten; remove it, or give another name'
        )
    with ExitStack() as stack:
        bag = stack.enter_context(open_bag(input_bag))
        check_requirements(bag, settings)
        work = stack.enter_context(WorkFolder(work_folder(output_bag)))
        topics = find_camera_topics(bag.topics, settings.image_topic, settings.camera_info_topic)
        job = JobContext(bag, topics, settings, work, ProgressMeter(report, cancelled), log)
        facts = _run_stages(job, output_bag)
        work.remove()
    return facts


def work_folder(output_bag: Path) -> Path:
    """Return the folder of the intermediate results of a job."""
    return output_bag.with_name(output_bag.name + '.work')


def _run_stages(job: JobContext, output: Path) -> RefineFacts:
    start_s = time.monotonic()
    decoded = decode_frames(job)
    graph = None
    if job.settings.chosen_pairs is not Pairs.NONE:
        graph = build_recording_graph(decoded.images.images, job.settings.clip)
    aligns = graph is not None and needs_alignment(job.settings)
    _announce_plan(job, decoded, graph, aligns)
    prior = estimate_prior(job, decoded)
    depth = make_consistent(job, decoded.images, prior)
    if graph is None:
        facts = write_unposed(job, decoded, depth, output)
    else:
        if aligns:
            posed = align_frames(job, decoded.images, prior, depth, graph)
            posed = replace(posed, notes=(*posed.notes, *shot_cut_notes(decoded.images)))
        else:
            posed = reconstruct_frames(job, decoded.images, depth)
        stereo = match_stereo(job, decoded, posed) if job.settings.stereo else None
        facts = write_posed(job, decoded, posed, stereo, output)
    return replace(facts, seconds=round(time.monotonic() - start_s, 3))


def _announce_plan(
    job: JobContext, decoded: DecodedFrames, graph: PairGraph | None, aligns: bool
) -> None:
    """Log the plan and the notes so far, and set the expected time of the stages."""
    images, settings = decoded.images, job.settings
    plan = JobPlan(
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
    )
    job.meter.set_stages(plan.stages())
    job.meter.mark_done(READ_STAGE)
    for line in (str(plan), *(f'note: {note}' for note in decoded.notes)):
        job.log(line)
