# SPDX-License-Identifier: Apache-2.0
"""Rolling inference: a model of a few frames makes the depth of a whole clip.

Snippets of all dilations are predicted, co-aligned and merged; latents may then be refined from
the middle of the noise schedule (RollingDepth, arXiv 2411.19189, sections 3.2 to 3.4). The model
is a function that the caller gives: nothing here knows a network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from videodepth_ros.errors import ConfigError
from videodepth_ros.offline.coalign import Alignment, CoalignSettings, align_snippets
from videodepth_ros.offline.coalign_samples import Snippets
from videodepth_ros.offline.snippets import RefinementPlan, snippet_frames

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]
Predict = Callable[[Indices], Floats]
Denoise = Callable[[Floats, Indices, int], Floats]


def rolling_depth(plan: Sequence[Indices], predict: Predict, folder: Path | None = None,
                  settings: CoalignSettings | None = None) -> Iterator[Floats]:
    """Yield the relative depth of each frame of a clip, (H, W) float32 each, NaN where unknown.

    plan, predict, folder  as for `predict_snippets`
    raises                 InputError if no snippet has a finite value
    """
    snippets = predict_snippets(plan, predict, folder)
    return merge_snippets(snippets, align_snippets(snippets, settings))


def predict_snippets(plan: Sequence[Indices], predict: Predict,
                     folder: Path | None = None) -> tuple[Snippets, ...]:
    """Return what the model says of each snippet of a plan.

    plan     the frames of the snippets, one (S, L) int64 a dilation
    predict  takes the frames of one snippet, (L,), and returns (L, H, W) relative depth
    folder   where pictures are kept, a file a dilation; in memory if None
    """
    return tuple(Snippets(frames, _predict(frames, predict, folder and folder / f'{kind}.npy'))
                 for kind, frames in enumerate(plan))


def _predict(frames: Indices, predict: Predict, file: Path | None) -> Floats:
    """Return the pictures of the snippets of one dilation, (S, L, H, W) float32."""
    first = np.asarray(predict(frames[0]), np.float32)
    shape = (len(frames), *first.shape)
    pictures: Floats = open_memmap(file, 'w+', np.float32, shape) if file else np.empty(
        shape, np.float32)
    pictures[0] = first
    for index in range(1, len(frames)):
        pictures[index] = predict(frames[index])
    return pictures


def merge_snippets(snippets: Sequence[Snippets], alignment: Alignment) -> Iterator[Floats]:
    """Yield the mean of all aligned pictures of each frame, (H, W) float32, NaN where unknown.

    Pictures are read one at a time, each once. Snippets that are not usable are left out where
    a frame has others.
    """
    shown: list[list[tuple[int, int, int]]] = [
        [] for _ in range(1 + max(int(kind.frames.max()) for kind in snippets))]
    for number, kind in enumerate(snippets):
        for (snippet, position), frame in np.ndenumerate(kind.frames):
            shown[frame].append((number, snippet, position))
    size = snippets[0].relative_depth.shape[2:]
    for pictures in shown:
        usable = [at for at in pictures if alignment.usable[at[0]][at[1]]] or pictures
        total, count = np.zeros(size, np.float32), np.zeros(size, np.float32)
        for number, snippet, position in usable:
            picture = snippets[number].relative_depth[snippet, position].astype(np.float32)
            known = (picture >= alignment.lowest) & (picture <= alignment.highest)
            scale, shift = alignment.scales[number][snippet], alignment.shifts[number][snippet]
            picture = np.float32(scale) * (picture - np.float32(alignment.offset))
            total += np.where(known, picture + np.float32(shift), np.float32(0))
            count += known
        with np.errstate(invalid='ignore'):
            yield total / count


def to_unit_range(relative_depth: Floats) -> Floats:
    """Return a clip with its least value at -1 and its greatest at 1, (N, H, W); NaN stays.

    This is what the encoder takes before the refinement. A flat clip becomes -1.
    """
    least, most = float(np.nanmin(relative_depth)), float(np.nanmax(relative_depth))
    unit: Floats = (relative_depth - np.float32(least)) * np.float32(2 / max(most - least, 1e-12))
    return unit - np.float32(1)


def refine_latents(latents: Floats, plan: RefinementPlan, length: int,
                   denoise: Denoise) -> Floats:
    """Return the latents of a clip after the refinement, (N, ...) float32.

    latents  (N, ...) float32, noised to the time of the plan's first step
    length   frames of a snippet
    denoise  takes the latents (L, ...) and frames (L,) of a snippet and the number of a step of
             the scheduler; returns the latents after that step, (L, ...)
    raises   ConfigError if a step's windows leave a frame out

    In each step every window starts from the latents before it, and a frame becomes the mean of
    what its windows say.
    """
    count = len(latents)
    for step, dilation in enumerate(plan.dilations, plan.first_step):
        windows = snippet_frames(count, min(length, count), dilation)
        seen = np.bincount(windows.ravel(), minlength=count).astype(np.float32)
        if not seen.all():
            raise ConfigError(f'windows of {length} frames at dilation {dilation} leave out '
                              f'frame {np.argmin(seen)} of {count}: start the refinement at a '
                              f'dilation of {max(1, count // length)} or less')
        total = np.zeros_like(latents)
        for window in windows:
            total[window] += denoise(latents[window], window, step)
        latents = total / seen.reshape(-1, *[1] * (latents.ndim - 1))
    return latents
