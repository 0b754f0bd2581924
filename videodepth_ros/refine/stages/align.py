# SPDX-License-Identifier: Apache-2.0
"""Stage 4: align keyframes and clips globally, and assemble them into one sequence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from videodepth_ros.alignment.options import HIERARCHY_DEFAULTS
from videodepth_ros.alignment.pair_graph import PairGraph
from videodepth_ros.alignment.parallel import AlignmentFiles, align_parallel, load_clip
from videodepth_ros.core.arrays import Float64Array
from videodepth_ros.core.shot_detection import detect_shots
from videodepth_ros.core.workspace import digest
from videodepth_ros.frames import ScaleSource
from videodepth_ros.geometry.pose import invert_poses
from videodepth_ros.geometry.sim3 import Sim3
from videodepth_ros.refine.aligned_sequence import AlignedSequence, AssembledClips, ClipAssembler
from videodepth_ros.refine.alignment_inputs import AlignmentInputs, PairProviderFactory
from videodepth_ros.refine.context import JobContext
from videodepth_ros.refine.image_sequence import ImageSequence, size_within
from videodepth_ros.refine.lidar import cached_lidar_depth
from videodepth_ros.refine.metric_scale import (
    estimate_metric_scale,
    prior_ratio_notes,
    stationary_camera_notes,
)
from videodepth_ros.refine.odometry import cached_odometry, load_odometry
from videodepth_ros.refine.plan import CLIP_STAGE, KEYFRAME_STAGE
from videodepth_ros.refine.prior_depth import DepthSequence, PriorDepth
from videodepth_ros.refine.settings import Pairs, RefineSettings
from videodepth_ros.sfm.odometry import fit_odometry, odometry_note


def align_frames(
    job: JobContext,
    images: ImageSequence,
    prior: PriorDepth,
    depth: DepthSequence,
    graph: PairGraph,
) -> AlignedSequence:
    """Align the frames of a recording.

    prior  estimates, for the pair provider of Align3R
    depth  consistent depth that the alignment starts from
    graph  pairs of frames, keyframes and clips
    """
    inputs = _prepare_inputs(job, images, prior, depth, graph)
    clips = _align_clips(job, images, inputs, depth)
    scale = estimate_metric_scale(
        clips.T_world_cam,
        clips.log_depth_ratios,
        clips.reference,
        depth.scale_source,
        job.settings.path_length_m,
    )
    aligned = AlignedSequence(
        clips.depth,
        clips.confidence,
        clips.moving,
        clips.intrinsics,
        clips.T_world_cam,
        scale,
        (
            *_odometry_notes(inputs, clips.T_world_cam),
            *_zoom_notes(images),
            *prior_ratio_notes(scale, clips.log_depth_ratios, depth.scale_source),
        ),
    )
    stationary = stationary_camera_notes(aligned.metric_T_world_cam, depth.array.open()[0])
    return replace(aligned, notes=(*aligned.notes, *stationary))


def needs_alignment(settings: RefineSettings) -> bool:
    """Return whether pairs must be aligned globally: those of a network, which may disagree."""
    return settings.chosen_pairs is Pairs.ALIGN3R


def _zoom_notes(images: ImageSequence) -> tuple[str, ...]:
    """Return a note if the intrinsics differ between frames: the alignment has one camera."""
    if not images.is_zooming:
        return ()
    return (
        'the pairs are aligned with one camera, that of the widest view: poses are not reliable '
        'where camera_info changes; leave out --pairs align3r, or refine the parts of constant '
        'zoom with --start-s and --end-s',
    )


def _odometry_notes(inputs: AlignmentInputs, T_world_cam: Float64Array) -> tuple[str, ...]:
    """Return a note on odometry that disagrees with the aligned poses (N, 4, 4)."""
    steps = load_odometry(inputs.odometry) if inputs.odometry else None
    if steps is None:
        return ()
    T_cam_world = Sim3.from_se3(invert_poses(T_world_cam))
    fit = fit_odometry(T_cam_world, np.ones(len(steps), np.bool_), steps)
    return odometry_note(fit.outlier_frames)


def _prepare_inputs(
    job: JobContext,
    images: ImageSequence,
    prior: PriorDepth,
    depth: DepthSequence,
    graph: PairGraph,
) -> AlignmentInputs:
    """Read lidars and odometry."""
    settings, work = job.settings, job.work
    camera = images.camera_at(*size_within(images.size, settings.max_pixels))
    measured = (
        depth.array
        if depth.scale_source is ScaleSource.SENSOR
        else cached_lidar_depth(job.bag, images, camera, work)
    )
    odometry = cached_odometry(job.bag, images, work) if settings.odometry else None
    pairs = PairProviderFactory(images.images, depth.array, prior, camera)
    options = HIERARCHY_DEFAULTS.with_camera(camera)
    return AlignmentInputs(pairs, graph, options, measured, odometry)


def _align_clips(
    job: JobContext, images: ImageSequence, inputs: AlignmentInputs, depth: DepthSequence
) -> AssembledClips:
    """Align keyframes, then clips in parallel, and assemble the clips."""
    key, graph = digest(inputs, images.key), inputs.graph
    height, width = depth.array.record_shape
    assembler = ClipAssembler(job.work.path('aligned', key), (width, height))
    if not assembler.exists():
        files = AlignmentFiles(
            job.work.path('keyframes', key) if len(graph.keyframes) > 1 else None,
            tuple(job.work.path(f'clip{n:05d}', key) for n in range(len(graph.clips))),
        )
        align_parallel(
            inputs, files, job.processes, job.on_step(KEYFRAME_STAGE), job.on_step(CLIP_STAGE)
        )
        assembler.assemble(map(load_clip, files.clips), depth.array.open())
    for stage in (KEYFRAME_STAGE, CLIP_STAGE):
        job.meter.mark_done(stage)
    return assembler.load()


def shot_cut_notes(images: ImageSequence) -> tuple[str, ...]:
    """Return a note on the cuts of a recording: no camera can be tracked across one."""
    starts = [str(shot.start) for shot in detect_shots(list(images.images.open()))[1:]]
    if not starts:
        return ()
    return (
        f'the recording is cut at frame {", ".join(starts)} (from 0): the relative pose of the '
        'cameras before and after is unknown; refine the parts separately with --start-s and '
        '--end-s',
    )
