# SPDX-License-Identifier: Apache-2.0
"""Co-alignment: one scale and shift per snippet that make all snippets agree on every frame.

RollingDepth (arXiv 2411.19189, section 3.3) solves it by 2000 steps of Adam; a dozen damped Newton
steps of iteratively re-weighted least squares reach a lower objective. Snippets are coupled only
through the frames they share, so the equations are kept as one small matrix per frame, and time
and memory are linear in the clip, for any dilations.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from videodepth_ros.coalign.objective import Objective, QuadraticModel
from videodepth_ros.coalign.options import COALIGN_DEFAULTS, CoalignOptions, NewtonOptions
from videodepth_ros.coalign.reference import minimize_adam
from videodepth_ros.coalign.samples import Snippets, SnippetSamples, sample_snippets
from videodepth_ros.core.arrays import Float32Array, Float64Array, IndexArray, MaskArray


@dataclass(frozen=True)
class SnippetAlignment:
    """Result of the co-alignment: depth = scale * (relative_depth - offset) + shift.

    scales, shifts   per `Snippets`, (S,) float64 each
    usable           per `Snippets`, (S,) bool: False where a snippet is empty, constant or
                     inconsistent with the others, and should not be merged
    offset           minimum over all snippets
    min_valid, max_valid  values of a snippet outside are outliers, and unknown
    objective        at the solution
    steps            of the solver
    """

    scales: tuple[Float64Array, ...]
    shifts: tuple[Float64Array, ...]
    usable: tuple[MaskArray, ...]
    offset: float
    min_valid: float
    max_valid: float
    objective: float
    steps: int


def align_snippets(
    snippets: Sequence[Snippets], options: CoalignOptions = COALIGN_DEFAULTS
) -> SnippetAlignment:
    """Estimate the scale and shift of every snippet that make the snippets agree.

    snippets  one `Snippets` per dilation; they are read once, in slices
    raises    InputError if there is nothing to align or image sizes differ

    The result is up to one scale and shift for the whole clip. Unknown (NaN) values and outliers
    are ignored. Inconsistent snippets are detected at the first solution and rejected in a
    second one.
    """
    samples = sample_snippets(snippets, options)
    solution = (_solve_newton if options.solver == 'newton' else _solve_adam)(samples, options)
    ends = np.cumsum([len(group.frames) for group in snippets])[:-1]
    scales, shifts = solution.point.T
    return SnippetAlignment(
        tuple(np.split(scales, ends)),
        tuple(np.split(shifts, ends)),
        tuple(np.split(solution.usable, ends)),
        samples.offset,
        samples.min_valid,
        samples.max_valid,
        solution.objective,
        solution.steps,
    )


def merge_snippets(
    snippets: Sequence[Snippets],
    alignment: SnippetAlignment,
    precision: type[np.floating[Any]] = np.float32,
) -> Iterator[Float32Array]:
    """Yield the mean of all aligned depth maps of each frame, (H, W) float32, NaN where unknown.

    precision  of the sums; the release sums in that of its network, which leaves bands in half

    Each depth map is read once, one at a time. Snippets that are not usable contribute only to
    frames without others.
    """
    members: list[list[tuple[int, int, int]]] = [
        [] for _ in range(1 + max(int(group.frames.max()) for group in snippets))
    ]
    for number, group in enumerate(snippets):
        for (snippet, position), frame in np.ndenumerate(group.frames):
            members[frame].append((number, snippet, position))
    size = snippets[0].relative_depth.shape[2:]
    for maps in members:
        usable = [at for at in maps if alignment.usable[at[0]][at[1]]] or maps
        total, count = np.zeros(size, precision), np.zeros(size, precision)
        for number, snippet, position in usable:
            depth = snippets[number].relative_depth[snippet, position].astype(precision)
            known = (depth >= alignment.min_valid) & (depth <= alignment.max_valid)
            scale, shift = alignment.scales[number][snippet], alignment.shifts[number][snippet]
            depth = precision(scale) * (depth - precision(alignment.offset))
            total += np.where(known, depth + precision(shift), precision(0))
            count += known
        with np.errstate(invalid='ignore'):
            yield np.asarray(total / count, np.float32)


@dataclass(frozen=True)
class _Solution:
    """Scales and shifts `point` (K, 2), `usable` (K,) bool, objective and step count."""

    point: Float64Array
    usable: MaskArray
    objective: float
    steps: int


def _solve_adam(samples: SnippetSamples, options: CoalignOptions) -> _Solution:
    """Solve as released; rejects no snippet."""
    result = minimize_adam(samples, options.weights, options.adam)
    return _Solution(
        result.point,
        np.ones(len(result.point), bool),
        Objective(samples, options.weights, options.sampling).value(result.point),
        len(result.objective),
    )


def _solve_newton(samples: SnippetSamples, options: CoalignOptions) -> _Solution:
    """Solve; where that reveals inconsistent snippets, solve again without them."""
    objective = Objective(samples, options.weights, options.sampling)
    point, value, steps = minimize_newton(objective, objective.initial_point, options)
    usable = _usable_snippets(objective, point, options)
    if not usable.all() and usable.any():
        objective = Objective(samples.without(~usable), options.weights, options.sampling)
        point, value, more = minimize_newton(objective, point, options)
        steps += more
    return _Solution(point, usable, value, steps)


def minimize_newton(
    objective: Objective, point: Float64Array, options: CoalignOptions = COALIGN_DEFAULTS
) -> tuple[Float64Array, float, int]:
    """Minimise the objective from `point` (K, 2) by damped Newton steps.

    returns  the minimum (K, 2), its value, and the number of steps
    Levenberg-Marquardt damping: a rejected step is repeated with a larger damping. The softness
    of the absolute value decays from step to step.
    """
    newton = options.newton
    damping, softness, step = newton.initial_damping, newton.initial_softness, 0
    model = objective.quadratic_model(point, softness)
    converged = False
    while not converged and step < options.max_steps and damping < newton.max_damping:
        equations = SnippetNormalEquations(model, objective.samples.snippet, damping, newton)
        candidate = point - equations.solve()
        softness = max(softness * newton.softness_decay, newton.min_softness)
        after = objective.quadratic_model(candidate, softness)
        if after.value < model.value:
            gain_is_small = after.value > (1 - options.tolerance) * model.value
            converged = softness == newton.min_softness and gain_is_small
            point, model, step = candidate, after, step + 1
            damping = max(damping * newton.damping_decrease, newton.min_damping)
        else:
            damping *= newton.damping_increase
    return point, model.value, step


def _usable_snippets(
    objective: Objective, point: Float64Array, options: CoalignOptions
) -> MaskArray:
    """Return the snippets that are neither empty, constant, inverted nor inconsistent, (K,)."""
    samples, count = objective.samples, len(point)
    rows = samples.snippet.ravel()
    known = np.bincount(rows, samples.known.sum(axis=2).ravel(), count)
    minimum, maximum = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(
        minimum, rows, samples.values.min(axis=2, where=samples.known, initial=np.inf).ravel()
    )
    np.maximum.at(
        maximum, rows, samples.values.max(axis=2, where=samples.known, initial=-np.inf).ravel()
    )
    usable = (known > 0) & (maximum > minimum) & (point[:, 0] > 0)
    if usable.any():
        inconsistency = objective.inconsistency(point)
        usable &= inconsistency <= max(
            options.min_inconsistency,
            options.max_inconsistency_ratio * float(np.median(inconsistency[usable])),
        )
    return usable


class SnippetNormalEquations:
    """Damped normal equations of a quadratic model, in K scales, then K shifts; never formed."""

    def __init__(
        self,
        model: QuadraticModel,
        snippet: IndexArray,
        damping: float,
        options: NewtonOptions = COALIGN_DEFAULTS.newton,
    ) -> None:
        """Set up the equations and their block-Jacobi preconditioner.

        snippet  (F, R) int64, index of the snippet of each row of each frame
        damping  share of the diagonal that is added to it (Marquardt 1963)
        """
        count = len(model.gradient)
        rows = snippet.shape[1]
        self.options = options
        self.frames = model.frames
        self.unknown = np.concatenate([snippet, snippet + count], axis=1)
        self.gradient = model.gradient.T.ravel()
        self.diagonal = model.diagonal.T.ravel()
        full = self.diagonal + self._scatter(np.einsum('fii->fi', model.frames))
        damped = damping * np.maximum(full, options.min_diagonal * full.max())
        self.diagonal = self.diagonal + damped
        scale, shift = np.split(full + damped, 2)
        cross = np.bincount(
            snippet.ravel(), np.einsum('fii->fi', model.frames[:, :rows, rows:]).ravel(), count
        )
        self.inverse = np.array([[shift, -cross], [-cross, scale]]) / (scale * shift - cross**2)

    def matvec(self, step: Float64Array) -> Float64Array:
        """Return the product of the damped Hessian and a step, (2K,)."""
        by_frame = np.einsum('fij,fj->fi', self.frames, step[self.unknown])
        return self._scatter(by_frame) + self.diagonal * step

    def precondition(self, residual: Float64Array) -> Float64Array:
        """Apply the inverse of each snippet's 2x2 block, (2K,)."""
        return np.einsum('ijk,jk->ik', self.inverse, residual.reshape(2, -1)).ravel()

    def solve(self) -> Float64Array:
        """Return the step to subtract, (K, 2), to the relative residual `cg_tolerance`.

        Preconditioned conjugate gradients (Golub and Van Loan, Matrix Computations, 11.5.2),
        stopped early as in inexact Newton methods: every iterate is a descent direction.
        """
        step, residual = np.zeros_like(self.gradient), self.gradient
        preconditioned = self.precondition(residual)
        direction, size = preconditioned, residual @ preconditioned
        target = self.options.cg_tolerance**2 * size
        for _ in range(self.options.max_cg_iterations):
            if size <= target:
                break
            curved = self.matvec(direction)
            length = size / (direction @ curved)
            step = step + length * direction
            residual = residual - length * curved
            preconditioned = self.precondition(residual)
            size, before = residual @ preconditioned, size
            direction = preconditioned + size / before * direction
        return step.reshape(2, -1).T

    def _scatter(self, by_row: Float64Array) -> Float64Array:
        """Sum the rows of all frames per unknown, (2K,)."""
        sums = np.bincount(self.unknown.ravel(), by_row.ravel(), len(self.gradient))
        return np.asarray(sums, np.float64)
