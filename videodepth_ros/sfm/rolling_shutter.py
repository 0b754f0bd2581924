# SPDX-License-Identifier: Apache-2.0
"""Detection of a rolling shutter: rows of an image that are exposed one after the other.

Its readout time is one parameter of the bundle adjustment, in which the residuals are linear.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from videodepth_ros.sfm.lens_fields import readout_fields
from videodepth_ros.sfm.options import DEFAULTS, ReconstructionOptions
from videodepth_ros.sfm.robust_adjustment import SparseReconstruction, adjuster_of


@dataclass(frozen=True)
class Readout:
    """Time from the first row to the last, in frame periods; negative: the last row comes first.

    sigma  its uncertainty; infinite where it was not estimated
    """

    share: float
    sigma: float

    def is_rolling(self, options: ReconstructionOptions = DEFAULTS) -> bool:
        """Return whether the tracks show a rolling shutter."""
        limits = options.rolling_shutter
        return (
            abs(self.share) > limits.min_sigmas * self.sigma
            and limits.min_share < abs(self.share) < limits.max_share
        )


UNKNOWN_READOUT = Readout(0.0, np.inf)


def estimate_readout(
    sparse: SparseReconstruction, height_px: int, options: ReconstructionOptions = DEFAULTS
) -> Readout:
    """Estimate the readout time of an adjusted reconstruction.

    height_px  of the images in which the points were tracked
    """
    observations, limits = sparse.observations, options.rolling_shutter
    if not len(observations.frame):
        return UNKNOWN_READOUT
    fields = readout_fields(observations.track, observations.frame, observations.xy, height_px)
    displaced = replace(sparse, observations=replace(observations, lens_fields=fields))
    adjuster = adjuster_of(displaced, options)
    state = replace(sparse.state, lens=np.zeros(1))
    noise = replace(sparse.noise, lens_sigma=np.array([limits.prior_sigma]))
    state = adjuster.solve(state, noise, limits.first_iterations)
    if abs(float(state.lens[0])) >= limits.promising_share * limits.min_share:
        state = adjuster.solve(state, noise, limits.iterations)
    share = float(state.lens[0])
    sigma = float(adjuster.shared_sigmas(state, noise)[1])
    return Readout(share, limits.inflation * sigma)
