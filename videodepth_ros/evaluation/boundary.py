# SPDX-License-Identifier: Apache-2.0
"""Boundary metrics of depth: scale-invariant F1 and recall of Depth Pro (arXiv 2410.02073).

Two neighboring pixels are an edge where their depths differ by more than a ratio t. Precision
and recall of the predicted edges are averaged over four directions, and F1 over ten ratios. A
segmentation matte as truth defines recall only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from videodepth_ros.core.arrays import Float64Array, FloatArray, MaskArray
from videodepth_ros.core.errors import InputError

THRESHOLDS = np.linspace(1.05, 1.25, 10)
"""Depth ratios of an edge, as in the definition."""
MIN_DEPTH_M = 1e-6
"""Depths below are clipped to this: no division by zero."""
MIN_ALPHA = 0.1
"""Opacity above which a pixel of a matte is foreground."""


@dataclass(frozen=True)
class EdgeMatch:
    """Precision and recall of edges at one ratio, in [0, 1]; means over four directions."""

    precision: float
    recall: float

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 0 where both are 0."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


def boundary_f1(
    predicted_m: FloatArray, truth_m: FloatArray, thresholds: Float64Array = THRESHOLDS
) -> float:
    """Return the boundary F1 of one frame, in [0, 1].

    predicted_m  (H, W) floating, Z in metres or in any other unit; NaN unknown, +inf nothing hit
    truth_m      (H, W) floating, the same; pairs of neighbors with an unknown one, or with both
                 at infinity, are ignored
    thresholds   (T,) float64, the ratios; also the weights of their F1 in the mean
    raises       InputError if the two differ in size

    Invariant to scale, not to a shift of the inverse depth. Without any edge the value is 0, as in
    the definition.
    """
    predicted, truth = _ratios_where_known(predicted_m, truth_m)
    scores = [_match(predicted, truth, threshold).f1 for threshold in thresholds]
    return float(np.average(scores, weights=thresholds))


def match_edges(predicted_m: FloatArray, truth_m: FloatArray, threshold: float) -> EdgeMatch:
    """Return precision and recall at one ratio; maps and errors as for `boundary_f1`."""
    return _match(*_ratios_where_known(predicted_m, truth_m), threshold)


def boundary_recall(predicted_m: FloatArray, matte: FloatArray) -> float:
    """Return the boundary recall of a depth map against a segmentation matte, in [0, 1].

    predicted_m  (H, W) floating, Z in metres or in any other unit; NaN unknown
    matte        (H, W) floating or bool, opacity of the foreground, in [0, 1]
    raises       InputError if the two differ in size

    An edge needs the foreground on the near side. Of adjacent predicted edges on a line only the
    steepest counts (non-maximum suppression): the width of a blurred edge earns nothing.
    """
    if predicted_m.shape != matte.shape or matte.ndim != 2:
        raise InputError(
            f'boundary recall compares a depth map with a matte of one size, not '
            f'{predicted_m.shape} with {matte.shape}; resize the prediction first'
        )
    front = matte > MIN_ALPHA
    true_edges = [
        front[:, :-1] & ~front[:, 1:],
        front[:, 1:] & ~front[:, :-1],
        (front[:-1] & ~front[1:]).T,
        (front[1:] & ~front[:-1]).T,
    ]
    right, left, down, up = _neighbor_ratios(predicted_m)
    lines = [right, left, down.T, up.T]
    scores = [
        np.mean(
            [
                _recall(_suppress_non_maxima(ratios, threshold), true_edge)
                for ratios, true_edge in zip(lines, true_edges, strict=True)
            ]
        )
        for threshold in THRESHOLDS
    ]
    return float(np.average(scores, weights=THRESHOLDS))


def _ratios_where_known(
    predicted_m: FloatArray, truth_m: FloatArray
) -> tuple[list[FloatArray], list[FloatArray]]:
    """Return the neighbor ratios of both maps, NaN where those of the truth are.

    raises  InputError if the two differ in size
    """
    if predicted_m.shape != truth_m.shape or truth_m.ndim != 2:
        raise InputError(
            f'boundary F1 compares depth maps of one size, not {predicted_m.shape} with '
            f'{truth_m.shape}; resize the prediction first'
        )
    predicted, truth = _neighbor_ratios(predicted_m), _neighbor_ratios(truth_m)
    for ratios, true_ratios in zip(predicted, truth, strict=True):
        ratios[np.isnan(true_ratios)] = np.nan
    return predicted, truth


def _neighbor_ratios(depth_m: FloatArray) -> list[FloatArray]:
    """Return the depth ratios to the left, right, upper and lower neighbor; NaN where unknown."""
    depth_m = np.maximum(depth_m, MIN_DEPTH_M)
    with np.errstate(invalid='ignore'):  # inf / inf between pixels of sky: no edge
        right, down = depth_m[:, 1:] / depth_m[:, :-1], depth_m[1:] / depth_m[:-1]
        left, up = depth_m[:, :-1] / depth_m[:, 1:], depth_m[:-1] / depth_m[1:]
    return [right, left, down, up]


def _match(predicted: list[FloatArray], truth: list[FloatArray], threshold: float) -> EdgeMatch:
    """Return the edge match at one ratio; precision is recall with the arguments exchanged."""
    edges = [
        (ratios > threshold, true_ratios > threshold)
        for ratios, true_ratios in zip(predicted, truth, strict=True)
    ]
    return EdgeMatch(
        precision=float(np.mean([_recall(true, found) for found, true in edges])),
        recall=float(np.mean([_recall(found, true) for found, true in edges])),
    )


def _recall(edge: MaskArray, true_edge: MaskArray) -> float:
    """Return the share of the true edges that are predicted; 0 if there is none."""
    return int(np.count_nonzero(edge & true_edge)) / max(int(np.count_nonzero(true_edge)), 1)


def _suppress_non_maxima(ratios: FloatArray, threshold: float) -> MaskArray:
    """Return the mask of the first maximum of each run of ratios above the threshold, by rows."""
    edge = np.pad(ratios > threshold, ((0, 0), (1, 0)))  # runs end with their row
    starts = edge[:, 1:] & ~edge[:, :-1]
    above = np.flatnonzero(edge[:, 1:])
    run = np.cumsum(starts.ravel())[above] - 1
    steepness = ratios.ravel()[above]
    greatest = np.zeros(np.count_nonzero(starts), ratios.dtype)
    np.maximum.at(greatest, run, steepness)
    peaks = np.flatnonzero(steepness == greatest[run])
    _, first = np.unique(run[peaks], return_index=True)
    steepest = np.zeros(ratios.size, bool)
    steepest[above[peaks[first]]] = True
    return steepest.reshape(ratios.shape)
