# SPDX-License-Identifier: Apache-2.0
"""Check of a stated focal length, and uncertainty of an estimated one.

With a wrong focal length the tracks of a moving camera fit no rigid scene, and their cost falls by
half when it is released.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from videodepth_ros.sfm.options import DEFAULTS, ReconstructionOptions
from videodepth_ros.sfm.robust_adjustment import SparseReconstruction, adjuster_of


@dataclass(frozen=True)
class FocalLengthCheck:
    """Adjusted focal length beside the stated one.

    ratio          adjusted / stated
    cost_decrease  share of the cost that the release of the focal length removes
    """

    ratio: float
    cost_decrease: float

    def is_refuted(self, options: ReconstructionOptions = DEFAULTS) -> bool:
        """Return whether the tracks contradict the stated focal length."""
        return (
            abs(np.log(self.ratio)) > options.focal_length.max_deviation
            and self.cost_decrease > options.focal_length.min_cost_decrease
        )


CONSISTENT = FocalLengthCheck(1.0, 0.0)


def check_focal_length(
    sparse: SparseReconstruction, options: ReconstructionOptions = DEFAULTS
) -> FocalLengthCheck:
    """Release the focal length of an adjusted reconstruction and adjust it again."""
    if not len(sparse.observations.frame):
        return CONSISTENT
    released = replace(sparse.noise, log_focal_sigma=options.noise.log_focal_sigma)
    adjuster = adjuster_of(sparse, options)
    state = adjuster.solve(sparse.state, released, options.focal_length.iterations)
    before, after = adjuster.cost(sparse.state, released), adjuster.cost(state, released)
    ratio = float(np.exp(state.log_focal - sparse.state.log_focal))
    return FocalLengthCheck(ratio, 1 - after / before if before > 0 else 0.0)


def log_focal_sigma(
    sparse: SparseReconstruction, options: ReconstructionOptions = DEFAULTS
) -> float:
    """Return the sigma of the log of an estimated focal length, by the equations at the solution.

    Points near each other err alike: the sigma of independent ones is multiplied by `inflation`.
    It is never above that of the assumption from which the estimate starts, which is also that of
    a focal length that was held because its adjustment diverged.
    """
    assumed = options.noise.log_focal_sigma
    if not len(sparse.observations.frame) or not sparse.noise.log_focal_sigma:
        return assumed
    free = replace(sparse.noise, log_focal_sigma=assumed)
    sigma = float(adjuster_of(sparse, options).shared_sigmas(sparse.state, free)[0])
    return min(options.focal_length.inflation * sigma, assumed)
