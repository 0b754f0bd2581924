# SPDX-License-Identifier: Apache-2.0
"""Graceful interruption: stop a long command between two frames, so that its output is whole."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator
from types import FrameType, TracebackType
from typing import TypeVar

T = TypeVar('T')


class Interruption:
    """Context manager: the first SIGINT or SIGTERM sets ``requested``; the second one raises."""

    def __init__(self) -> None:
        self.requested = False

    def iterate(self, items: Iterable[T]) -> Iterator[T]:
        """Yield the items until an interruption is requested."""
        for item in items:
            if self.requested:
                return
            yield item

    def __enter__(self) -> Interruption:
        self._previous = {
            number: signal.signal(number, self._handle)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
