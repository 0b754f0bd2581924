# SPDX-License-Identifier: Apache-2.0
"""Expected relative error of a pixel, by how certain the agreement of the views makes it.

The table is the mean of |depth / truth - 1|, at most .5, of pixels by certainty, on six sequences
(rendered living room, house and drive; synthetic studios and alleys, two seeds), rounded up. They
differ little: at certainty 1 by .012 to .018, at .5 by .04 to .07. Poses that are wrong are not
seen in it.
"""

from __future__ import annotations

import numpy as np

from videodepth_ros.core.arrays import Float32Array, MaskArray

CERTAINTY = (0.0, 0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95, 1.0)
RELATIVE_ERROR = (0.2, 0.15, 0.115, 0.09, 0.075, 0.062, 0.052, 0.047, 0.04, 0.033, 0.024, 0.015)
UNKNOWN_ERROR = 0.5
"""Where something moves, or is at infinity: depth of a single view is all there is."""


def expected_error(certainty: Float32Array, unknown: MaskArray) -> Float32Array:
    """Return the expected relative error of depth, (H, W) float32.

    certainty  (H, W) float32 in [0, 1], by `bending.certainty_of`
    unknown    (H, W) bool, pixels of which the static scene gives no depth
    """
    error = np.interp(certainty, CERTAINTY, RELATIVE_ERROR)
    return np.where(unknown, UNKNOWN_ERROR, error).astype(np.float32)
