# SPDX-License-Identifier: Apache-2.0
"""Normal equations whose work grows linearly with the recording.

Unknowns lie in groups along time; a factor touches two neighbouring groups at most, and the
border: what all share (a focal length, the gauge) or what joins far groups (loop closures). The
matrix is block tridiagonal with a border, and elimination along time keeps it so (Golub and
Van Loan, "Matrix Computations", section 4.5). With one group it is an ordinary dense system.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Indices = NDArray[np.intp]

BORDER, HELD = -1, -2
"""In place of a group: an unknown of the border, and one that is given and takes no step."""


class NormalEquations:
    """H x = -gradient, gathered factor by factor.

    Window k is the dense part of H over group k, group k + 1 and the border, in this order.
    """

    def __init__(self, group_of: Indices) -> None:
        """Start with zeros; ``group_of`` (U,) intp says where each unknown lies."""
        self._group_of = group_of
        self._last = max(int(group_of.max(initial=0)), 0)
        members = [np.flatnonzero(group_of == group) for group in range(self._last + 1)]
        border = np.flatnonzero(group_of == BORDER)
        self._sizes = [len(group) for group in members]
        self._windows = [
            np.concatenate([*members[k : k + 2], border]) for k in range(self._last + 1)
        ]
        self._rank = np.zeros(len(group_of), np.intp)
        for group in (*members, border):
            self._rank[group] = np.arange(len(group))
        self._H = [np.zeros((len(window), len(window))) for window in self._windows]
        self._gradient = np.zeros(len(group_of))
        self._touched = np.zeros(len(group_of), np.bool_)

    def add(self, unknowns: Indices, H: Array, gradient: Array) -> None:
        """Add a factor over ``unknowns`` (n,), each named once: H (n, n), gradient (n,)."""
        free = self._group_of[unknowns] != HELD
        unknowns, H = unknowns[free], H[np.ix_(free, free)]
        groups = self._group_of[unknowns]
        k = int(groups[groups >= 0].min(initial=self._last))
        start = np.cumsum([0, *self._sizes[k : k + 2]])
        place = start[np.where(groups == BORDER, -1, groups - k)] + self._rank[unknowns]
        self._H[k][np.ix_(place, place)] += H
        self._gradient[unknowns] += gradient[free]
        self._touched[unknowns] |= H.any(axis=1)

    def solve(self, damping: float) -> Array:
        """Return the step x, (U,), of H with its diagonal grown by the share ``damping``."""
        windows = [H.copy() for H in self._H]
        right = [np.zeros(len(window)) for window in self._windows]
        self._damp(windows, damping)
        for k, size in enumerate(self._sizes):
            right[k][:size] -= self._gradient[self._windows[k][:size]]
        border = np.flatnonzero(self._group_of == BORDER)
        right[-1][self._sizes[-1] :] -= self._gradient[border]
        for k in range(self._last):
            self._eliminate(k, windows, right)
        step = np.zeros(len(self._group_of))
        step[self._windows[-1]] = np.linalg.solve(windows[-1], right[-1])
        for k in reversed(range(self._last)):
            n, window = self._sizes[k], self._windows[k]
            rest = right[k][:n] - windows[k][:n, n:] @ step[window[n:]]
            step[window[:n]] = np.linalg.solve(windows[k][:n, :n], rest)
        return step

    def _damp(self, windows: list[Array], damping: float) -> None:
        """Grow the diagonal, and put 1 where no factor touches an unknown, which so stays.

        A group lies in two windows, which hold its diagonal in shares; the first puts the 1.
        """
        for k, H in enumerate(windows):
            own = len(H) if k == self._last else self._sizes[k]
            H[np.diag_indices_from(H)] *= 1 + damping
            idle = np.flatnonzero(~self._touched[self._windows[k][:own]])
            H[idle, idle] = 1.0

    def _eliminate(self, k: int, windows: list[Array], right: list[Array]) -> None:
        """Carry over to window k + 1 what group k and window k know of its unknowns."""
        n, H = self._sizes[k], windows[k]
        solved = np.linalg.solve(H[:n, :n], np.column_stack([H[:n, n:], right[k][:n]]))
        passed = H[n:, n:] - H[n:, :n] @ solved[:, :-1]
        after = len(windows[k + 1]) - (len(H) - n - self._sizes[k + 1])
        place = np.r_[: self._sizes[k + 1], after : len(windows[k + 1])]
        windows[k + 1][np.ix_(place, place)] += passed
        right[k + 1][place] += right[k][n:] - H[n:, :n] @ solved[:, -1]
