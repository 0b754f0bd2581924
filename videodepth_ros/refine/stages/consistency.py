# SPDX-License-Identifier: Apache-2.0
"""Stage 3: make the prior's frames consistent without poses, by co-alignment or RollingDepth."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from videodepth_ros.coalign.streaming import coalign_stream
from videodepth_ros.core.shot_detection import detect_shots
from videodepth_ros.core.workspace import DiskArray, WorkFolder, atomic_write, digest
from videodepth_ros.refine.context import JobContext
from videodepth_ros.refine.image_sequence import ImageSequence
from videodepth_ros.refine.plan import CONSISTENCY_STAGE
from videodepth_ros.refine.prior_depth import DepthSequence, PriorDepth, resize_relative
from videodepth_ros.refine.scale_shift import fit_scale_shift
from videodepth_ros.refine.settings import Method
from videodepth_ros.rollingdepth.settings import RollingSettings, rolling_preset


def make_consistent(job: JobContext, images: ImageSequence, prior: PriorDepth) -> DepthSequence:
    """Return the depth of the chosen method; that of the prior where pairs are aligned."""
    depth = prior.to_depth(job.work.path('depth', prior.key))
    method = job.settings.method
    if method is Method.ALIGN3R:
        return depth
    on_progress = job.meter.fraction_callback(CONSISTENCY_STAGE)
    if method is Method.COALIGN:
        depth = coalign_depth(images, depth, job.work, on_progress)
    else:
        preset = job.settings.preset
        depth = run_rollingdepth(images, depth, preset, job.work, job.log, on_progress)
    job.meter.mark_done(CONSISTENCY_STAGE)
    return depth


def coalign_depth(
    images: ImageSequence,
    prior: DepthSequence,
    work: WorkFolder,
    on_progress: Callable[[float], None],
) -> DepthSequence:
    """Co-align the frames of a prior (RollingDepth, arXiv 2411.19189, section 3.3).

    returns  depth in the unit of the prior
    """
    depth = DiskArray(work.path('coaligned', digest(prior)), prior.array.record_shape, 'float32')
    if not depth.exists():
        before, (height, width) = prior.array.open(), depth.record_shape
        found = coalign_stream(
            images.images.open(),
            before,
            images.camera_at(width, height),
            on_progress,
            zoom=images.zoom,
        )
        with depth.writer() as out:
            for index, frame in enumerate(before):
                out.append(found.apply(index, frame))
    return DepthSequence(depth, prior.scale_source)


def run_rollingdepth(
    images: ImageSequence,
    prior: DepthSequence,
    preset: str,
    work: WorkFolder,
    log: Callable[[str], None],
    on_progress: Callable[[float], None],
) -> DepthSequence:
    """Run RollingDepth and fit scale and shift of each shot to the depth of a prior.

    preset  a name of `rolling_settings.PRESETS`
    log     takes the notice that the licence of the weights asks for
    raises  ModelError where there are no weights; ConfigError, DeviceError as they cannot run
    """
    key = digest(images.key, preset, prior.array.record_shape)
    relative = DiskArray(work.path('relative', key), prior.array.record_shape, 'float32')
    if not relative.exists():
        _infer_relative(images, preset, work, key, relative, log, on_progress)
    depth = DiskArray(work.path('rolled', digest(key, prior)), prior.array.record_shape, 'float32')
    is_metric = work.path('metric', digest(key, prior))
    if not (depth.exists() and is_metric.exists()):
        with atomic_write(is_metric) as part:
            part.write_text(repr(_fit_shots(images, relative, prior, depth)))
    return DepthSequence(depth, prior.scale_source if is_metric.read_text() == 'True' else None)


def _infer_relative(
    images: ImageSequence,
    preset: str,
    work: WorkFolder,
    key: str,
    into: DiskArray,
    log: Callable[[str], None],
    on_progress: Callable[[float], None],
) -> None:
    """Write relative inverse depth (N, h, w); larger is nearer."""
    from videodepth_ros.models.rollingdepth import open_rollingdepth  # needs diffusers
    from videodepth_ros.rollingdepth.inference import rolling_recording  # and torch

    chosen = rolling_preset(preset)
    network = open_rollingdepth(precision='fp32' if chosen.precision == 'fp32' else 'auto')
    if network.notice:
        log(network.notice)
    height, width = into.record_shape
    with into.writer() as out:
        rgb, folder = list(images.images.open()), work.path('rolling', key)
        for frame in rolling_recording(rgb, network, folder, RollingSettings(chosen), on_progress):
            out.append(resize_relative(frame, width, height))


def _fit_shots(
    images: ImageSequence, relative: DiskArray, prior: DepthSequence, into: DiskArray
) -> bool:
    """Write depth (N, h, w) with the scale and shift of each shot; return if all are metric."""
    relative_depth, known_m = relative.open(), prior.array.open()
    if prior.scale_source is None:
        known_m = np.full((len(relative_depth), 1, 1), np.nan, np.float32)
    is_metric = True
    with into.writer() as out:
        for shot in detect_shots(list(images.images.open())):
            frames = slice(shot.start, shot.stop)
            fitted = fit_scale_shift(list(relative_depth[frames]), list(known_m[frames]))
            is_metric = is_metric and fitted.is_metric
            for index in shot:
                out.append(fitted.depth(relative_depth[index]))
    return is_metric
