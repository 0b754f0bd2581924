# SPDX-License-Identifier: Apache-2.0
"""Expected relative error of a pixel, by how certain the agreement of the views makes it.

The table is the mean of |depth / truth - 1|, at most .5, of pixels by certainty, on six sequences
(rendered living room, house and drive; synthetic studios and alleys, two seeds), rounded up. They
differ little: at certainty 1 by .012 to .018, at .5 by .04 to .07. It is the error at the
preferred parallax, and grows where there is less: half a pixel of noise is a share of the
parallax. Poses that are wrong are not seen in it.

Where nothing is certain depth is the prior's, and so is its error, twice that where the views do
not agree as a whole: poses are wrong there, or the scene is hard. In between it is the geometric
mean of both, by the share of stereo in depth. The factors are of twelve sequences.
"""

from __future__ import annotations

import numpy as np

from videodepth_ros.core.arrays import Float32Array, MaskArray
from videodepth_ros.mvs.bending import SURE

CERTAINTY = (0.0, 0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95, 1.0)
RELATIVE_ERROR = (0.2, 0.15, 0.115, 0.09, 0.075, 0.062, 0.052, 0.047, 0.04, 0.033, 0.024, 0.015)
USUAL_PRIOR_ERROR = RELATIVE_ERROR[0]
"""Expected error of a prior that has no estimate of its own."""
UNSUPPORTED = 1.5
"""Error of depth over that of the prior where no frame beside agrees; 1 less where all do."""
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
    certainty: Float32Array,
    missing: Float32Array,
    unknown: MaskArray,
    prior_error: Float32Array | float = USUAL_PRIOR_ERROR,
    trust: float = 1.0,
) -> Float32Array:
    """Return the expected relative error of depth, (H, W) float32, at most `UNKNOWN_ERROR`.

    certainty  (H, W) float32 in [0, 1], by `trust.certainty_of`, times `trust`
    missing    (H, W) float32, by `missing_parallax`
    unknown    (H, W) bool, pixels of which the static scene gives no depth
    prior_error  (H, W) float32, > 0, expected relative error of the prior
    trust      in stereo, by `trust.trust_of`
    """
    share = np.minimum(certainty / np.float32(SURE), 1)
    of_prior = prior_error * np.float32(2 - trust) / np.float32(USUAL_PRIOR_ERROR)
    of_stereo = np.interp(certainty, CERTAINTY, RELATIVE_ERROR).astype(np.float32)
    error = np.minimum(of_stereo * missing**share * of_prior ** (1 - share), UNKNOWN_ERROR)
    return np.where(unknown, UNKNOWN_ERROR, error).astype(np.float32)


def error_by_agreement(prior_error: Float32Array, agreement: Float32Array) -> Float32Array:
    """Return the expected error of depth that poses corrected, without stereo, (H, W) float32.

    prior_error  (H, W) float32; agreement (H, W) float32, that with the frames beside, 0 to 1
    """
    factor = np.float32(UNSUPPORTED) - agreement
    return np.minimum(prior_error * factor, UNKNOWN_ERROR).astype(np.float32)
