# SPDX-License-Identifier: Apache-2.0
"""The damped Newton step of co-alignment: sparse normal equations, solved without forming them.

Snippets are coupled only through the frames that they share, so the equations are kept as one
small matrix a frame. Time and memory are linear in the clip, whatever the dilations are.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.coalign.objective import Doubles, Quadratic

PRECISION = 0.03
MOST_ROUNDS = 500
LEAST_SHARE = 1e-6


class NormalEquations:
    """A quadratic model as equations for K scales, then K shifts, damped by their diagonal."""

    def __init__(self, model: Quadratic, snippet: NDArray[np.int64], damping: float) -> None:
        """Hold the model and prepare the preconditioner.

        snippet  (F, R) int64, which snippet each row of each frame is from
        damping  share of the diagonal that is added to it (Marquardt 1963)
        """
        count = len(model.gradient)
        rows = snippet.shape[1]
        self.frames = model.frames
        self.unknown = np.concatenate([snippet, snippet + count], axis=1)
        self.right = model.gradient.T.ravel()
        self.held = model.diagonal.T.ravel()
        own = self.held + self._gather(np.einsum('fii->fi', model.frames))
        damped = damping * np.maximum(own, LEAST_SHARE * own.max())
        self.held = self.held + damped
        scale, shift = np.split(own + damped, 2)
        cross = np.bincount(
            snippet.ravel(), np.einsum('fii->fi', model.frames[:, :rows, rows:]).ravel(), count
        )
        self.inverse = np.array([[shift, -cross], [-cross, scale]]) / (scale * shift - cross**2)

    def times(self, step: Doubles) -> Doubles:
        """Return the damped curvature times a step, (2K,)."""
        by_frame = np.einsum('fij,fj->fi', self.frames, step[self.unknown])
        return self._gather(by_frame) + self.held * step

    def precondition(self, residual: Doubles) -> Doubles:
        """Solve for each snippet as if it were alone, (2K,)."""
        return np.einsum('ijk,jk->ik', self.inverse, residual.reshape(2, -1)).ravel()

    def solve(self) -> Doubles:
        """Return the step to be subtracted, (K, 2), to a precision of a few hundredths.

        Preconditioned conjugate gradients (Golub and Van Loan, Matrix Computations, 11.5.2),
        ended early as Newton's method allows: each round already goes downhill.
        """
        step, residual = np.zeros_like(self.right), self.right
        better = self.precondition(residual)
        direction, size = better, residual @ better
        enough = PRECISION**2 * size
        for _ in range(MOST_ROUNDS):
            if size <= enough:
                break
            curved = self.times(direction)
            length = size / (direction @ curved)
            step = step + length * direction
            residual = residual - length * curved
            better = self.precondition(residual)
            size, before = residual @ better, size
            direction = better + size / before * direction
        return step.reshape(2, -1).T

    def _gather(self, by_row: Doubles) -> Doubles:
        """Add up what the rows of all frames say of each unknown, (2K,)."""
        sums = np.bincount(self.unknown.ravel(), by_row.ravel(), len(self.right))
        return np.asarray(sums, np.float64)
