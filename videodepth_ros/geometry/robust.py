# SPDX-License-Identifier: Apache-2.0
"""Robust statistics: sigma from the median absolute deviation."""

from __future__ import annotations

import numpy as np

from videodepth_ros.core.arrays import FloatArray

MAD_TO_SIGMA = 1.4826
"""Sigma of a normal distribution whose median absolute deviation is 1."""


def mad_sigma(residuals: FloatArray) -> float:
    """Return sigma of residuals about zero, of any shape, from their median absolute value."""
    return MAD_TO_SIGMA * float(np.median(np.abs(residuals)))
