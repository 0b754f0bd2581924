# SPDX-License-Identifier: Apache-2.0
"""One slot between the thread that receives and the thread that computes: the newest item wins.

A robot wants the depth of now. When items come faster than they can be used, an old one is
displaced and counted, so neither the age of the output nor the memory grows with the load.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar('T')


@dataclass(frozen=True)
class MailboxCounts:
    """What became of the items: ``received == published + displaced + rejected + in_flight``."""

    received: int = 0
    published: int = 0
    displaced: int = 0
    rejected: int = 0
    in_flight: int = 0


class Mailbox(Generic[T]):
    """A slot for one item; any thread puts, one thread takes.

    Whoever takes an item says afterwards what became of it: ``published``, ``reject`` or
    ``displace``.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: list[T] = []  # none or one
        self._taken = 0  # none or one
        self._closed = False
        self._received = self._published = self._displaced = self._rejected = 0

    @property
    def counts(self) -> MailboxCounts:
        """The counters of one instant."""
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
        """Whether every item is displaced as it comes."""
        return self._closed

    def put(self, item: T) -> None:
        """Leave an item; one that still waits is displaced, and so is this one once closed."""
        with self._changed:
            self._received += 1
            self._displace()
            if self._closed:
                self._displaced += 1
                return
            self._waiting.append(item)
            self._changed.notify()

    def take(self, timeout_s: float) -> T | None:
        """Return the item, waiting for one up to ``timeout_s``; None if none came or closed."""
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
        """Swap the item in hand for the one that waits, if any: after something slow."""
        with self._changed:
            if not self._waiting:
                return taken
            self._displaced += 1
            return self._waiting.pop()

    def published(self) -> None:
        """Count the item in hand as used."""
        with self._changed:
            self._taken -= 1
            self._published += 1

    def reject(self) -> None:
        """Count the item in hand as one that could not be used."""
        with self._changed:
            self._taken -= 1
            self._rejected += 1

    def displace(self) -> None:
        """Count the item in hand as one that nobody wants any more."""
        with self._changed:
            self._taken -= 1
            self._displaced += 1

    def close(self) -> None:
        """Wake the taker and displace what waits."""
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
