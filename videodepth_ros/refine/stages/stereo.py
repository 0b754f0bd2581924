# SPDX-License-Identifier: Apache-2.0
"""Stage 5: multi-view stereo on the estimated poses; the aligned depth is its prior."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from videodepth_ros.core.arrays import Float32Array, IndexArray, UInt8Array
from videodepth_ros.core.workspace import DiskArray, digest
from videodepth_ros.mvs.depth import StereoDepth, plan_stereo, without_stereo
from videodepth_ros.mvs.options import MEASURED_PRIOR, StereoOptions
from videodepth_ros.mvs.parallel import StereoTask, finish_frames, match_frames, rate_frames
from videodepth_ros.mvs.views import Outline, View, make_view, outline
from videodepth_ros.refine.aligned_sequence import AlignedSequence, limit_range
from videodepth_ros.refine.context import JobContext
from videodepth_ros.refine.image_sequence import ImageSequence
from videodepth_ros.refine.metric_scale import log_depth_ratio
from videodepth_ros.refine.options import DISTRUST, DistrustOptions
from videodepth_ros.refine.plan import STEREO_STAGE
from videodepth_ros.refine.prior_depth import DepthSequence
from videodepth_ros.refine.prior_error import error_of
from videodepth_ros.refine.stages.read import DecodedFrames, full_size_frames
from videodepth_ros.results.frame import RefinedFrame
from videodepth_ros.results.upsampling import upsample_maps
from videodepth_ros.sfm.odometry import name_frames

APART_M = 1e7
"""Distance between sub-maps while neighbours are chosen: beyond all overlap."""


@dataclass(frozen=True)
class StereoFrames:
    """A `FrameSource` of the aligned recording; picklable, files are opened where it is used.

    known  frames of the recording that have depth; those without have no view
    prior  depth of the recording before alignment; times `prior_scale` it is in metres
    prior_error  its expected relative error, by `cached_prior_error`
    prior_only  whether no frame is as aligned, if the views do not agree on it
    """

    images: ImageSequence
    aligned: AlignedSequence
    known: tuple[int, ...]
    options: StereoOptions
    prior: DiskArray
    prior_scale: float
    prior_error: DiskArray | None = None
    prior_only: bool = False

    def view(self, index: int) -> View:
        """Return a frame with depth at the working size of stereo."""
        index = self.known[index]
        aligned, rgb = self.aligned, self.images.images.record(index)
        camera = aligned.camera_of(index).scaled_to(rgb.shape[1], rgb.shape[0])
        prior_m = np.asarray(aligned.depth.open()[index] * np.float32(aligned.scale.metres))
        T_map_cam = aligned.metric_T_world_cam[index]
        view = make_view(rgb, camera, T_map_cam, prior_m, self.options)
        view = replace(view, prior_error=error_of(self.prior_error, index, view.grey.shape))
        before_m = np.asarray(self.prior.open()[index] * np.float32(self.prior_scale))
        if not (self.prior_only or contradicts(before_m, prior_m)):
            return view
        before = make_view(rgb, camera, T_map_cam, before_m, self.options)
        return replace(view, fallback_per_m=before.prior_per_m)

    def image(self, index: int) -> UInt8Array:
        """Return the image of a frame, at the camera's size if that is kept."""
        return (self.images.full_size or self.images.images).record(self.known[index])


@dataclass(frozen=True)
class _OpenFrames:
    """Opens the frames in each process."""

    frames: StereoFrames

    def __call__(self) -> StereoFrames:
        return self.frames


def contradicts(
    prior_m: Float32Array, aligned_m: Float32Array, options: DistrustOptions = DISTRUST
) -> bool:
    """Return whether a frame's alignment bends its prior, (h, w) both, beyond what a prior errs.

    Then it is rather the motion that is wrong.
    """
    with np.errstate(invalid='ignore', divide='ignore'):
        step = options.pixel_stride
        log_ratio = np.log(prior_m[::step, ::step] / aligned_m[::step, ::step])
    log_ratio = log_ratio[np.isfinite(log_ratio)]
    return bool(log_ratio.size and np.sqrt(np.mean(log_ratio**2)) > options.max_bend)


def _prior_scale(prior: Float32Array, aligned: AlignedSequence) -> float:
    """Return the median over all frames of aligned depth in metres over prior depth."""
    ratios = [log_depth_ratio(*one) for one in zip(prior, aligned.depth.open(), strict=True)]
    return aligned.scale.metres * float(np.exp(-np.nanmedian(ratios)))


def match_stereo(
    job: JobContext,
    decoded: DecodedFrames,
    aligned: AlignedSequence,
    prior: DepthSequence,
    prior_error: DiskArray | None = None,
) -> StereoTask | str:
    """Match the frames of an aligned recording.

    prior    its depth before alignment; prior_error: of `cached_prior_error`
    returns  the task whose frames `finish_frames` yields, or why stereo is left out
    """
    measured = job.settings.prior == 'bag' and aligned.scale.is_metric
    options = MEASURED_PRIOR if measured else StereoOptions()
    known = np.flatnonzero([has_depth(one) for one in aligned.depth.open()])
    if not len(known):
        return 'no frame has depth'
    scale = _prior_scale(prior.array.open(), aligned)
    known_frames = tuple(known.tolist())
    frames = StereoFrames(
        decoded.images, aligned, known_frames, options, prior.array, scale, prior_error
    )
    outlines = _apart(
        [outline(frames.view(index)) for index in range(len(known))], aligned.submap[known]
    )
    plan = plan_stereo(outlines, decoded.images.stamps_ns[known], options)
    if plan.reason:
        return plan.reason
    key = digest(decoded.images.key, aligned.depth, aligned.scale, options)
    task = StereoTask(_OpenFrames(frames), plan, _match_files(job, key, len(known)), options)
    match_frames(task, job.processes, job.on_step(STEREO_STAGE))
    if reason := _distrust(task, aligned.submap[known], job.processes):
        opened = _OpenFrames(replace(frames, prior_only=True))
        return replace(task, open_frames=opened, plan=without_stereo(plan, reason))
    return task


def _distrust(task: StereoTask, submap: IndexArray, processes: int) -> str:
    """Return `distrust_reason` of the frames that are matched and in a sub-map, (N,)."""
    judged = [k for k, chosen in enumerate(task.plan.neighbours) if chosen and submap[k] >= 0]
    judged = judged[:: max(1, len(judged) // DISTRUST.rated_frames)]
    return distrust_reason(rate_frames(task, judged, processes))


def distrust_reason(trust: Sequence[float], options: DistrustOptions = DISTRUST) -> str:
    """Return why stereo of a recording is not to be trusted as a whole; empty if it is.

    trust  in stereo of some of its frames, 0 to 1
    """
    trusted = sum(one >= options.min_trust for one in trust)
    if trusted >= options.min_trusted_share * len(trust):
        return ''
    return (
        f'the views agree on depth in {trusted} of {len(trust)} compared frames only: the poses '
        'are wrong; depth of all frames is that of the prior at one scale. Record at a higher '
        'rate, or move slower'
    )


def has_depth(depth: Float32Array) -> bool:
    """Return whether any pixel of a frame (h, w) has depth."""
    return bool(np.isfinite(depth).any())


def _apart(outlines: list[Outline], submap: IndexArray) -> list[Outline]:
    """Return the outlines with the sub-maps (N,) out of each other's sight.

    Their relative poses are unknown: no view of one may be matched with one of another, and a
    frame in which the camera was lost with none.
    """
    alone = -1 - np.arange(len(submap))
    apart = []
    for one, number in zip(outlines, np.where(submap < 0, alone, submap).tolist(), strict=True):
        T_map_cam = one.T_map_cam.copy()
        T_map_cam[0, 3] += APART_M * number
        apart.append(replace(one, T_map_cam=T_map_cam))
    return apart


def _match_files(job: JobContext, key: str, count: int) -> tuple[Path, ...]:
    return tuple(job.work.path(f'matched{n:05d}', key).with_suffix('.npz') for n in range(count))


def distrust_notes(distrusted: Sequence[int], reason: str = '') -> tuple[str, ...]:
    """Return a note on the frames that `stereo_frames` has kept the prior of.

    reason  why it has kept it of all, `Plan.reason`
    """
    if reason:
        return (reason,)
    if not distrusted:
        return ()
    return (
        f'the views do not agree on depth at {name_frames(np.array(distrusted))}: the poses are '
        'wrong there, or too few views overlap; depth is that of the prior',
    )


def stereo_frames(
    job: JobContext,
    decoded: DecodedFrames,
    aligned: AlignedSequence,
    task: StereoTask,
    distrusted: list[int],
) -> Iterator[RefinedFrame]:
    """Yield every frame with its stereo depth at the camera's size.

    confidence  1 - expected relative error
    distrusted  takes the indices of frames whose depth is rather that of the prior
    """
    finished = finish_frames(task, job.processes)
    pairs = zip(full_size_frames(job, decoded), aligned.metric_frames(), strict=True)
    for index, (frame, small) in enumerate(pairs):
        seen = has_depth(small.depth_m)
        found = next(finished) if seen else StereoDepth.unknown(frame.image.shape[:2])
        if found.trust < DISTRUST.min_trust:
            distrusted.append(index)
        depth_m = limit_range(found.depth_m, job.settings.max_range_m)
        maps = upsample_maps(depth_m, 1 - found.relative_error, found.moving, frame.image)
        yield RefinedFrame(
            frame.stamp_ns,
            frame.frame_id,
            maps.depth_m,
            maps.confidence,
            maps.moving,
            small.camera.scaled_to(*frame.size),
            small.T_world_cam,
            frame.image,
            small.in_map,
            limit_range(small.depth_m, job.settings.max_range_m),
        )
