# SPDX-License-Identifier: Apache-2.0
"""Trust in stereo by the agreement of views: the certainty of pixels, and the trust of a view.

Where poses are wrong stereo fails as a whole, and what agrees by chance is wrong too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from videodepth_ros.core.arrays import Float32Array
from videodepth_ros.mvs.fusion import Fused
from videodepth_ros.mvs.options import StereoOptions
from videodepth_ros.mvs.views import View

AGREEMENT_OF_NONE, AGREEMENT_OF_FULL, FULL_SUPPORT = 0.45, 0.9, 2.0
"""Certainty of a fused depth grows from 0 to 1 between these shares of agreeing weight, and up to
so much weight: with both, 95 % are within 3 % on the test sequences."""


@dataclass(frozen=True)
class Trust:
    """How much stereo counts in a view against its prior, 0 to 1.

    stereo  in all; 0: depth is the prior's
    fill    in depth that is extrapolated from what is certain
    """

    stereo: float
    fill: float


def certainty_of(fused: Fused) -> Float32Array:
    """Return how sure a fused depth is, (H, W) float32 in [0, 1]."""
    certainty = _ramp(fused.agreement, (AGREEMENT_OF_NONE, AGREEMENT_OF_FULL))
    return (certainty * np.clip(fused.support / FULL_SUPPORT, 0, 1)).astype(np.float32)


def trust_of(view: View, fused: Fused, certainty: Float32Array, options: StereoOptions) -> Trust:
    """Return the trust that is due to the agreement of the views on one of them.

    Agreement is that of pixels in which enough views meet, whatever the texture. Where these are
    too few, the mean certainty counts.
    """
    ground = ~view.sky
    met = ground & (fused.total > FULL_SUPPORT)
    if np.count_nonzero(met) > options.least_met * np.count_nonzero(ground):
        agreement = np.asarray(fused.support[met].sum() / fused.total[met].sum())
        return Trust(
            float(_ramp(agreement, options.trusted_agreement)),
            float(_ramp(agreement, options.filled_agreement)),
        )
    mean = np.asarray(certainty[ground].mean() if ground.any() else 0, np.float32)
    share = float(_ramp(mean, options.trusted_certainty))
    return Trust(share, share)


def _ramp(value: Float32Array, ends: tuple[float, float]) -> Float32Array:
    """Return 0 below and 1 above two ends, and the share of the way in between."""
    none, full = ends
    return np.clip((value - none) / (full - none), 0, 1)
