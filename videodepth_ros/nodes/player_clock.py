# SPDX-License-Identifier: Apache-2.0
"""Clock of a playback: data time as a linear function of the steady clock."""

from __future__ import annotations

from videodepth_ros.nodes.options import OFFLINE


class PlayerClock:
    """A line through one anchor of data time and steady time, which therefore does not drift.

    late_s  accumulated lag that re-anchoring has given up
    """

    def __init__(self, max_lag_s: float = OFFLINE.max_lag_s) -> None:
        self._max_lag_s = max_lag_s
        self.late_s = 0.0
        self._data_ns, self._steady_s, self.rate = 0, 0.0, 1.0

    def start(self, data_ns: int, steady_s: float, rate: float) -> None:
        """Anchor ``data_ns`` at ``steady_s``; data time then runs at ``rate``."""
        self._data_ns, self._steady_s, self.rate = data_ns, steady_s, rate

    def data_ns(self, steady_s: float) -> int:
        """Return the data time at a steady time."""
        return self._data_ns + int((steady_s - self._steady_s) * self.rate * 1e9)

    def wait_s(self, due_ns: int, steady_s: float) -> float:
        """Return the wait from ``steady_s`` to a data time; 0 or less if it is due.

        A lag of more than ``max_lag_s`` re-anchors the clock at ``due_ns``, so that data is not
        published in a burst.
        """
        wait_s = self._steady_s + (due_ns - self._data_ns) * 1e-9 / self.rate - steady_s
        if wait_s < -self._max_lag_s:
            self.late_s -= wait_s
            self.start(due_ns, steady_s, self.rate)
            return 0.0
        return wait_s
