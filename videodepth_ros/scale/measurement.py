# SPDX-License-Identifier: Apache-2.0
"""A measurement of the scale, and the state of the filter of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from videodepth_ros.frames import ScaleSource


@dataclass(frozen=True)
class ScaleMeasurement:
    """A scale with its uncertainty: depth [m] = exp(log_scale) / inverse depth.

    sigma  standard deviation of ``log_scale``, about the relative error
    """

    log_scale: float
    sigma: float
    stamp_ns: int
    source: ScaleSource


@dataclass(frozen=True)
class ScaleStatus:
    """State of the scale of a stream.

    source    of most of the information in the window; None before the first measurement
    spread    standard deviation of the log scale's innovations in the window, robust
    age_s     data time since the newest accepted measurement [s]; inf before the first
    drift     change of the log scale over the window
    accepted, rejected  measurements since the start
    transform_failures  lookups of transforms that timed out since the start
    is_stale  no measurement was accepted for a while: the last scale holds
    """

    source: ScaleSource | None = None
    spread: float = math.nan
    age_s: float = math.inf
    drift: float = math.nan
    accepted: int = 0
    rejected: int = 0
    transform_failures: int = 0
    is_stale: bool = False
