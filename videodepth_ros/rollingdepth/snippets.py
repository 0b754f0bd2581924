# SPDX-License-Identifier: Apache-2.0
"""Which frames form a snippet: dilated windows over a clip, from its start to its end.

A snippet is a few frames that a model sees at once. Small dilations carry detail, large ones tie
distant parts of the clip together (RollingDepth, arXiv 2411.19189, sections 3.2 and 3.4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.core.errors import ConfigError

Indices = NDArray[np.int64]

SNIPPET_LENGTH = 3
DILATIONS = (1, 10, 25)
REFINEMENT_START_DILATION = 6
REFINED_SHARE = 0.5


def snippet_frames(
    frame_count: int, length: int = SNIPPET_LENGTH, dilation: int = 1, stride: int = 1
) -> Indices:
    """Return the frames of all windows at one dilation, (S, length), by their first frame.

    A window starts every `stride` frames; where that leaves the last frame out, one more window
    ends on it. At a stride of 1 this is every window that fits.
    raises  ConfigError if not even one window fits, or a number is below 1
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
    """Return the dilation that the release uses in its place; 0 or less where it then fails.

    It asks that every frame be covered, and is one stricter than that takes.
    """
    return min(dilation, frame_count // length - 1)


def largest_dilation(frame_count: int, length: int, dilation: int) -> int:
    """Return the release's cap where that is a dilation, else 1: short clips work too."""
    return max(1, release_dilation_cap(frame_count, length, dilation))


def plan_snippets(
    frame_count: int,
    length: int = SNIPPET_LENGTH,
    dilations: Sequence[int] = DILATIONS,
    stride: int = 1,
) -> tuple[Indices, ...]:
    """Return the snippets of a clip, one (S, length) array a dilation; every frame is in one.

    Dilations are capped for the clip's length, and equal ones become one. A clip shorter than a
    snippet is one snippet.
    raises  ConfigError if the clip is empty, or if the windows would leave frames out
    """
    if frame_count < 1:
        raise ConfigError('a clip needs at least one frame')
    length = min(length, frame_count)
    capped = sorted({largest_dilation(frame_count, length, dilation) for dilation in dilations})
    plan = tuple(snippet_frames(frame_count, length, dilation, stride) for dilation in capped)
    missing = np.setdiff1d(
        np.arange(frame_count),
        np.concatenate([f.ravel() for f in plan] or [np.empty(0, np.int64)]),
    )
    if missing.size:
        raise ConfigError(
            f'dilations {tuple(dilations)} with stride {stride} leave out '
            f'{missing.size} of {frame_count} frames, first {missing[0]}: add '
            f'dilation 1 and keep the stride within {length}'
        )
    return plan


@dataclass(frozen=True)
class RefinementPlan:
    """Noise goes to the middle of a schedule of `total_steps`; its second half takes it away.

    dilations    one for each step that is taken, coarse to fine
    total_steps  steps of the scheduler from pure noise; those before `first_step` are skipped
    """

    dilations: tuple[int, ...]
    total_steps: int

    @property
    def first_step(self) -> int:
        """Return the first step taken: noise is added at its time."""
        return self.total_steps - len(self.dilations)


def plan_refinement(steps: int, start_dilation: int = REFINEMENT_START_DILATION) -> RefinementPlan:
    """Return the schedule of the refinement: dilations fall evenly from the start's to 1.

    A short clip takes a start of `largest_dilation`. Rounding is that of the release: at a start
    of 6 and 10 steps, the ninth comes to 0.9999999999999998 and so to dilation 1 in place of 2.
    raises  ConfigError if there are no steps to plan, or the start is below 1
    """
    if min(steps, start_dilation) < 1:
        raise ConfigError(
            f'the refinement takes at least 1 step and starts at a dilation of at '
            f'least 1, not {steps} and {start_dilation}'
        )
    dilations = tuple(1 + int((1 - step / steps) * (start_dilation - 1)) for step in range(steps))
    return RefinementPlan(dilations, int(steps / REFINED_SHARE))
