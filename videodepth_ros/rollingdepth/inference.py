# SPDX-License-Identifier: Apache-2.0
"""Rolling inference: a model of a few frames makes the depth of a whole clip.

Snippets of all dilations are predicted, co-aligned and merged; latents may then be refined from
the middle of the noise schedule (RollingDepth, arXiv 2411.19189, sections 3.2 to 3.4). The model
is a function that the caller gives: nothing here knows a network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from videodepth_ros.coalign.alignment import Alignment, CoalignSettings, align_snippets
from videodepth_ros.coalign.samples import Snippets
from videodepth_ros.core.errors import ConfigError
from videodepth_ros.rollingdepth.snippets import RefinementPlan, snippet_frames

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]
Predict = Callable[[Indices], Floats]
Denoise = Callable[[Floats, Indices, int], Floats]


def rolling_depth(
    plan: Sequence[Indices],
    predict: Predict,
    folder: Path | None = None,
    settings: CoalignSettings | None = None,
) -> Iterator[Floats]:
    """Yield the relative depth of each frame of a clip, (H, W) float32 each, NaN where unknown.

    plan, predict, folder  as for `predict_snippets`
    raises                 InputError if no snippet has a finite value
    """
    snippets = predict_snippets(plan, predict, folder)
    return merge_snippets(snippets, align_snippets(snippets, settings))


def predict_snippets(
    plan: Sequence[Indices], predict: Predict, folder: Path | None = None
) -> tuple[Snippets, ...]:
    """Return what the model says of each snippet of a plan.

    plan     the frames of the snippets, one (S, L) int64 a dilation
    predict  takes the frames of one snippet, (L,), and returns (L, H, W) relative depth
    folder   where pictures are kept, a file a dilation; in memory if None
    """
    return tuple(
        Snippets(frames, _predict(frames, predict, folder and folder / f'{kind}.npy'))
        for kind, frames in enumerate(plan)
    )


def _predict(frames: Indices, predict: Predict, file: Path | None) -> Floats:
    """Return the pictures of the snippets of one dilation, (S, L, H, W) float32."""
    first = np.asarray(predict(frames[0]), np.float32)
    shape = (len(frames), *first.shape)
    pictures: Floats = (
        open_memmap(file, 'w+', np.float32, shape) if file else np.empty(shape, np.float32)
    )
    pictures[0] = first
    for index in range(1, len(frames)):
        pictures[index] = predict(frames[index])
    return pictures


def merge_snippets(
    snippets: Sequence[Snippets],
    alignment: Alignment,
    precision: type[np.floating[Any]] = np.float32,
) -> Iterator[Floats]:
    """Yield the mean of all aligned pictures of each frame, (H, W) float32, NaN where unknown.

    precision  of the sums: the release takes that of its network, which leaves bands in half

    Pictures are read one at a time, each once. Snippets that are not usable are left out where
    a frame has others.
    """
    shown: list[list[tuple[int, int, int]]] = [
        [] for _ in range(1 + max(int(kind.frames.max()) for kind in snippets))
    ]
    for number, kind in enumerate(snippets):
        for (snippet, position), frame in np.ndenumerate(kind.frames):
            shown[frame].append((number, snippet, position))
    size = snippets[0].relative_depth.shape[2:]
    for pictures in shown:
        usable = [at for at in pictures if alignment.usable[at[0]][at[1]]] or pictures
        total, count = np.zeros(size, precision), np.zeros(size, precision)
        for number, snippet, position in usable:
            picture = snippets[number].relative_depth[snippet, position].astype(precision)
            known = (picture >= alignment.lowest) & (picture <= alignment.highest)
            scale, shift = alignment.scales[number][snippet], alignment.shifts[number][snippet]
            picture = precision(scale) * (picture - precision(alignment.offset))
            total += np.where(known, picture + precision(shift), precision(0))
            count += known
        with np.errstate(invalid='ignore'):
            yield np.asarray(total / count, np.float32)


def to_unit_range(relative_depth: Floats) -> Floats:
    """Return a clip with its least value at -1 and its greatest at 1, (N, H, W); NaN stays.

    This is what the encoder takes before the refinement. A flat clip becomes -1.
    """
    least, most = float(np.nanmin(relative_depth)), float(np.nanmax(relative_depth))
    unit: Floats = (relative_depth - np.float32(least)) * np.float32(2 / max(most - least, 1e-12))
    return unit - np.float32(1)


def refine_latents(latents: Floats, plan: RefinementPlan, length: int, denoise: Denoise) -> Floats:
    """Return the latents of a clip after the refinement, (N, ...) float32.

    latents  (N, ...) float32, noised to the time of the plan's first step
    others   as for `refined_once`; raises what it raises
    """
    for step, dilation in enumerate(plan.dilations, plan.first_step):
        latents = np.stack(list(refined_once(latents, dilation, step, length, denoise)))
    return latents


def refined_once(
    latents: Floats,
    dilation: int,
    step: int,
    length: int,
    denoise: Denoise,
    at_once: int = 1,
    first: int = 0,
) -> Iterator[Floats]:
    """Yield the latents of each frame, (...) float32, after one step of the refinement.

    latents  (N, ...) float32, read a few windows at a time
    step     number of the step in the scheduler
    length   frames of a window
    denoise  takes the latents (S, L, ...) and frames (S, L) of windows and the step; returns the
             latents after it, (S, L, ...)
    at_once  windows that are given to it together
    first    frame that is yielded first; what its windows need not be asked for is left out
    raises   ConfigError if the windows leave a frame out

    Every window starts from the latents before the step, and a frame becomes the mean of what its
    windows say. It is done, and forgotten, once the last window that begins before it is.
    """
    count = len(latents)
    windows = snippet_frames(count, min(length, count), dilation)
    seen = np.bincount(windows.ravel(), minlength=count)
    if not seen.all():
        raise ConfigError(
            f'windows of {length} frames at dilation {dilation} leave out '
            f'frame {np.argmin(seen)} of {count}: start the refinement at a '
            f'dilation of {max(1, count // length)} or less'
        )
    total: dict[int, Floats] = {}
    needed = max(0, first - int(windows[0, -1]))
    for start in range(needed // at_once * at_once, len(windows), at_once):
        part = windows[start : start + at_once]
        for window, said in zip(part, denoise(np.asarray(latents[part]), part, step), strict=True):
            for frame, latent in zip(window.tolist(), said, strict=True):
                total[frame] = total[frame] + latent if frame in total else latent
        done = count if start + at_once >= len(windows) else int(part[-1, 0]) + 1
        for frame in sorted(frame for frame in total if frame < done):
            mean = total.pop(frame) / np.float32(seen[frame])
            if frame >= first:
                yield mean
