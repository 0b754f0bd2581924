# SPDX-License-Identifier: Apache-2.0
"""The zero-shot table of metric depth from single images, as the paper of Depth Pro has it.

Bochkovskii et al. (arXiv 2410.02073, section 4): nothing is aligned to the truth, so that wrong
metres count in full; every measure is taken of each image and averaged over the images of a data
set. Beside the depth stand the sharpness of its edges and the focal length.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np

from videodepth_ros.core.errors import InputError
from videodepth_ros.evaluation.accumulators import Array
from videodepth_ros.evaluation.boundary import boundary_f1, boundary_recall
from videodepth_ros.evaluation.depth import resize_nearest


@dataclass(frozen=True)
class ZeroShotImage:
    """What is told and what is true of one image.

    predicted_m    (h, w) floating, Z in metres; NaN or <= 0 unknown, +inf nothing hit
    truth_m        (H, W) floating, Z in metres; NaN, +inf and <= 0 are not judged
    focal_px, true_focal_px  at one width of the image; None where nobody knows
    """

    predicted_m: Array
    truth_m: Array
    focal_px: float | None = None
    true_focal_px: float | None = None


@dataclass(frozen=True)
class ZeroShotMeasures:
    """Means over the images of a data set; NaN where no image tells.

    delta_1, delta_2, delta_3  share of pixels with max(p/t, t/p) below 1.25, 1.25^2, 1.25^3
    abs_rel, log10             mean |p - t| / t and |log10 p - log10 t| over what is known
    boundary_f1                see `boundary`
    boundary_recall            of mattes, see `boundary`
    focal_25, focal_50         share of images whose focal length is within 25 and 50 %
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
    """One data set of the table."""

    dataset: str
    images: int
    measures: ZeroShotMeasures


def evaluate_zero_shot(
    dataset: str, images: Iterable[ZeroShotImage], max_depth_m: float = math.inf
) -> ZeroShotRow:
    """Measure the depth of single images against the truth.

    max_depth_m  truth beyond this is not judged
    raises       InputError where no pixel of any image can be judged, or views differ in aspect
    """
    every = [_measured(image, max_depth_m) for image in images]
    judged = [one for one in every if not math.isnan(one.delta_1)]
    if not judged:
        raise InputError(
            f'of {len(every)} images of {dataset} no pixel has a truth between 0 and '
            f'{max_depth_m:g} m; check units and files'
        )
    return ZeroShotRow(dataset, len(judged), _mean(judged))


def evaluate_mattes(dataset: str, images: Iterable[tuple[Array, Array]]) -> ZeroShotRow:
    """Measure sharpness alone, where the truth is what stands in front.

    images  depth (H, W) floating, in any unit, and matte (H, W), opacity from 0 to 1
    raises  InputError where there are none, or the two differ in size
    """
    recalls = [
        ZeroShotMeasures(boundary_recall=boundary_recall(depth, matte)) for depth, matte in images
    ]
    if not recalls:
        raise InputError(f'{dataset} has no images')
    return ZeroShotRow(dataset, len(recalls), _mean(recalls))


def average_ranks(scores: Array) -> Array:
    """Return the mean rank of each system, (systems,) float64; 1 is best, equal ones share theirs.

    scores  (systems, data sets) floating, greater is better
    """
    better = (scores[None] > scores[:, None]).sum(axis=1)
    equal = (scores[None] == scores[:, None]).sum(axis=1) - 1
    ranks: Array = (1 + better + equal / 2).mean(axis=1)
    return ranks


def zero_shot_table(rows: Sequence[ZeroShotRow]) -> str:
    """Return lines to read: a row for each data set, and the mean of each column."""
    names = [field.name for field in fields(ZeroShotMeasures)]
    mean = ZeroShotRow(
        'mean', sum(row.images for row in rows), _mean([row.measures for row in rows])
    )
    width = max(len(row.dataset) for row in (*rows, mean))
    lines = [' ' * width + '  images' + ''.join(f'{name:>17}' for name in names)]
    for row in (*rows, mean):
        values = (getattr(row.measures, name) for name in names)
        lines.append(
            f'{row.dataset:{width}}{row.images:>8}'
            + ''.join(f'{"-" if math.isnan(value) else f"{value:.4f}":>17}' for value in values)
        )
    return '\n'.join(lines)


def _measured(image: ZeroShotImage, max_depth_m: float) -> ZeroShotMeasures:
    truth_m = np.where((image.truth_m > 0) & (image.truth_m <= max_depth_m), image.truth_m, np.nan)
    judged = np.isfinite(truth_m)
    if not judged.any():
        return ZeroShotMeasures()
    predicted_m = resize_nearest(image.predicted_m, truth_m.shape)
    predicted_m = np.where(predicted_m > 0, predicted_m, np.nan)
    true, told = truth_m[judged], predicted_m[judged]
    ratio = np.maximum(told / true, true / told)  # unknown is within nothing
    known = np.isfinite(told)
    focal = _focal_error(image)
    return ZeroShotMeasures(
        delta_1=float(np.mean(ratio < 1.25)),
        delta_2=float(np.mean(ratio < 1.25**2)),
        delta_3=float(np.mean(ratio < 1.25**3)),
        abs_rel=_average(np.abs(told - true)[known] / true[known]),
        log10=_average(np.abs(np.log10(ratio[known]))),
        boundary_f1=boundary_f1(predicted_m, truth_m),
        focal_25=_share(focal, 0.25),
        focal_50=_share(focal, 0.50),
    )


def _focal_error(image: ZeroShotImage) -> float:
    if image.focal_px is None or image.true_focal_px is None:
        return math.nan
    return abs(image.focal_px / image.true_focal_px - 1)


def _share(error: float, most: float) -> float:
    return error if math.isnan(error) else float(error < most)


def _average(values: Array) -> float:
    return float(values.mean()) if values.size else math.nan


def _mean(measures: Sequence[ZeroShotMeasures]) -> ZeroShotMeasures:
    """Average each measure over those that have it."""

    def mean_of(name: str) -> float:
        values = np.array([getattr(one, name) for one in measures])
        return _average(values[~np.isnan(values)])

    return ZeroShotMeasures(
        **{field.name: mean_of(field.name) for field in fields(ZeroShotMeasures)}
    )
