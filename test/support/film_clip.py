# SPDX-License-Identifier: Apache-2.0
"""A made clip of relative depth, its snippets, and the goldens of the co-alignment."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from videodepth_ros.coalign.samples import Snippets
from videodepth_ros.rollingdepth.snippets import plan_snippets, snippet_frames

GOLDENS = Path(__file__).parents[2].parent / 'shared/goldens/rollingdepth'
golden = pytest.mark.skipif(not GOLDENS.is_dir(), reason='no ../shared/goldens/rollingdepth here')


def moving_clip(frame_count: int = 24, height: int = 24, width: int = 32) -> np.ndarray:
    """Return (N, H, W) float32 in 0.1 to 1: slanted ground and a ball that crosses it."""
    time = np.arange(frame_count)[:, None, None] / frame_count
    y, x = np.mgrid[:height, :width] / np.array([height, width])[:, None, None]
    ground = 0.2 + 0.5 * y + 0.1 * np.sin(5 * x + 2 * time)
    ball = np.hypot(x - 0.2 - 0.6 * time, y - 0.5) < 0.2
    return np.where(ball, 0.9, ground).astype(np.float32)


def make_snippets(
    clip: np.ndarray,
    dilations: tuple[int, ...] = (1, 4),
    noise: float = 0.003,
    spread: float = 0.3,
    seed: int = 0,
) -> list[Snippets]:
    """Return the clip's snippets, each with a scale of its own and some noise."""
    random = np.random.default_rng(seed)
    made = []
    for frames in plan_snippets(len(clip), dilations=dilations):
        scale = np.exp(spread * random.standard_normal((len(frames), 1, 1, 1)))
        shown = clip[frames] + noise * random.standard_normal((*frames.shape, *clip.shape[1:]))
        made.append(Snippets(frames, (scale * shown).astype(np.float32)))
    return made


def misfit(merged: np.ndarray, clip: np.ndarray) -> float:
    """Return the mean error after the one scale and shift for the clip that fit best."""
    known = np.isfinite(merged)
    columns = np.stack([merged[known], np.ones(known.sum())], axis=1)
    fit, *_ = np.linalg.lstsq(columns, clip[known], rcond=None)
    return float(np.abs(columns @ fit - clip[known]).mean())


def golden_snippets(name: str, dilations: tuple[int, ...] | None = None):
    """Return a golden case, its snippets, and the official scales and shifts, (K, 2)."""
    case = np.load(GOLDENS / name)
    dilations = tuple(case['dilations']) if dilations is None else dilations
    first, last = case['snip0'], max(int(d) for d in dilations)
    count = len(first) + first.shape[1] - 1
    assert last < count
    snippets = [
        Snippets(
            snippet_frames(count, first.shape[1], int(dilation)),
            case[f'snip{kind}'][:, :, 0].astype(np.float32),
        )
        for kind, dilation in enumerate(dilations)
    ]
    point = np.stack(
        [
            np.concatenate([case[f'{what}{kind}'] for kind in range(len(dilations))])
            for what in ('scale', 'shift')
        ],
        axis=1,
    ).astype(float)
    return case, snippets, point
