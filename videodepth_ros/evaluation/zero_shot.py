# SPDX-License-Identifier: Apache-2.0
"""Zero-shot metric depth of single images, as in Depth Pro (arXiv 2410.02073, section 4).

Predictions are not aligned, so errors of the metric scale count in full. Every metric is computed
per image and averaged over the images of a data set, boundary F1 and focal length error included.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np

from videodepth_ros.core.arrays import FloatArray
from videodepth_ros.core.errors import InputError
from videodepth_ros.evaluation.boundary import boundary_f1, boundary_recall
from videodepth_ros.evaluation.depth import resize_nearest


@dataclass(frozen=True)
class ZeroShotImage:
    """Prediction and truth of one image.

    predicted_m    (h, w) floating, Z in metres; NaN or <= 0 unknown, +inf nothing hit
    truth_m        (H, W) floating, Z in metres; NaN, +inf and <= 0 are ignored
    focal_px, true_focal_px  at the same image width; None: unknown
    """

    predicted_m: FloatArray
    truth_m: FloatArray
    focal_px: float | None = None
    true_focal_px: float | None = None


@dataclass(frozen=True)
class ZeroShotMetrics:
    """Means over the images of a data set; NaN where no image has the metric.

    delta_1, delta_2, delta_3  share of pixels with max(p/t, t/p) below 1.25, 1.25^2, 1.25^3
    abs_rel, log10             mean |p - t| / t and |log10 p - log10 t| where predicted
    boundary_f1                see `videodepth_ros.evaluation.boundary`
    boundary_recall            against mattes, see there
    focal_25, focal_50         share of images whose focal length error is below 25 and 50 %
    """

    delta_1: float = math.nan
    delta_2: float = math.nan
    delta_3: float = math.nan
    abs_rel: float = math.nan
    log10: float = math.nan
    boundary_f1: float = math.nan
    boundary_recall: float = math.nan
    focal_25: float = math.nan
    focal_50: float = math.nan


@dataclass(frozen=True)
class ZeroShotRow:
    """Row of the table: one data set."""

    dataset: str
    images: int
    metrics: ZeroShotMetrics


def evaluate_zero_shot(
    dataset: str, images: Iterable[ZeroShotImage], max_depth_m: float = math.inf
) -> ZeroShotRow:
    """Evaluate the metric depth of single images against the truth.

    max_depth_m  farthest true depth that counts
    raises       InputError where no image has a valid pixel, or aspect ratios differ
    """
    metrics = [_evaluate(image, max_depth_m) for image in images]
    valid = [one for one in metrics if not math.isnan(one.delta_1)]
    if not valid:
        raise InputError(
            f'of {len(metrics)} images of {dataset} no pixel has a truth between 0 and '
            f'{max_depth_m:g} m; check units and files'
        )
    return ZeroShotRow(dataset, len(valid), _mean(valid))


def evaluate_mattes(dataset: str, images: Iterable[tuple[FloatArray, FloatArray]]) -> ZeroShotRow:
    """Evaluate boundary recall against foreground mattes.

    images  depth (H, W) floating, in any unit, and matte (H, W), opacity from 0 to 1
    raises  InputError without images, or where the sizes differ
    """
    recalls = [
        ZeroShotMetrics(boundary_recall=boundary_recall(depth, matte)) for depth, matte in images
    ]
    if not recalls:
        raise InputError(f'{dataset} has no images')
    return ZeroShotRow(dataset, len(recalls), _mean(recalls))


def average_ranks(scores: FloatArray) -> FloatArray:
    """Return the mean rank of each system, (systems,) float64; 1 is best, ties share their rank.

    scores  (systems, data sets) floating, greater is better
    """
    better = (scores[None] > scores[:, None]).sum(axis=1)
    equal = (scores[None] == scores[:, None]).sum(axis=1) - 1
    ranks: FloatArray = (1 + better + equal / 2).mean(axis=1)
    return ranks


def zero_shot_table(rows: Sequence[ZeroShotRow]) -> str:
    """Format a table: a row for each data set, and the mean of each column."""
    names = [field.name for field in fields(ZeroShotMetrics)]
    mean = ZeroShotRow(
        'mean', sum(row.images for row in rows), _mean([row.metrics for row in rows])
    )
    width = max(len(row.dataset) for row in (*rows, mean))
    lines = [' ' * width + '  images' + ''.join(f'{name:>17}' for name in names)]
    for row in (*rows, mean):
        values = (getattr(row.metrics, name) for name in names)
        lines.append(
            f'{row.dataset:{width}}{row.images:>8}'
            + ''.join(f'{"-" if math.isnan(value) else f"{value:.4f}":>17}' for value in values)
        )
    return '\n'.join(lines)


def _evaluate(image: ZeroShotImage, max_depth_m: float) -> ZeroShotMetrics:
    truth_m = np.where((image.truth_m > 0) & (image.truth_m <= max_depth_m), image.truth_m, np.nan)
    valid = np.isfinite(truth_m)
    if not valid.any():
        return ZeroShotMetrics()
    predicted_m = resize_nearest(image.predicted_m, truth_m.shape)
    predicted_m = np.where(predicted_m > 0, predicted_m, np.nan)
    true, predicted = truth_m[valid], predicted_m[valid]
    ratio = np.maximum(predicted / true, true / predicted)  # NaN: within no threshold
    known = np.isfinite(predicted)
    focal = _focal_error(image)
    return ZeroShotMetrics(
        delta_1=float(np.mean(ratio < 1.25)),
        delta_2=float(np.mean(ratio < 1.25**2)),
        delta_3=float(np.mean(ratio < 1.25**3)),
        abs_rel=_average(np.abs(predicted - true)[known] / true[known]),
        log10=_average(np.abs(np.log10(ratio[known]))),
        boundary_f1=boundary_f1(predicted_m, truth_m),
        focal_25=_is_below(focal, 0.25),
        focal_50=_is_below(focal, 0.50),
    )


def _focal_error(image: ZeroShotImage) -> float:
    if image.focal_px is None or image.true_focal_px is None:
        return math.nan
    return abs(image.focal_px / image.true_focal_px - 1)


def _is_below(error: float, limit: float) -> float:
    return error if math.isnan(error) else float(error < limit)


def _average(values: FloatArray) -> float:
    return float(values.mean()) if values.size else math.nan


def _mean(metrics: Sequence[ZeroShotMetrics]) -> ZeroShotMetrics:
    """Average each metric over the images that have it."""

    def mean_of(name: str) -> float:
        values = np.array([getattr(one, name) for one in metrics])
        return _average(values[~np.isnan(values)])

    return ZeroShotMetrics(
        **{field.name: mean_of(field.name) for field in fields(ZeroShotMetrics)}
    )
