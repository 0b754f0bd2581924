# SPDX-License-Identifier: Apache-2.0
"""Block-tridiagonal normal equations with a border: linear in the length of a recording.

Parameters lie in blocks along time. A factor touches two neighboring blocks at most, and the
border: shared parameters (focal length, gauge) and those that join far blocks (loop closures).
Elimination along time keeps this structure (Golub and Van Loan, "Matrix Computations", section
4.5). With one block it is an ordinary dense system.
"""

from __future__ import annotations

import numpy as np

from videodepth_ros.core.arrays import Float64Array, IndexArray

BORDER, FIXED = -1, -2
"""Block numbers of a parameter of the border, and of a constant parameter, whose step is 0."""


class NormalEquations:
    """The system H x = -gradient, accumulated factor by factor.

    Window k is the dense part of H over block k, block k + 1 and the border, in this order.
    """

    def __init__(self, block_of: IndexArray) -> None:
        """Start with zeros.

        block_of  (U,) intp, block of each parameter, BORDER or FIXED
        """
        self._block_of = block_of
        self._last = max(int(block_of.max(initial=0)), 0)
        members = [np.flatnonzero(block_of == block) for block in range(self._last + 1)]
        border = np.flatnonzero(block_of == BORDER)
        self._sizes = [len(block) for block in members]
        self._windows = [
            np.concatenate([*members[k : k + 2], border]) for k in range(self._last + 1)
        ]
        self._rank = np.zeros(len(block_of), np.intp)
        for block in (*members, border):
            self._rank[block] = np.arange(len(block))
        self._H = [np.zeros((len(window), len(window))) for window in self._windows]
        self._gradient = np.zeros(len(block_of))
        self._touched = np.zeros(len(block_of), np.bool_)

    def add(self, parameters: IndexArray, H: Float64Array, gradient: Float64Array) -> None:
        """Add a factor over distinct ``parameters`` (n,): H (n, n), gradient (n,)."""
        free = self._block_of[parameters] != FIXED
        parameters, H = parameters[free], H[np.ix_(free, free)]
        blocks = self._block_of[parameters]
        k = int(blocks[blocks >= 0].min(initial=self._last))
        start = np.cumsum([0, *self._sizes[k : k + 2]])
        place = start[np.where(blocks == BORDER, -1, blocks - k)] + self._rank[parameters]
        self._H[k][np.ix_(place, place)] += H
        self._gradient[parameters] += gradient[free]
        self._touched[parameters] |= H.any(axis=1)

    def add_diagonal(
        self, parameters: IndexArray, curvature: Float64Array, gradient: Float64Array
    ) -> None:
        """Add a factor over each of distinct ``parameters`` (n,): curvature and gradient (n,)."""
        block = self._block_of[parameters]
        window = np.where(block == BORDER, self._last, block)
        for k in np.unique(window[block != FIXED]).tolist():
            at = np.flatnonzero((window == k) & (block != FIXED))
            place = self._rank[parameters[at]]
            place += np.where(block[at] == BORDER, self._sizes[k], 0)
            self._H[k][place, place] += curvature[at]
            self._gradient[parameters[at]] += gradient[at]
            self._touched[parameters[at]] |= curvature[at] != 0

    def solve(self, damping: float) -> Float64Array:
        """Return the Levenberg-Marquardt step x (U,): diag(H) is scaled by 1 + ``damping``."""
        return self._solve(self._gradient, damping)

    def variance(self, parameter: int) -> float:
        """Return the marginal variance of a parameter, its entry of the inverse of H."""
        unit = np.zeros(len(self._block_of))
        unit[parameter] = -1.0
        return float(self._solve(unit, 0.0)[parameter])

    def _solve(self, gradient: Float64Array, damping: float) -> Float64Array:
        windows = [H.copy() for H in self._H]
        right = [np.zeros(len(window)) for window in self._windows]
        self._damp(windows, damping)
        for k, size in enumerate(self._sizes):
            right[k][:size] -= gradient[self._windows[k][:size]]
        border = np.flatnonzero(self._block_of == BORDER)
        right[-1][self._sizes[-1] :] -= gradient[border]
        for k in range(self._last):
            self._eliminate(k, windows, right)
        step = np.zeros(len(self._block_of))
        step[self._windows[-1]] = np.linalg.solve(windows[-1], right[-1])
        for k in reversed(range(self._last)):
            n, window = self._sizes[k], self._windows[k]
            rest = right[k][:n] - windows[k][:n, n:] @ step[window[n:]]
            step[window[:n]] = np.linalg.solve(windows[k][:n, :n], rest)
        return step

    def _damp(self, windows: list[Float64Array], damping: float) -> None:
        """Scale the diagonal; set it to 1 for parameters without factors, whose step is then 0.

        A block lies in two windows, each with a share of its diagonal; the first one gets the 1.
        """
        for k, H in enumerate(windows):
            own = len(H) if k == self._last else self._sizes[k]
            H[np.diag_indices_from(H)] *= 1 + damping
            idle = np.flatnonzero(~self._touched[self._windows[k][:own]])
            H[idle, idle] = 1.0

    def _eliminate(self, k: int, windows: list[Float64Array], right: list[Float64Array]) -> None:
        """Eliminate block k: add its Schur complement to window k + 1."""
        n, H = self._sizes[k], windows[k]
        solved = np.linalg.solve(H[:n, :n], np.column_stack([H[:n, n:], right[k][:n]]))
        passed = H[n:, n:] - H[n:, :n] @ solved[:, :-1]
        after = len(windows[k + 1]) - (len(H) - n - self._sizes[k + 1])
        place = np.r_[: self._sizes[k + 1], after : len(windows[k + 1])]
        windows[k + 1][np.ix_(place, place)] += passed
        right[k + 1][place] += right[k][n:] - H[n:, :n] @ solved[:, -1]
