# SPDX-License-Identifier: Apache-2.0
"""Expected relative error of a pixel, by how certain the agreement of the views makes it.

The table is the mean of |depth / truth - 1|, at most .5, of pixels by certainty, on six sequences
(rendered living room, house and drive; synthetic studios and alleys, two seeds), rounded up. They
differ little: at certainty 1 by .012 to .018, at .5 by .04 to .07. It is the error at the
preferred parallax, and grows where there is less: half a pixel of noise is a share of the
parallax. Poses that are wrong are not seen in it.
"""

from __future__ import annotations

import numpy as np

from videodepth_ros.core.arrays import Float32Array, MaskArray

CERTAINTY = (0.0, 0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95, 1.0)
RELATIVE_ERROR = (0.2, 0.15, 0.115, 0.09, 0.075, 0.062, 0.052, 0.047, 0.04, 0.033, 0.024, 0.015)
UNKNOWN_ERROR = 0.5
"""Where something moves, or is at infinity: depth of a single view is all there is."""


def missing_parallax(per_m: Float32Array, parallax_px: float, preferred_px: float) -> Float32Array:
    """Return the preferred parallax over that of each pixel, at least 1, (H, W) float32.

    per_m         (H, W) float32, inverse depth, > 0
    parallax_px   of the median inverse depth; that of a pixel is in proportion to its own
    """
    own_px = per_m * np.float32(parallax_px / max(float(np.median(per_m)), 1e-9))
    return np.maximum(np.float32(preferred_px) / np.maximum(own_px, np.float32(1e-3)), 1)


def expected_error(
    certainty: Float32Array, missing: Float32Array, unknown: MaskArray
) -> Float32Array:
    """Return the expected relative error of depth, (H, W) float32, at most `UNKNOWN_ERROR`.

    certainty  (H, W) float32 in [0, 1], by `trust.certainty_of`
    missing    (H, W) float32, by `missing_parallax`
    unknown    (H, W) bool, pixels of which the static scene gives no depth
    """
    error = np.minimum(np.interp(certainty, CERTAINTY, RELATIVE_ERROR) * missing, UNKNOWN_ERROR)
    return np.where(unknown, UNKNOWN_ERROR, error).astype(np.float32)
