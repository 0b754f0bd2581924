# SPDX-License-Identifier: Apache-2.0
"""Depth maps of a monocular prior for every frame, kept on disk."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from videodepth_ros.core.arrays import Float32Array, MaskArray
from videodepth_ros.core.workspace import DiskArray
from videodepth_ros.frames import Frame, ScaleSource
from videodepth_ros.models.mono import MonoEstimate, MonoPrior, PriorKind
from videodepth_ros.refine.image_sequence import Size
from videodepth_ros.refine.options import PRIOR, PriorOptions
from videodepth_ros.stream.upsample import find_discontinuities, resize_nearest, upsample

KINDS, SOURCES = tuple(PriorKind), tuple(ScaleSource)
NO_SOURCE = -1


@dataclass(frozen=True)
class DepthSequence:
    """Depth (N, h, w) float32, Z; NaN unknown, +inf nothing hit.

    scale_source  where the metres come from; None: each frame or shot has a unit of its own
    """

    array: DiskArray
    scale_source: ScaleSource | None


@dataclass(frozen=True)
class PriorDepth:
    """The estimates of a prior, one for each frame.

    values    (N, h, w) float32 of `PriorKind`; NaN unknown
    metadata  (N, 3) float64: index in KINDS; index in SOURCES, or NO_SOURCE; focal length at
              width w [pixels], or NaN
    """

    values: DiskArray
    metadata: DiskArray

    @classmethod
    def at(cls, path: Path, size: Size) -> PriorDepth:
        """Return the estimates of ``size`` that are, or will be, at a path without suffix."""
        return cls(
            DiskArray(path.with_suffix('.values'), (size[1], size[0]), 'float32'),
            DiskArray(path.with_suffix('.metadata'), (3,), 'float64'),
        )

    @property
    def key(self) -> str:
        """Digest of what the estimates were made from."""
        return self.values.path.stem.rpartition('-')[2]

    def exists(self) -> bool:
        """Return whether all estimates are on disk."""
        return self.values.exists() and self.metadata.exists()

    @property
    def kind(self) -> PriorKind:
        """Meaning of the values."""
        return KINDS[int(self.metadata.open()[0, 0])]

    @property
    def focal_px(self) -> float | None:
        """Median focal length at the width of the values; None where the prior has none."""
        known = self.metadata.open()[:, 2]
        known = known[np.isfinite(known)]
        return float(np.median(known)) if known.size else None

    @property
    def scale_source(self) -> ScaleSource | None:
        """Where the metres come from; None where there are none."""
        number = int(self.metadata.open()[0, 1])
        return None if number == NO_SOURCE else SOURCES[number]

    def to_depth(self, path: Path) -> DepthSequence:
        """Convert the values to depth, Z, with one focal length for all frames.

        path  where depth is written; values that are such depth already are returned themselves

        Relative inverse depth is inverted without its unknown shift, and each frame gets its
        median depth as the unit.
        """
        focal_px = self.metadata.open()[:, 2]
        is_constant = np.isnan(focal_px).all() or np.ptp(focal_px) <= 1e-6 * np.median(focal_px)
        if self.kind is PriorKind.METRIC and is_constant:
            return DepthSequence(self.values, self.scale_source)
        depth = DiskArray(path, self.values.record_shape, 'float32')
        if not depth.exists():
            with depth.writer() as out:
                for value, focal in zip(self.values.open(), focal_px, strict=True):
                    out.append(
                        value * np.float32((self.focal_px or 1.0) / focal)
                        if self.kind is PriorKind.METRIC
                        else _invert(value)
                    )
        return DepthSequence(depth, self.scale_source)


def estimate_prior_depth(
    frames: Iterable[Frame],
    prior: MonoPrior,
    into: PriorDepth,
    on_step: Callable[[], None],
    *,
    resume: bool,
    is_blank: MaskArray | None = None,
) -> None:
    """Run a prior on every frame and write its estimates.

    on_step  called after each frame
    resume   continue after the last frame of a killed job; not for a prior with a recurrent state
    is_blank  (N,) bool, frames whose estimates are unknown, whatever the prior finds; None: none
    raises   what the prior raises
    """
    height, width = into.values.record_shape
    with ExitStack() as files:
        metadata = files.enter_context(into.metadata.writer(resume=resume))
        values = files.enter_context(into.values.writer(resume=resume))
        done = min(values.count, metadata.count)
        for file in (values, metadata):
            file.truncate(done)
        for estimate in prior.estimate(islice(frames, done, None)):
            focal_px = (estimate.focal_px or np.nan) * width / estimate.values.shape[1]
            found = resize_estimate(estimate, width, height)
            if is_blank is not None and is_blank[values.count]:
                found = np.full_like(found, np.nan)
            values.append(found)
            source = estimate.scale_source
            number = NO_SOURCE if source is None else SOURCES.index(source)
            metadata.append(np.array([KINDS.index(estimate.kind), number, focal_px]))
            on_step()


def resize_estimate(
    estimate: MonoEstimate, width: int, height: int, options: PriorOptions = PRIOR
) -> Float32Array:
    """Resize the values of an estimate to (height, width) without averaging two surfaces."""
    values = estimate.values
    if np.isnan(values).any() or values.shape[0] > height:
        return np.asarray(resize_nearest(values, width, height), np.float32)
    if estimate.kind is not PriorKind.METRIC:
        return resize_relative(values, width, height)
    with np.errstate(divide='ignore'):  # 1 / 0 is +inf: nothing hit
        inverse = np.divide(1, values, dtype=np.float32)
        jumps = find_discontinuities(inverse, options.edge_ratio)
        return np.divide(1, upsample(inverse, jumps, width, height), dtype=np.float32)


def resize_relative(inverse_depth: Float32Array, width: int, height: int) -> Float32Array:
    """Resize relative inverse depth (h, w) to (height, width).

    Bilinear: without its shift the ratio of two depths, and so a discontinuity, is undefined.
    """
    if inverse_depth.shape[0] > height or np.isnan(inverse_depth).any():
        return np.asarray(resize_nearest(inverse_depth, width, height), np.float32)
    return np.asarray(cv2.resize(inverse_depth, (width, height)), np.float32)


def _invert(inverse_depth: Float32Array) -> Float32Array:
    """Return depth (h, w) of relative inverse depth, with its median as the unit."""
    median = np.nanmedian(inverse_depth)
    with np.errstate(divide='ignore'):
        return np.asarray(np.where(inverse_depth < 0, np.nan, median / inverse_depth), np.float32)


def evict_cache(folder: Path, options: PriorOptions = PRIOR) -> None:
    """Remove the least recently used files of a folder until it fits into the cache size.

    Files used within ``min_idle_s`` stay, whatever their size: another job may read them.
    """
    found = [
        (max(status.st_atime, status.st_mtime), status.st_size, file)
        for file in folder.glob('*')
        if file.is_file() and (status := file.stat())
    ]
    total, now_s = 0, time.time()
    for used_s, size, file in sorted(found, reverse=True):
        total += size
        if total > options.max_cache_bytes and now_s - used_s > options.min_idle_s:
            file.unlink(missing_ok=True)
