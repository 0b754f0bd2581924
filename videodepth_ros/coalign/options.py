# SPDX-License-Identifier: Apache-2.0
"""Options of the co-alignment; the defaults are the published ones where there are any."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from videodepth_ros.core.errors import ConfigError
from videodepth_ros.geometry.bilinear_grid import SmoothGridOptions


@dataclass(frozen=True)
class ObjectiveWeights:
    """Weights of the objective's terms (RollingDepth's released code)."""

    # Agreement of the reciprocal, against that of the relative depth [1].
    reciprocal: float = 1.0

    # Penalty on scales below 1 [1]; without it, zero scales are a minimum.
    small_scale: float = 0.1

    # Penalty on squared shifts [1 / squared relative depth].
    shift: float = 10.0


@dataclass(frozen=True)
class SamplingOptions:
    """Reading of the snippets and detection of outlying values."""

    # Values read at once [count]; bounds the memory of reading.
    read_values: int = 1_000_000

    # Values that the valid range is estimated from [count].
    range_samples: int = 200_000

    # Quantiles of the values that span the central range [share].
    range_quantiles: tuple[float, float] = (0.02, 0.98)

    # Values further out than this are outliers [central ranges].
    outlier_ranges: float = 10.0

    # Values of one cache-sized block of the objective [count].
    block_values: int = 65_536


@dataclass(frozen=True)
class NewtonOptions:
    """Damped Newton steps by iteratively re-weighted least squares (Levenberg-Marquardt)."""

    # Marquardt damping: share of the curvature's diagonal that is added to it [share].
    initial_damping: float = 1e-3
    min_damping: float = 1e-6
    max_damping: float = 1e4  # the solver stops beyond

    # Factors of the damping after a successful and after a rejected step [1].
    damping_decrease: float = 0.25
    damping_increase: float = 8.0

    # Smoothing of |r|: residuals below this share of a frame's mean residual count as that
    # large. Falls by `softness_decay` each step, so that early steps see a convex problem.
    initial_softness: float = 1.0
    min_softness: float = 0.1
    softness_decay: float = 0.7

    # Conjugate gradients: relative residual of a step [1] and most iterations [count].
    # Inexact Newton: a step of a few hundredths is as good as an exact one.
    cg_tolerance: float = 0.03
    max_cg_iterations: int = 500

    # Least diagonal entry, against the largest, that is damped [share].
    min_diagonal: float = 1e-6


@dataclass(frozen=True)
class AdamOptions:
    """The published solver (arXiv 1412.6980, algorithm 1); values of RollingDepth's code."""

    steps: int = 2000

    # Constant step size [scale, relative depth].
    step_size: float = 1e-3

    # Decay of the first and second moments [share].
    betas: tuple[float, float] = (0.5, 0.9)

    # Term that keeps the division finite [gradient].
    epsilon: float = 1e-8


@dataclass(frozen=True)
class CoalignOptions:
    """Options of `align_snippets`."""

    weights: ObjectiveWeights = ObjectiveWeights()

    # Stride of the compared pixels, in both directions [px] (RollingDepth's code).
    stride_px: int = 10

    # Pixels along the image border that are not compared [px].
    border_px: int = 2

    # Most values of a clip [count]; the stride grows to stay below: bounds memory.
    max_samples: int = 25_000_000

    # Newton steps [count].
    max_steps: int = 40

    # Least relative decrease of the objective by a step [share]; the solver stops below.
    tolerance: float = 1e-3

    # 'newton', or 'adam': the published 2000 steps, which reach a higher objective, take longer
    # and reject no snippet; for parity with the release.
    solver: Literal['newton', 'adam'] = 'newton'

    # A snippet is rejected whose inconsistency exceeds both this multiple of the median [1]
    # and `min_inconsistency` [share of depth].
    max_inconsistency_ratio: float = 8.0
    min_inconsistency: float = 0.25

    sampling: SamplingOptions = SamplingOptions()
    newton: NewtonOptions = NewtonOptions()
    adam: AdamOptions = AdamOptions()

    def __post_init__(self) -> None:
        """Validate the options.

        raises  ConfigError naming the value
        """
        if self.stride_px < 1 or self.border_px < 0 or self.max_samples < 1:
            raise ConfigError(
                f'co-alignment takes stride_px >= 1, border_px >= 0 and max_samples >= 1, not '
                f'{self.stride_px}, {self.border_px} and {self.max_samples}'
            )
        if self.solver not in ('newton', 'adam'):
            raise ConfigError(
                f"the solver of a co-alignment is 'newton' or 'adam', not {self.solver!r}"
            )


@dataclass(frozen=True)
class DepthCurveOptions:
    """Fit of a depth curve: a log-log polyline, robust and smooth."""

    # Nodes of the polyline [count].
    knots: int = 9

    # Quantiles of the log depth between which the knots lie [share]; constant beyond.
    end_quantiles: tuple[float, float] = (0.01, 0.99)

    # Weights of squared second and first differences, against the mean squared error [1].
    curvature_weight: float = 0.02
    slope_weight: float = 0.002

    # Scale of the Cauchy loss [sigma].
    cauchy_sigmas: float = 1.5

    # Iterations of re-weighted least squares [count].
    iterations: int = 8

    # Added to sigma [log depth]: exact data must not make it zero.
    min_sigma: float = 0.02


@dataclass(frozen=True)
class StreamOptions:
    """Options of `coalign_stream`."""

    # Least landmarks of a frame, and least tracks that connect it to the next [count]. A weaker
    # connection does not carry scale and ends a segment.
    min_landmarks: int = 12

    # Least observations of a track that connects frames [frames].
    min_track_length: int = 3

    # Least frames of a segment [count]; shorter ones keep the scale of the model.
    min_segment_frames: int = 8

    # Alternations between the depth curve and the scales of the frames [count].
    alternations: int = 3

    # Grid cells over which the errors of a model are correlated [count].
    correlated_cells: float = 4.0

    # Limits of the standard deviation of a model's error [log depth].
    min_sigma: float = 0.02
    max_sigma: float = 0.5

    # Stride of the pixels that fix the unit [px].
    unit_stride_px: int = 8

    curve: DepthCurveOptions = DepthCurveOptions()
    grid: SmoothGridOptions = field(default_factory=SmoothGridOptions)


COALIGN_DEFAULTS, STREAM_DEFAULTS = CoalignOptions(), StreamOptions()
