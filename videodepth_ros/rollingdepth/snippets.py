# SPDX-License-Identifier: Apache-2.0
"""Snippets of a clip: dilated windows, their prediction, and the refinement of their latents.

A snippet is a few frames that the model sees at once. Small dilations give detail, large ones
connect distant frames (RollingDepth, arXiv 2411.19189, sections 3.2 and 3.4). The model is a
function of the caller; this module imports no network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap

from videodepth_ros.coalign.samples import Snippets
from videodepth_ros.core.arrays import Float32Array, IndexArray
from videodepth_ros.core.errors import ConfigError
from videodepth_ros.rollingdepth.settings import (
    DILATIONS,
    REFINEMENT_START_DILATION,
    SNIPPET_LENGTH,
)

Predict = Callable[[IndexArray], Float32Array]
"""Frames (L,) of a snippet to relative depth (L, H, W)."""
Denoise = Callable[[Float32Array, IndexArray, int], Float32Array]
"""Latents (S, L, ...), frames (S, L) and scheduler step to the latents after it, (S, L, ...)."""

REFINEMENT_NOISE_LEVEL = 0.5
"""Share of the noise schedule that the refinement starts from (section 3.4)."""


def snippet_frames(
    frame_count: int, length: int = SNIPPET_LENGTH, dilation: int = 1, stride: int = 1
) -> IndexArray:
    """Return the frames of all windows at one dilation, (S, length), by their first frame.

    A window starts every `stride` frames; where that misses the last frame, one more window ends
    on it. A stride of 1 gives every window that fits.
    raises  ConfigError if no window fits, or a number is below 1
    """
    if min(length, dilation, stride) < 1:
        raise ConfigError(
            f'snippets need a length, dilation and stride of at least 1, not '
            f'{length}, {dilation} and {stride}'
        )
    last = frame_count - 1 - (length - 1) * dilation
    if last < 0:
        raise ConfigError(
            f'a clip of {frame_count} frames holds no snippet of {length} frames '
            f'at dilation {dilation}: lower the dilation to '
            f'{largest_dilation(frame_count, length, dilation)}'
        )
    starts = np.arange(0, last + 1, stride, dtype=np.int64)
    if starts[-1] < last:
        starts = np.append(starts, last)
    return starts[:, None] + dilation * np.arange(length, dtype=np.int64)


def release_dilation_cap(frame_count: int, length: int, dilation: int) -> int:
    """Return the dilation as the release caps it; 0 or less where the release then fails.

    The cap keeps every frame covered, and is one stricter than that requires.
    """
    return min(dilation, frame_count // length - 1)


def largest_dilation(frame_count: int, length: int, dilation: int) -> int:
    """Return the release's cap, but at least 1, so that short clips work."""
    return max(1, release_dilation_cap(frame_count, length, dilation))


def plan_snippets(
    frame_count: int,
    length: int = SNIPPET_LENGTH,
    dilations: Sequence[int] = DILATIONS,
    stride: int = 1,
) -> tuple[IndexArray, ...]:
    """Return the snippets of a clip, one (S, length) array per dilation; every frame is in one.

    Dilations are capped by the clip's length, and duplicates removed. A clip shorter than a
    snippet is one snippet.
    raises  ConfigError if the clip is empty, or the windows miss frames
    """
    if frame_count < 1:
        raise ConfigError('a clip needs at least one frame')
    length = min(length, frame_count)
    capped = sorted({largest_dilation(frame_count, length, dilation) for dilation in dilations})
    snippets = tuple(snippet_frames(frame_count, length, dilation, stride) for dilation in capped)
    missing = np.setdiff1d(
        np.arange(frame_count),
        np.concatenate([f.ravel() for f in snippets] or [np.empty(0, np.int64)]),
    )
    if missing.size:
        raise ConfigError(
            f'dilations {tuple(dilations)} with stride {stride} leave out '
            f'{missing.size} of {frame_count} frames, first {missing[0]}: add '
            f'dilation 1 and keep the stride within {length}'
        )
    return snippets


def predict_snippets(
    snippets: Sequence[IndexArray], predict: Predict, folder: Path | None = None
) -> tuple[Snippets, ...]:
    """Predict the relative depth of all snippets.

    snippets  frames of the snippets, one (S, L) int64 per dilation
    folder    for one memory map per dilation; None: in memory
    """
    return tuple(
        Snippets(frames, _predict_group(frames, predict, folder and folder / f'{number}.npy'))
        for number, frames in enumerate(snippets)
    )


def _predict_group(frames: IndexArray, predict: Predict, file: Path | None) -> Float32Array:
    """Return the depth maps of the snippets of one dilation, (S, L, H, W) float32."""
    first = np.asarray(predict(frames[0]), np.float32)
    shape = (len(frames), *first.shape)
    maps: Float32Array = (
        open_memmap(file, 'w+', np.float32, shape) if file else np.empty(shape, np.float32)
    )
    maps[0] = first
    for index in range(1, len(frames)):
        maps[index] = predict(frames[index])
    return maps


@dataclass(frozen=True)
class RefinementSchedule:
    """Denoising steps of the refinement; noise is added to the middle of the schedule.

    dilations    of each step, coarse to fine
    total_steps  scheduler steps from pure noise; those before `first_step` are skipped
    """

    dilations: tuple[int, ...]
    total_steps: int

    @property
    def first_step(self) -> int:
        """Return the first scheduler step; noise is added at its timestep."""
        return self.total_steps - len(self.dilations)


def plan_refinement(
    steps: int, start_dilation: int = REFINEMENT_START_DILATION
) -> RefinementSchedule:
    """Return the schedule of the refinement: dilations decrease linearly to 1.

    Cap `start_dilation` by `largest_dilation` for short clips. Rounding is that of the release:
    from 6 in 10 steps, the ninth is 0.9999999999999998 and so dilation 1 instead of 2.
    raises  ConfigError if steps or start_dilation are below 1
    """
    if min(steps, start_dilation) < 1:
        raise ConfigError(
            f'the refinement takes at least 1 step and starts at a dilation of at '
            f'least 1, not {steps} and {start_dilation}'
        )
    dilations = tuple(1 + int((1 - step / steps) * (start_dilation - 1)) for step in range(steps))
    return RefinementSchedule(dilations, int(steps / REFINEMENT_NOISE_LEVEL))


def refine_latents(
    latents: Float32Array, schedule: RefinementSchedule, length: int, denoise: Denoise
) -> Float32Array:
    """Return the latents of a clip after the refinement, (N, ...) float32.

    latents  (N, ...) float32, noised to the timestep of the first step
    others   as for `refinement_step`; raises what it raises
    """
    for step, dilation in enumerate(schedule.dilations, schedule.first_step):
        latents = np.stack(list(refinement_step(latents, dilation, step, length, denoise)))
    return latents


def refinement_step(
    latents: Float32Array,
    dilation: int,
    step: int,
    length: int,
    denoise: Denoise,
    batch_size: int = 1,
    first: int = 0,
) -> Iterator[Float32Array]:
    """Yield the latents of each frame, (...) float32, after one step of the refinement.

    latents     (N, ...) float32, read in batches of windows
    step        of the scheduler
    length      frames of a window
    batch_size  windows per call of `denoise`
    first       first frame to yield; windows that it does not need are skipped
    raises      ConfigError if the windows miss a frame

    Every window starts from the latents before the step; a frame is the mean over its windows. It
    is yielded, and freed, once its last window is denoised.
    """
    count = len(latents)
    windows = snippet_frames(count, min(length, count), dilation)
    window_count = np.bincount(windows.ravel(), minlength=count)
    if not window_count.all():
        raise ConfigError(
            f'windows of {length} frames at dilation {dilation} leave out '
            f'frame {np.argmin(window_count)} of {count}: start the refinement at a '
            f'dilation of {max(1, count // length)} or less'
        )
    total: dict[int, Float32Array] = {}
    needed = max(0, first - int(windows[0, -1]))
    for start in range(needed // batch_size * batch_size, len(windows), batch_size):
        part = windows[start : start + batch_size]
        after = denoise(np.asarray(latents[part]), part, step)
        for window, denoised in zip(part, after, strict=True):
            for frame, latent in zip(window.tolist(), denoised, strict=True):
                total[frame] = total[frame] + latent if frame in total else latent
        done = count if start + batch_size >= len(windows) else int(part[-1, 0]) + 1
        for frame in sorted(frame for frame in total if frame < done):
            mean = total.pop(frame) / np.float32(window_count[frame])
            if frame >= first:
                yield mean
