# SPDX-License-Identifier: Apache-2.0
"""Robust statistics: sigma from the median absolute deviation, weighted median."""

from __future__ import annotations

import numpy as np

from videodepth_ros.core.arrays import Float64Array, FloatArray

MAD_TO_SIGMA = 1.4826
"""Sigma of a normal distribution whose median absolute deviation is 1."""


def mad_sigma(residuals: FloatArray) -> float:
    """Return sigma of residuals about zero, of any shape, from their median absolute value."""
    return MAD_TO_SIGMA * float(np.median(np.abs(residuals)))


def weighted_median(values: Float64Array, weights: Float64Array) -> float:
    """Return the least value at which half of the weight is reached; (P,) each, P >= 1."""
    order = np.argsort(values, kind='stable')
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, total[-1] / 2)])
