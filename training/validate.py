# SPDX-License-Identifier: Apache-2.0
"""How a network does on clips of scene families that it is not trained on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from training.network import predict
from training.shards import CANONICAL_UNIT, Clip, find_clips
from videodepth_ros.evaluation.accumulators import DepthAlignment
from videodepth_ros.evaluation.depth import DepthPair, DepthReport, evaluate_depth
from videodepth_ros.models.flashdepth import FlashDepth


@dataclass(frozen=True)
class Score:
    """Means over the clips of a family; the error of each clip is fitted and taken by itself.

    metric       AbsRel with nothing fitted, the intrinsics known
    scaled, abs_rel, delta  AbsRel with one scale, with scale and shift, and its delta 1.25
    baseline     AbsRel of the better of the two predictors without image
    drift        see ``DepthReport``
    """

    family: str
    metric: float
    scaled: float
    abs_rel: float
    delta: float
    baseline: float
    drift: float

    def figures(self) -> list[tuple[str, float]]:
        """Names and values of the figures."""
        return [(name, value) for name, value in vars(self).items() if name != 'family']


def validate(model: FlashDepth, folder: Path) -> Iterator[Score]:
    """Yield the score of each family in a folder of clips, and of all families."""
    by_family: dict[str, list[tuple[float, ...]]] = {}
    for clip in find_clips(folder):
        by_family.setdefault(clip.family, []).append(judge(model, clip))
    if not by_family:
        return
    means = {family: np.mean(rows, axis=0) for family, rows in by_family.items()}
    for family, mean in means.items():
        yield Score(family, *map(float, mean))
    yield Score('all', *map(float, np.mean(list(means.values()), axis=0)))


def judge(model: FlashDepth, clip: Clip) -> tuple[float, ...]:
    """Return the figures of one clip in the order of ``Score``."""
    predicted = predict_clip(model, np.array(clip.image))
    truth = np.asarray(clip.inverse_depth, np.float32)
    none, scale, both = (
        evaluate_depth(depth_pairs(predicted, truth), alignment)
        for alignment in (DepthAlignment.NONE, DepthAlignment.SCALE, DepthAlignment.SCALE_SHIFT)
    )
    return (
        none.errors.abs_rel,
        scale.errors.abs_rel,
        both.errors.abs_rel,
        both.errors.delta_1_25,
        baseline(both),
        both.scale_drift,
    )


def baseline(report: DepthReport) -> float:
    """AbsRel of the better of the two predictors without image."""
    return min(report.best_constant.abs_rel, report.best_gradient.abs_rel)


@torch.no_grad()
def predict_clip(model: FlashDepth, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return canonical inverse depth (T, H, W) float32 of images (T, H, W, 3) uint8."""
    u, _ = predict(model.eval(), torch.from_numpy(images)[None])
    return u[0].clamp(min=0).expm1().numpy()


def depth_pairs(predicted: NDArray[np.float32], truth: NDArray[np.float32]) -> list[DepthPair]:
    """Pair canonical inverse depths (T, H, W) as depth in a camera of fx = width."""
    with np.errstate(divide='ignore'):
        return [
            DepthPair(k, CANONICAL_UNIT / p, CANONICAL_UNIT / t)
            for k, (p, t) in enumerate(zip(predicted, truth, strict=True))
        ]
