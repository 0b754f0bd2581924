# SPDX-License-Identifier: Apache-2.0
"""Threads that want the same of one device: what waits is done together, and nobody waits longer.

Each thread leaves its request, and whoever finds the device free serves all that wait, in the
order in which they came (flat combining: Hendler et al. 2010, SPAA). So a request that comes while
the device is free is served at once and alone, those that come meanwhile are served together, and
nobody is waited for who has not asked.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar('T')


@dataclass
class _Ticket(Generic[T]):
    """A request, and what has become of it."""

    request: T
    served: bool = False
    error: BaseException | None = None


class RequestBatcher(Generic[T]):
    """Serves requests of several threads, one batch after the other."""

    def __init__(self, serve: Callable[[Sequence[T]], None]) -> None:
        """Let ``serve`` do what waits; what it raises is raised for each request of the batch."""
        self._serve = serve
        self._waiting: list[_Ticket[T]] = []
        self._arrivals = threading.Lock()
        self._serving = threading.Lock()

    def submit(self, request: T) -> None:
        """Return when the request has been served.

        raises  what serving it raised
        """
        ticket = _Ticket(request)
        with self._arrivals:
            self._waiting.append(ticket)
        with self._serving:
            if not ticket.served:
                self._serve_all()
        if ticket.error is not None:
            raise ticket.error

    def run_exclusive(self, change: Callable[[], None]) -> None:
        """Call ``change`` while nothing is being served."""
        with self._serving:
            change()

    def _serve_all(self) -> None:
        with self._arrivals:
            batch, self._waiting = self._waiting, []
        error: BaseException | None = None
        try:
            self._serve([ticket.request for ticket in batch])
        except BaseException as raised:  # each of them hears of it in its own thread
            error = raised
        for ticket in batch:
            ticket.served, ticket.error = True, error
