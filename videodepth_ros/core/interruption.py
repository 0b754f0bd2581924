# SPDX-License-Identifier: Apache-2.0
"""Ending a long command between two frames, so that what it has written is whole."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator
from types import FrameType, TracebackType
from typing import TypeVar

T = TypeVar('T')


class Interruption:
    """Within the ``with`` block SIGINT and SIGTERM only leave a note; a second ends at once."""

    def __init__(self) -> None:
        self.happened = False

    def until(self, items: Iterable[T]) -> Iterator[T]:
        """Yield the items until there is a note."""
        for item in items:
            if self.happened:
                return
            yield item

    def __enter__(self) -> Interruption:
        self._previous = {
            number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)
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

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.happened:
            raise KeyboardInterrupt
        self.happened = True
