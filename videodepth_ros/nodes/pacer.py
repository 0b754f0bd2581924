# SPDX-License-Identifier: Apache-2.0
"""The time of the data against the time of the wall, for playing recordings."""

from __future__ import annotations

LATEST_S = 0.5
"""Whoever is later than this gives the lost time up, instead of catching up in a rush."""


class Pacer:
    """A line through one pair of times; it cannot drift, for each time follows from that pair.

    late_s  time that was given up, in all
    """

    def __init__(self) -> None:
        self.late_s = 0.0
        self._data_ns, self._steady_s, self.rate = 0, 0.0, 1.0

    def start(self, data_ns: int, steady_s: float, rate: float) -> None:
        """Let data time be ``data_ns`` at ``steady_s``, and go on at ``rate``."""
        self._data_ns, self._steady_s, self.rate = data_ns, steady_s, rate

    def data_ns(self, steady_s: float) -> int:
        """Return the time of the data at a time of the steady clock."""
        return self._data_ns + int((steady_s - self._steady_s) * self.rate * 1e9)

    def left_s(self, due_ns: int, steady_s: float) -> float:
        """Return for how long to wait from ``steady_s`` until a data time; never above 0 if late.

        Who is too late begins a new line here.
        """
        left_s = self._steady_s + (due_ns - self._data_ns) * 1e-9 / self.rate - steady_s
        if left_s < -LATEST_S:
            self.late_s -= left_s
            self.start(due_ns, steady_s, self.rate)
            return 0.0
        return left_s
