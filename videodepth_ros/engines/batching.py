# SPDX-License-Identifier: Apache-2.0
"""Batch the requests of several threads to one device by flat combining.

Each thread queues its request; the first to find the device idle serves all queued ones in order
(Hendler et al. 2010, SPAA). A request to an idle device runs at once and alone; those that arrive
while it is busy form the next batch. There is no batching delay.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar('T')


@dataclass
class _Ticket(Generic[T]):
    """A queued request and its outcome."""

    request: T
    served: bool = False
    error: BaseException | None = None


class RequestBatcher(Generic[T]):
    """Run the requests of several threads in batches, one batch at a time."""

    def __init__(self, serve: Callable[[Sequence[T]], None]) -> None:
        """Run batches with ``serve``; its exceptions are raised for each request of the batch."""
        self._serve = serve
        self._waiting: list[_Ticket[T]] = []
        self._arrivals = threading.Lock()
        self._serving = threading.Lock()

    def submit(self, request: T) -> None:
        """Run a request and return when it is done.

        raises  what ``serve`` raised on its batch
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
        """Call ``change`` while no batch is running."""
        with self._serving:
            change()

    def _serve_all(self) -> None:
        with self._arrivals:
            batch, self._waiting = self._waiting, []
        error: BaseException | None = None
        try:
            self._serve([ticket.request for ticket in batch])
        except BaseException as raised:  # raised again in each thread
            error = raised
        for ticket in batch:
            ticket.served, ticket.error = True, error
