# SPDX-License-Identifier: Apache-2.0
"""Messages and progress on stderr; results go to stdout."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

from videodepth_ros.core.words import duration_text

if TYPE_CHECKING:
    from tqdm import tqdm

    from videodepth_ros.core.progress import Progress

T = TypeVar('T')

LINE_PERIOD_S = 10.0
"""Period of the lines of progress where stderr is no terminal, such as a pipe or a log [s]."""

PER_MILLE = 1000  # resolution of a progress bar

_bars: list[tqdm[Any]] = []

log = logging.getLogger('videodepth')
"""Logger of the commands: INFO is progress, which --quiet suppresses; WARNING and above stay."""


def configure(*, quiet: bool) -> None:
    """Log to stderr without decoration; with ``quiet`` only warnings and errors."""
    handler = _AboveBars(sys.stderr)
    handler.setFormatter(logging.Formatter('%(message)s'))
    log.handlers[:] = [handler]
    log.setLevel(logging.WARNING if quiet else logging.INFO)
    log.propagate = False


def close_bars() -> None:
    """Remove the bars of loops that an error has ended, before the error is printed."""
    while _bars:
        _bars.pop().close()


class _AboveBars(logging.StreamHandler[Any]):
    """Handler that writes above the progress bars of the terminal."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record; bars are redrawn below it."""
        bars = sys.modules.get('tqdm')  # loaded by the first bar
        with bars.tqdm.external_write_mode(file=self.stream) if bars else nullcontext():
            super().emit(record)


class ProgressDisplay:
    """Progress on stderr: a bar on a terminal, elsewhere a line in every LINE_PERIOD_S.

    Nothing is shown before the first item is done, and nothing with --quiet.
    """

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None
        self._stage = ''
        self._first_done = 0
        self._began_s = self._line_s = time.monotonic()

    def __enter__(self) -> ProgressDisplay:
        """Return the display, which is closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()
            if self._bar in _bars:
                _bars.remove(self._bar)

    def show(self, progress: Progress) -> None:
        """Show the stage, items, rate and time left of a job."""
        if not log.isEnabledFor(logging.INFO):
            return
        now_s = time.monotonic()
        if progress.stage != self._stage:
            self._stage, self._first_done, self._began_s = progress.stage, progress.done, now_s
        facts = self._facts(progress, now_s)
        if sys.stderr.isatty():
            self._draw(progress, facts)
        elif now_s - self._line_s >= LINE_PERIOD_S:
            self._line_s = now_s
            log.info('%s', _line(progress, facts))

    def _facts(self, progress: Progress, now_s: float) -> str:
        """Return items, rate and time left, as far as they are known."""
        facts = []
        if progress.done:
            facts.append(f'{progress.done}/{progress.items or "?"}')
        if progress.done > self._first_done and now_s > self._began_s:
            rate = (progress.done - self._first_done) / (now_s - self._began_s)
            facts.append(f'{rate:.3g}/s')
        if progress.seconds_left is not None:
            facts.append(f'{duration_text(progress.seconds_left)} left')
        return ', '.join(facts)

    def _draw(self, progress: Progress, facts: str) -> None:
        done = int(PER_MILLE * progress.fraction)
        if self._bar is None:
            from tqdm import tqdm

            self._bar = tqdm(
                total=PER_MILLE,
                initial=done,
                desc=progress.stage,
                leave=False,
                file=sys.stderr,
                dynamic_ncols=True,
                bar_format=_bar_format(facts),
            )
            _bars.append(self._bar)
        self._bar.set_description_str(progress.stage, refresh=False)
        self._bar.bar_format = _bar_format(facts)
        self._bar.update(done - self._bar.n)


def progress(items: Iterable[T], total: int | None, stage: str) -> Iterator[T]:
    """Yield items and show how many are done; the end of the loop removes the bar.

    total  number of items; None: unknown
    stage  name of the work
    """
    from videodepth_ros.core.progress import Progress

    began_s = time.monotonic()
    with ProgressDisplay() as display:
        for done, item in enumerate(items, 1):
            yield item
            of = max(total or 0, done) if total else 0
            left_s = (time.monotonic() - began_s) / done * (of - done) if of else None
            display.show(Progress(stage, done / of if of else 0.0, left_s, None, done, of))


def _bar_format(facts: str) -> str:
    """Return the format of a bar; a postfix of tqdm would begin with a comma."""
    return f'{{desc:<10}} {{percentage:3.0f}} % |{{bar}}| {facts}'


def _line(progress: Progress, facts: str) -> str:
    share = f' {progress.fraction:.0%}' if progress.fraction else ''
    return f'{progress.stage}{share}' + (f': {facts}' if facts else '')
