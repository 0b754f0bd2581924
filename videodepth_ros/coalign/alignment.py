# SPDX-License-Identifier: Apache-2.0
"""Co-alignment: one scale and shift for each snippet, so that all agree on every frame.

The snippets may come from any model that sees a few frames at a time and answers up to a scale
and a shift. RollingDepth (arXiv 2411.19189, section 3.3) takes 2000 steps of Adam to this; a
dozen damped Newton steps of iteratively reweighted least squares reach a lower objective.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.coalign.objective import Doubles, Objective, Weights
from videodepth_ros.coalign.reference import descend
from videodepth_ros.coalign.samples import Samples, Snippets, sample_snippets
from videodepth_ros.coalign.solver import NormalEquations
from videodepth_ros.core.errors import ConfigError

DAMPING = 1e-3
LEAST_DAMPING, MOST_DAMPING = 1e-6, 1e4
EASE, HARDEN = 0.25, 8.0
SOFTNESS, LEAST_SOFTNESS, SOFTNESS_RATIO = 1.0, 0.1, 0.7
TOLERATED_CONTRADICTION = 0.25


@dataclass(frozen=True)
class CoalignSettings:
    """How snippets are compared; the defaults are the published ones.

    weights        of the objective's terms
    stride_px      every so many-th pixel is compared, in both directions
    border_px      pixels along the edges that are not
    max_samples    the stride grows until a clip has no more values than this: memory is bounded
    max_steps      Newton steps at most
    tolerance      ends once a step gains less than this share of the objective
    solver         'newton'; or 'adam', the published 2000 steps, where parity matters more than
                   time and the least objective: it leaves no snippet out
    broken_beyond  a snippet is broken that contradicts the others so many times as much as the
                   median one does, and by a quarter of the depth at least
    """

    weights: Weights = field(default_factory=Weights)
    stride_px: int = 10
    border_px: int = 2
    max_samples: int = 25_000_000
    max_steps: int = 40
    tolerance: float = 1e-3
    solver: Literal['newton', 'adam'] = 'newton'
    broken_beyond: float = 8.0

    def __post_init__(self) -> None:
        """Refuse what cannot be meant.

        raises  ConfigError naming the value
        """
        if self.stride_px < 1 or self.border_px < 0 or self.max_samples < 1:
            raise ConfigError(
                f'co-alignment compares every stride_px >= 1 within border_px >= 0, '
                f'not {self.stride_px} within {self.border_px}, and '
                f'max_samples >= 1, not {self.max_samples}'
            )
        if self.solver not in ('newton', 'adam'):
            raise ConfigError(
                f"the solver of a co-alignment is 'newton' or 'adam', not {self.solver!r}"
            )


@dataclass(frozen=True)
class Alignment:
    """What brings all snippets together: depth = scale * (relative_depth - offset) + shift.

    scales, shifts   for each `Snippets`, (S,) float64 each
    usable           for each `Snippets`, (S,) bool: False where a snippet is empty, has no
                     relief or contradicts the others, and is better left out
    offset           least value of all snippets
    lowest, highest  values of a snippet beyond these are wild, and unknown
    objective        that was reached
    steps            of the solver
    """

    scales: tuple[Doubles, ...]
    shifts: tuple[Doubles, ...]
    usable: tuple[NDArray[np.bool_], ...]
    offset: float
    lowest: float
    highest: float
    objective: float
    steps: int


def align_snippets(
    snippets: Sequence[Snippets], settings: CoalignSettings | None = None
) -> Alignment:
    """Return the scale and shift of every snippet that make the snippets agree.

    snippets  one `Snippets` a dilation; they are read once, a few at a time
    raises    InputError if there is nothing to align or pictures differ in size

    The result is up to one scale and shift for the whole clip. Unknown (NaN) and wild values are
    left out. Broken snippets are found at the first solution, and the second is without them.
    """
    settings = settings or CoalignSettings()
    samples = sample_snippets(
        snippets, settings.stride_px, settings.border_px, settings.max_samples
    )
    solved = (_newton if settings.solver == 'newton' else _adam)(samples, settings)
    ends = np.cumsum([len(kind.frames) for kind in snippets])[:-1]
    scales, shifts = solved.point.T
    return Alignment(
        tuple(np.split(scales, ends)),
        tuple(np.split(shifts, ends)),
        tuple(np.split(solved.usable, ends)),
        samples.offset,
        samples.lowest,
        samples.highest,
        solved.objective,
        solved.steps,
    )


@dataclass(frozen=True)
class Solution:
    """Scales and shifts `point` (K, 2), `usable` (K,) bool, and what they came to."""

    point: Doubles
    usable: NDArray[np.bool_]
    objective: float
    steps: int


def _adam(samples: Samples, settings: CoalignSettings) -> Solution:
    """Solve as the release does."""
    reached = descend(samples, settings.weights)
    return Solution(
        reached.point,
        np.ones(len(reached.point), bool),
        Objective(samples, settings.weights).value(reached.point),
        len(reached.objective),
    )


def _newton(samples: Samples, settings: CoalignSettings) -> Solution:
    """Solve, and where that shows broken snippets, solve again without them."""
    objective = Objective(samples, settings.weights)
    point, value, steps = minimise(
        objective, objective.start, settings.max_steps, settings.tolerance
    )
    usable = _usable(objective, point, settings.broken_beyond)
    if not usable.all() and usable.any():
        objective = Objective(samples.without(~usable), settings.weights)
        point, value, more = minimise(objective, point, settings.max_steps, settings.tolerance)
        steps += more
    return Solution(point, usable, value, steps)


def minimise(
    objective: Objective, point: Doubles, max_steps: int, tolerance: float
) -> tuple[Doubles, float, int]:
    """Return the point of least objective, (K, 2), its value, and the steps from `point` to it.

    Levenberg's and Marquardt's damping: a step that does not gain is taken again, shorter. The
    softness of the absolute value falls from step to step.
    """
    damping, softness, step = DAMPING, SOFTNESS, 0
    model = objective.quadratic(point, softness)
    enough = False
    while not enough and step < max_steps and damping < MOST_DAMPING:
        moved = point - NormalEquations(model, objective.samples.snippet, damping).solve()
        softness = max(softness * SOFTNESS_RATIO, LEAST_SOFTNESS)
        after = objective.quadratic(moved, softness)
        if after.value < model.value:
            enough = softness == LEAST_SOFTNESS and (after.value > (1 - tolerance) * model.value)
            point, model, step = moved, after, step + 1
            damping = max(damping * EASE, LEAST_DAMPING)
        else:
            damping *= HARDEN
    return point, model.value, step


def _usable(objective: Objective, point: Doubles, broken_beyond: float) -> NDArray[np.bool_]:
    """Tell the snippets that may be merged, (K,) bool."""
    samples, count = objective.samples, len(point)
    rows = samples.snippet.ravel()
    seen = np.bincount(rows, samples.known.sum(axis=2).ravel(), count)
    least, most = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(
        least, rows, samples.values.min(axis=2, where=samples.known, initial=np.inf).ravel()
    )
    np.maximum.at(
        most, rows, samples.values.max(axis=2, where=samples.known, initial=-np.inf).ravel()
    )
    usable = (seen > 0) & (most > least) & (point[:, 0] > 0)
    if usable.any():
        contradiction = objective.contradiction(point)
        usable &= contradiction <= max(
            TOLERATED_CONTRADICTION, broken_beyond * float(np.median(contradiction[usable]))
        )
    return usable
