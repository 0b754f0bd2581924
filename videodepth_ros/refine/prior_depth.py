# SPDX-License-Identifier: Apache-2.0
"""The depth of every frame before anything is aligned: what a prior says, kept on disk.

A frame is estimated once. Networks of seconds a frame keep their estimates in the user's cache,
where the next job on the same recording finds them; a killed job goes on after the last frame.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from videodepth_ros.core.workspace import DiskArray
from videodepth_ros.frames import Frame, ScaleSource
from videodepth_ros.models.mono import MonoEstimate, MonoPrior, PriorKind
from videodepth_ros.refine.image_sequence import Size
from videodepth_ros.stream.upsample import find_discontinuities, resize_nearest, upsample

Array = NDArray[np.float32]

EDGE_RATIO = 1.25
"""As of the live wing: neighbours of a greater ratio of depths are two surfaces."""

MOST_CACHED_BYTES = 4 * 2**30
SHORTEST_IDLE_S = 86400.0
KINDS, SOURCES = tuple(PriorKind), tuple(ScaleSource)


@dataclass(frozen=True)
class PriorDepth:
    """What a prior says of each frame of a recording.

    values  (N, h, w) float32 of `PriorKind`; NaN unknown
    notes   (N, 3) float64: numbers of the kind and of the scale source (-1: no metres), and the
            focal length at width w or NaN
    """

    values: DiskArray
    notes: DiskArray

    @classmethod
    def at(cls, path: Path, size: Size) -> PriorDepth:
        """Return those of ``size`` (width, height) that lie, or will, at a path without suffix."""
        return cls(
            DiskArray(path.with_suffix('.values'), (size[1], size[0]), 'float32'),
            DiskArray(path.with_suffix('.notes'), (3,), 'float64'),
        )

    @property
    def key(self) -> str:
        """A name for what these estimates are."""
        return self.values.path.stem.rpartition('-')[2]

    def exist(self) -> bool:
        """Tell whether all of them are there."""
        return self.values.exists() and self.notes.exists()

    @property
    def kind(self) -> PriorKind:
        """What the values are."""
        return KINDS[int(self.notes.open()[0, 0])]

    @property
    def focal_px(self) -> float | None:
        """Median focal length at the width of the values; None where the prior knows of none."""
        known = self.notes.open()[:, 2]
        known = known[np.isfinite(known)]
        return float(np.median(known)) if known.size else None

    @property
    def scale_source(self) -> ScaleSource | None:
        """Where the metres come from; None where there are none."""
        number = int(self.notes.open()[0, 1])
        return SOURCES[number] if number >= 0 else None

    def depth(self, path: Path) -> DiskArray:
        """Return depths (N, h, w) float32, Z: the values, or else written to ``path``.

        One focal length holds for all frames. Relative inverse depth is taken without its shift,
        and each frame in a unit of its own, its median depth.
        """
        values, focal_px = self.values.open(), self.notes.open()[:, 2]
        steady = np.isnan(focal_px).all() or np.ptp(focal_px) <= 1e-6 * np.median(focal_px)
        if self.kind is PriorKind.METRIC and steady:
            return self.values
        depth = DiskArray(path, self.values.record_shape, 'float32')
        if not depth.exists():
            with depth.writer() as growth:
                for value, focal in zip(values, focal_px, strict=True):
                    growth.append(
                        _relative_depth(value)
                        if self.kind is not PriorKind.METRIC
                        else value * np.float32((self.focal_px or 1.0) / focal)
                    )
        return depth


def estimate_prior_depth(
    frames: Iterable[Frame],
    prior: MonoPrior,
    into: PriorDepth,
    tick: Callable[[], None],
    *,
    resume: bool,
) -> None:
    """Ask a prior for the depth of every frame, and keep what it says.

    resume   leave out the frames that a killed job has done; not for a prior with a memory
    raises  what the prior raises
    """
    height, width = into.values.record_shape
    with ExitStack() as files:
        notes = files.enter_context(into.notes.writer(resume=resume))
        values = files.enter_context(into.values.writer(resume=resume))
        done = min(values.count, notes.count)
        for one in (values, notes):
            one.truncate(done)
        for told in prior.estimate(islice(frames, done, None)):
            focal_px = (told.focal_px or np.nan) * width / told.values.shape[1]
            values.append(resize_estimate(told, width, height))
            source = SOURCES.index(told.scale_source) if told.scale_source else -1
            notes.append(np.array([KINDS.index(told.kind), source, focal_px]))
            tick()


def resize_estimate(told: MonoEstimate, width: int, height: int) -> Array:
    """Return the values of an estimate, (height, width), without a mean of two surfaces."""
    values = told.values
    if np.isnan(values).any() or values.shape[0] > height:
        return np.asarray(resize_nearest(values, width, height), np.float32)
    if told.kind is not PriorKind.METRIC:
        return resize_relative(values, width, height)
    with np.errstate(divide='ignore'):  # 1 / 0 is nothing hit
        inverse = np.divide(1, values, dtype=np.float32)
        return np.divide(
            1,
            upsample(inverse, find_discontinuities(inverse, EDGE_RATIO), width, height),
            dtype=np.float32,
        )


def resize_relative(inverse_depth: Array, width: int, height: int) -> Array:
    """Return relative inverse depth (h, w) at another size, (height, width).

    Where jumps are cannot be told without its shift, so that it is interpolated as it is.
    """
    if inverse_depth.shape[0] > height or np.isnan(inverse_depth).any():
        return np.asarray(resize_nearest(inverse_depth, width, height), np.float32)
    return np.asarray(cv2.resize(inverse_depth, (width, height)), np.float32)


def _relative_depth(inverse_depth: Array) -> Array:
    """Turn relative inverse depth (h, w) into depth, with its median as the unit."""
    middle = np.nanmedian(inverse_depth)
    with np.errstate(divide='ignore'):
        return np.asarray(np.where(inverse_depth < 0, np.nan, middle / inverse_depth), np.float32)


def evict_cache(folder: Path, most_bytes: int = MOST_CACHED_BYTES) -> None:
    """Remove what was used least lately until no more than so many bytes are left.

    What was used within ``SHORTEST_IDLE_S`` stays, whatever it takes: a job may be at work on it.
    """
    found = [
        (max(status.st_atime, status.st_mtime), status.st_size, file)
        for file in folder.glob('*')
        if file.is_file() and (status := file.stat())
    ]
    total, now_s = 0, time.time()
    for used_s, size, file in sorted(found, reverse=True):
        total += size
        if total > most_bytes and now_s - used_s > SHORTEST_IDLE_S:
            file.unlink(missing_ok=True)
