# SPDX-License-Identifier: Apache-2.0
"""Assemble the messages of a frame, which arrive one by one and by different topics."""

from __future__ import annotations

import threading
from collections.abc import Collection

Parts = dict[str, bytes]
"""Messages of one stamp in CDR, by part."""


class FrameAssembly:
    """The newest frame, and those of which parts are missing; used by several threads.

    A frame is there when all expected parts are; one whose parts do not come, such as confidence
    of a network that has none, when a newer one begins.
    """

    def __init__(self, most_pending: int) -> None:
        self._most = most_pending
        self._expected: frozenset[str] = frozenset()
        self._pending: dict[int, Parts] = {}
        self._lock = threading.Lock()
        self._newest: tuple[int, Parts] = 0, {}
        self.count = 0

    @property
    def newest(self) -> tuple[int, Parts]:
        """Stamp and parts of the newest frame."""
        with self._lock:
            return self._newest

    def expect(self, parts: Collection[str]) -> None:
        """Set the parts of a frame."""
        self._expected = frozenset(parts)

    def add(self, part: str, stamp_ns: int, data: bytes) -> bool:
        """Add a message; return whether there is a new frame."""
        with self._lock:
            is_new = False
            if stamp_ns not in self._pending:
                is_new = self._complete_all()
                self._pending[stamp_ns] = {}
            parts = self._pending[stamp_ns]
            parts[part] = data
            if self._expected <= set(parts):
                is_new = self._complete(stamp_ns) or is_new
            while len(self._pending) > self._most:
                del self._pending[next(iter(self._pending))]
            return is_new

    def _complete_all(self) -> bool:
        """Complete the newest frame that is incomplete."""
        return bool(self._pending) and self._complete(next(reversed(self._pending)))

    def _complete(self, stamp_ns: int) -> bool:
        self._newest = stamp_ns, self._pending.pop(stamp_ns)
        self.count += 1
        return True
