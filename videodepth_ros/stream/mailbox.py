# SPDX-License-Identifier: Apache-2.0
"""One-slot queue between a receiving and a computing thread: the newest item wins.

An item that arrives while another waits displaces it, and is counted, so that neither the latency
nor the memory grows with the load.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar('T')


@dataclass(frozen=True)
class MailboxCounts:
    """Counters: ``received == published + displaced + rejected + in_flight``."""

    received: int = 0
    published: int = 0
    displaced: int = 0
    rejected: int = 0
    in_flight: int = 0


class Mailbox(Generic[T]):
    """One-slot queue; any thread puts, one thread takes.

    The taking thread reports the outcome of each item: ``published``, ``reject`` or ``displace``.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: list[T] = []  # at most one
        self._taken = 0  # 0 or 1
        self._closed = False
        self._received = self._published = self._displaced = self._rejected = 0

    @property
    def counts(self) -> MailboxCounts:
        """Consistent snapshot of the counters."""
        with self._changed:
            return MailboxCounts(
                self._received,
                self._published,
                self._displaced,
                self._rejected,
                len(self._waiting) + self._taken,
            )

    @property
    def closed(self) -> bool:
        """Whether new items are displaced at once."""
        return self._closed

    def put(self, item: T) -> None:
        """Store an item, displacing one that waits; once closed the item itself is displaced."""
        with self._changed:
            self._received += 1
            self._displace()
            if self._closed:
                self._displaced += 1
                return
            self._waiting.append(item)
            self._changed.notify()

    def take(self, timeout_s: float) -> T | None:
        """Return the waiting item, after up to ``timeout_s``; None on timeout or if closed."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while not self._waiting:
                left_s = deadline - time.monotonic()
                if self._closed or left_s <= 0:
                    return None
                self._changed.wait(left_s)
            self._taken += 1
            return self._waiting.pop()

    def take_newer(self, taken: T) -> T:
        """Exchange the taken item for a waiting one, if any: after slow work."""
        with self._changed:
            if not self._waiting:
                return taken
            self._displaced += 1
            return self._waiting.pop()

    def published(self) -> None:
        """Count the taken item as used."""
        with self._changed:
            self._taken -= 1
            self._published += 1

    def reject(self) -> None:
        """Count the taken item as unusable."""
        with self._changed:
            self._taken -= 1
            self._rejected += 1

    def displace(self) -> None:
        """Count the taken item as superseded."""
        with self._changed:
            self._taken -= 1
            self._displaced += 1

    def close(self) -> None:
        """Displace the waiting item and wake the taking thread."""
        with self._changed:
            self._closed = True
            self._displace()
            self._changed.notify_all()

    def reopen(self) -> None:
        """Accept items again after ``close``; the counters go on."""
        with self._changed:
            self._closed = False

    def _displace(self) -> None:
        self._displaced += len(self._waiting)
        self._waiting.clear()
