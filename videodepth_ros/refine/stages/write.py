# SPDX-License-Identifier: Apache-2.0
"""Stage 6: upsample depth to the camera's size, and write bag, trajectory, cloud and report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from videodepth_ros.core.arrays import Float32Array, UInt8Array
from videodepth_ros.core.options import options_of, to_values
from videodepth_ros.core.version import version
from videodepth_ros.core.workspace import DiskArray
from videodepth_ros.frames import Frame
from videodepth_ros.geometry.camera import Intrinsics
from videodepth_ros.geometry.trajectory import Trajectory
from videodepth_ros.mvs.parallel import StereoTask
from videodepth_ros.pictures import colour_range, colourise, resized
from videodepth_ros.refine.aligned_sequence import AlignedFrame, AlignedSequence, limit_range
from videodepth_ros.refine.context import JobContext
from videodepth_ros.refine.facts import RefineFacts
from videodepth_ros.refine.metric_scale import MetricScale, metric_scale_source
from videodepth_ros.refine.options import PREVIEW, STEREO_CLOUD
from videodepth_ros.refine.plan import WRITE_STAGE
from videodepth_ros.refine.prior_depth import DepthSequence
from videodepth_ros.refine.prior_error import cached_prior_error, error_of
from videodepth_ros.refine.settings import DEFAULTS, RefineSettings
from videodepth_ros.refine.stages.align import needs_alignment
from videodepth_ros.refine.stages.read import DecodedFrames, full_size_frames
from videodepth_ros.refine.stages.stereo import distrust_notes, stereo_frames
from videodepth_ros.results.bag import BagContents, SourceRecording
from videodepth_ros.results.depth_only import write_depth_results
from videodepth_ros.results.depth_topics import PointOptions
from videodepth_ros.results.frame import RefinedFrame
from videodepth_ros.results.options import CloudOptions
from videodepth_ros.results.upsampling import upsample_maps
from videodepth_ros.results.write import ResultFacts, ResultOptions, write_results
from videodepth_ros.sfm.odometry import runs_of
from videodepth_ros.sfm.pieces import Pieces
from videodepth_ros.sfm.sparse import default_camera
from videodepth_ros.stream.confidence import confidence_map


def write_posed(
    job: JobContext,
    decoded: DecodedFrames,
    aligned: AlignedSequence,
    stereo: StereoTask | str | None,
    output: Path,
) -> RefineFacts:
    """Write depth and poses of a recording to a new folder.

    stereo  its stereo depth, or why there is none; None: not chosen
    """
    # intrinsics are those of the alignment, which may have estimated them
    images = (replace(frame, camera=None) for frame in full_size_frames(job, decoded))
    frames = _refined_frames(job, images, aligned.metric_frames())
    cloud, points = _cloud_options(job, isinstance(stereo, StereoTask))
    scene_points_m, distrusted, distrust = None, list[int](), ''
    if isinstance(stereo, StereoTask):
        scene_points_m, distrust = aligned.scene_points_m(), stereo.plan.reason
        frames = _reported(job, stereo_frames(job, decoded, aligned, stereo, distrusted))
    if isinstance(stereo, str):
        aligned = replace(aligned, notes=(*aligned.notes, f'no stereo: {stereo}'))
    written = write_results(
        frames,
        Trajectory(decoded.images.stamps_ns, aligned.metric_T_world_cam),
        SourceRecording(job.bag, job.topics.image.name),
        output,
        replace(
            _result_options(job, decoded, aligned.scale, aligned.notes, points),
            cloud=cloud,
            scene_points_m=scene_points_m,
            sigmas=aligned.step_sigmas,
            late_notes=lambda: distrust_notes(distrusted, distrust),
        ),
    )
    facts = _posed_facts(job, decoded, aligned, written)
    return replace(facts, prior_frames=tuple(runs_of(np.array(distrusted, np.intp))))


def _posed_facts(
    job: JobContext, decoded: DecodedFrames, aligned: AlignedSequence, written: ResultFacts
) -> RefineFacts:
    facts = _facts(job, decoded, aligned.scale, written.notes, written.outputs)
    pieces, size = aligned.pieces or Pieces.whole(len(aligned)), decoded.images.size
    focal_px, sigma = aligned.camera_of(0).scaled_to(*size).fx, aligned.log_focal_sigma
    return replace(
        facts,
        path_length_m=written.path_length_m,
        up_from=written.gravity_source,
        pieces=tuple((a, b, int(pieces.submap[a])) for a, b in pieces.spans),
        focal_px=focal_px if sigma else None,
        focal_sigma_px=sigma * focal_px if sigma else None,
        lens=job.lens.scaled_to(*size).facts if job.lens else (),
        readout_s=aligned.readout_s,
    )


def write_unposed(
    job: JobContext, decoded: DecodedFrames, depth: DepthSequence, output: Path
) -> RefineFacts:
    """Write depth without poses to a new folder."""
    scale = MetricScale(1.0, metric_scale_source(depth.scale_source))
    height, width = depth.array.record_shape
    camera = decoded.images.camera_at(width, height) or default_camera(width, height)
    error = cached_prior_error(job.work, job.settings, depth)
    written = write_depth_results(
        _refined_frames(
            job, full_size_frames(job, decoded), unposed_frames(depth.array.open(), camera, error)
        ),
        decoded.images.stamps_ns,
        SourceRecording(job.bag, job.topics.image.name),
        output,
        _result_options(job, decoded, scale, (), _cloud_options(job, False)[1]),
    )
    return _facts(job, decoded, scale, written.notes, written.outputs)


def unposed_frames(
    depth_m: Float32Array, camera: Intrinsics, prior_error: DiskArray | None = None
) -> Iterator[AlignedFrame]:
    """Yield every frame of depths (N, h, w), with the expected error of their prior."""
    for index, frame_m in enumerate(depth_m):
        confidence = confidence_map(error_of(prior_error, index, frame_m.shape), frame_m)
        yield AlignedFrame(np.asarray(frame_m), confidence, None, camera, np.eye(4))


def upsample_frames(
    frames: Iterable[Frame], aligned: Iterable[AlignedFrame], max_range_m: float
) -> Iterator[RefinedFrame]:
    """Upsample every frame to the camera's size, guided by its image.

    frames       at the camera's size, as many as ``aligned``
    max_range_m  depth beyond it is +inf, nothing hit; 0: no limit
    """
    for frame, small in zip(frames, aligned, strict=True):
        depth_m = limit_range(small.depth_m, max_range_m)
        maps = upsample_maps(depth_m, small.confidence, small.moving, frame.image)
        yield RefinedFrame(
            frame.stamp_ns,
            frame.frame_id,
            maps.depth_m,
            maps.confidence,
            maps.moving,
            frame.camera or small.camera.scaled_to(*frame.size),
            small.T_world_cam,
            frame.image,
            small.in_map,
        )


def preview_image(
    image: UInt8Array, depth_m: Float32Array, height_px: int = PREVIEW.height_px
) -> UInt8Array:
    """Return an image (H, W, 3) and its depth (H, W) side by side, ``height_px`` high."""
    height, width = depth_m.shape
    size = max(1, round(height_px * width / height)), height_px
    depth_m = np.asarray(cv2.resize(depth_m, size, interpolation=cv2.INTER_NEAREST), np.float32)
    return np.hstack([resized(image, *size), colourise(depth_m, colour_range([depth_m]))])


def _refined_frames(
    job: JobContext, frames: Iterable[Frame], aligned: Iterable[AlignedFrame]
) -> Iterator[RefinedFrame]:
    """Yield the frames to write, without stereo."""
    return _reported(job, upsample_frames(frames, aligned, job.settings.max_range_m))


def _reported(job: JobContext, frames: Iterable[RefinedFrame]) -> Iterator[RefinedFrame]:
    """Yield every frame, and report it when it is written."""
    for frame in frames:
        yield frame
        job.meter.advance(WRITE_STAGE, preview_image(frame.image, frame.depth_m))


def _result_options(
    job: JobContext,
    decoded: DecodedFrames,
    scale: MetricScale,
    notes: tuple[str, ...],
    points: PointOptions,
) -> ResultOptions:
    settings = job.settings
    return ResultOptions(
        contents=BagContents(settings, points, ('*',) if settings.copy_topics else ()),
        occupancy=settings.occupancy,
        is_metric=scale.is_metric,
        scale_source=scale.source.value,
        facts=(('version', version()), ('command', _command(job))),
        notes=(*decoded.notes, *notes),
    )


def _command(job: JobContext) -> str:
    """Return the command line of the job, with the flags that are not defaults."""
    flags = []
    values, defaults = to_values(job.settings), to_values(DEFAULTS)
    for option in options_of(RefineSettings):
        value = values[option.name]
        if value != defaults[option.name]:
            flag = option.flags[0]
            if option.type is bool:
                flags.append(flag if value else flag.replace('--', '--no-', 1))
            else:
                flags.append(f'{flag} {value}')
    return ' '.join(['videodepth refine', job.bag.path.name, 'OUT_BAG', *flags])


def _cloud_options(job: JobContext, has_stereo: bool) -> tuple[CloudOptions, PointOptions]:
    """Return the pixels of cloud.ply, and of the points of each frame."""
    settings = job.settings
    cloud = CloudOptions(voxel_m=settings.voxel_m)
    points = PointOptions(settings.points_stride, settings.points_max_range_m)
    if not needs_alignment(settings):  # pairs of a network have a confidence of their own
        cloud = replace(cloud, min_confidence=STEREO_CLOUD.min_confidence_of_prior)
    if has_stereo:
        cloud = replace(cloud, min_confidence=STEREO_CLOUD.min_confidence)
        points = replace(points, min_confidence=STEREO_CLOUD.min_point_confidence)
    if least := settings.min_confidence:
        cloud = replace(cloud, min_confidence=least)
        points = replace(points, min_confidence=least)
    return cloud, points


def _facts(
    job: JobContext,
    decoded: DecodedFrames,
    scale: MetricScale,
    notes: tuple[str, ...],
    outputs: tuple[str, ...],
) -> RefineFacts:
    settings = job.settings
    read_errors = dict.fromkeys([*decoded.images.read_errors, *job.bag.read_errors])
    return RefineFacts(
        frames=len(decoded.images),
        left_out=decoded.left_out,
        seconds=0.0,
        method=settings.method.value,
        prior=settings.prior,
        pairs=settings.chosen_pairs.value,
        scale_source=scale.source.value,
        path_length_m=None,
        up_from=None,
        lost='; '.join(read_errors) or None,
        notes=notes,
        outputs=outputs,
        duration_s=job.bag.duration_s,
    )
