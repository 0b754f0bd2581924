# SPDX-License-Identifier: Apache-2.0
"""Depth of a recording that agrees with itself, without pairs: co-alignment and diffusion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from videodepth_ros.coalign.streaming import coalign_stream
from videodepth_ros.core.shot_detection import detect_shots
from videodepth_ros.core.workspace import DiskArray, WorkFolder, atomic_write, digest
from videodepth_ros.frames import ScaleSource
from videodepth_ros.refine.image_sequence import ImageSequence
from videodepth_ros.refine.prior_depth import resize_relative
from videodepth_ros.refine.scale_shift import fit_scale_shift
from videodepth_ros.rollingdepth.settings import RollingSettings, rolling_preset


@dataclass(frozen=True)
class DepthSequence:
    """Depth (N, h, w) float32, Z; NaN unknown, +inf nothing hit. None as source: no metres."""

    array: DiskArray
    scale_source: ScaleSource | None


def coalign_depth(
    recording: ImageSequence,
    prior: DepthSequence,
    work: WorkFolder,
    advanced: Callable[[float], None],
) -> DepthSequence:
    """Return the depth of a prior with its frames in agreement, in the prior's unit.

    advanced  is told the share that is done
    """
    depth = DiskArray(work.path('coaligned', digest(prior)), prior.array.record_shape, 'float32')
    if not depth.exists():
        before, (height, width) = prior.array.open(), depth.record_shape
        found = coalign_stream(
            recording.images.open(), before, recording.camera_at(width, height), advanced
        )
        with depth.writer() as growth:
            for frame, one in enumerate(before):
                growth.append(found.apply(frame, one))
    return DepthSequence(depth, prior.scale_source)


def run_rollingdepth(
    recording: ImageSequence,
    prior: DepthSequence,
    preset: str,
    work: WorkFolder,
    announce: Callable[[str], None],
    advanced: Callable[[float], None],
) -> DepthSequence:
    """Return the depth that RollingDepth gives, shot by shot, with the scale of a prior.

    preset    a name of `rolling_settings.PRESETS`
    announce  hears what is due to the licence of the weights
    advanced  is told the share that is done
    raises    ModelError where there are no weights; ConfigError, DeviceError as they cannot run
    """
    key = digest(recording.key, preset, prior.array.record_shape)
    relative = DiskArray(work.path('relative', key), prior.array.record_shape, 'float32')
    if not relative.exists():
        _roll(recording, preset, work, key, relative, announce, advanced)
    depth = DiskArray(work.path('rolled', digest(key, prior)), prior.array.record_shape, 'float32')
    metric = work.path('metric', digest(key, prior))
    if not (depth.exists() and metric.exists()):
        with atomic_write(metric) as part:
            part.write_text(repr(_anchored(recording, relative, prior, depth)))
    return DepthSequence(depth, prior.scale_source if metric.read_text() == 'True' else None)


def _roll(
    recording: ImageSequence,
    preset: str,
    work: WorkFolder,
    key: str,
    into: DiskArray,
    announce: Callable[[str], None],
    advanced: Callable[[float], None],
) -> None:
    """Compute relative inverse depth (N, h, w); larger is nearer."""
    from videodepth_ros.models.rollingdepth import open_rollingdepth  # needs diffusers
    from videodepth_ros.rollingdepth.inference import rolling_recording  # and torch

    chosen = rolling_preset(preset)
    network = open_rollingdepth(precision='fp32' if chosen.precision == 'fp32' else 'auto')
    if network.notice:
        announce(network.notice)
    height, width = into.record_shape
    with into.writer() as growth:
        images, folder = list(recording.images.open()), work.path('rolling', key)
        for one in rolling_recording(images, network, folder, RollingSettings(chosen), advanced):
            growth.append(resize_relative(one, width, height))


def _anchored(
    recording: ImageSequence, relative: DiskArray, prior: DepthSequence, into: DiskArray
) -> bool:
    """Write depth (N, h, w) with the scale and shift of each shot; tell if all are metric."""
    every, known = relative.open(), prior.array.open()
    if prior.scale_source is None:
        known = np.full((len(every), 1, 1), np.nan, np.float32)
    metric = True
    with into.writer() as growth:
        for shot in detect_shots(list(recording.images.open())):
            anchor = fit_scale_shift(
                *(list(one[shot.start : shot.stop]) for one in (every, known))
            )
            metric = metric and anchor.metric
            for frame in shot:
                growth.append(anchor.depth(every[frame]))
    return metric
