# SPDX-License-Identifier: Apache-2.0
"""Sharpness of depth edges: the scale-invariant boundary F1 of Depth Pro (arXiv 2410.02073).

Two neighbouring pixels are an edge where their depths differ by more than a ratio t. Precision
and recall of the predicted edges are averaged over four directions, and F1 over ten ratios.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.errors import InputError

Depth = NDArray[np.floating[Any]]

THRESHOLDS = np.linspace(1.05, 1.25, 10)
SMALLEST_DEPTH_M = 1e-6


def boundary_f1(predicted_m: Depth, truth_m: Depth) -> float:
    """Return the boundary F1 of one frame, in [0, 1].

    predicted_m  (H, W) floating, Z in metres or in any other unit; NaN unknown, +inf nothing hit
    truth_m      (H, W) floating, the same; neighbours of which one is unknown, or of which both
                 are at infinity, are left out
    raises       InputError if the two differ in size

    Any scale cancels, a shift of the inverse depth does not. Where truth and prediction have no
    edge at all the value is 0, as in the definition.
    """
    if predicted_m.shape != truth_m.shape or truth_m.ndim != 2:
        raise InputError(f'boundary F1 compares maps of one size, not {predicted_m.shape} with '
                         f'{truth_m.shape}; resize the prediction first')
    predicted, truth = _neighbour_ratios(predicted_m), _neighbour_ratios(truth_m)
    for ratios, true_ratios in zip(predicted, truth, strict=True):
        ratios[np.isnan(true_ratios)] = np.nan
    scores = [_f1(predicted, truth, threshold) for threshold in THRESHOLDS]
    return float(np.average(scores, weights=THRESHOLDS))


def _neighbour_ratios(depth_m: Depth) -> list[Depth]:
    """Return depth over that of the left, right, upper and lower neighbour; NaN where unknown."""
    depth_m = np.maximum(depth_m, SMALLEST_DEPTH_M)
    with np.errstate(invalid='ignore'):   # inf / inf between two pixels of sky: no edge
        right, down = depth_m[:, 1:] / depth_m[:, :-1], depth_m[1:] / depth_m[:-1]
        left, up = depth_m[:, :-1] / depth_m[:, 1:], depth_m[:-1] / depth_m[1:]
    return [right, left, down, up]


def _f1(predicted: list[Depth], truth: list[Depth], threshold: float) -> float:
    """Return F1 at one ratio; precision and recall are means over the directions."""
    precision, recall = [], []
    for ratios, true_ratios in zip(predicted, truth, strict=True):
        edge, true_edge = ratios > threshold, true_ratios > threshold
        common = int(np.count_nonzero(edge & true_edge))
        precision.append(common / max(int(np.count_nonzero(edge)), 1))
        recall.append(common / max(int(np.count_nonzero(true_edge)), 1))
    p, r = float(np.mean(precision)), float(np.mean(recall))
    return 2 * p * r / (p + r) if p + r else 0.0
