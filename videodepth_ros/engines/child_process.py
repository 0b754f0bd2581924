# SPDX-License-Identifier: Apache-2.0
"""Run a builder module of this package in a child process, with progress and cancellation.

Memory and device state of a builder end with its process, and it can be cancelled at any time. The
child exits when its standard input closes, that is, when its parent dies. It writes its progress
to standard output, line by line.
"""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

BuildProgress = Callable[[str, float], None]
"""Progress callback of a build: phase, and fraction done; it may raise to cancel."""

POLL_PERIOD_S = 0.2
"""Longest time between two calls of the progress callback [s]."""

_PROGRESS = 'progress'
"""First word of a progress line."""


@dataclass(frozen=True)
class ProcessResult:
    """Exit code, last line of standard output, and standard error of a child process."""

    exit_code: int
    last_line: str
    stderr: str


def ignore_progress(phase: str, fraction: float) -> None:
    """Ignore the progress of a build."""


def run_module(
    module: str, arguments: Sequence[object], phase: str, report: BuildProgress
) -> ProcessResult:
    """Run a module of this package until it exits.

    phase   reported until the child reports another one
    report  called every ``POLL_PERIOD_S`` or sooner; its exceptions kill the child
    raises  what ``report`` raises
    """
    # A session of its own: Ctrl-C in a terminal is handled by the parent.
    with subprocess.Popen(
        [sys.executable, '-m', module, *map(str, arguments)],
        env=child_environment(),
        text=True,
        errors='replace',
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as child:
        try:
            return _collect_output(child, phase, report)
        except BaseException:
            child.kill()
            raise


def _collect_output(
    child: subprocess.Popen[str], phase: str, report: BuildProgress
) -> ProcessResult:
    assert child.stdout is not None
    assert child.stderr is not None
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    stderr: list[str] = []
    readers = [_read_lines(child.stdout, lines.put), _read_lines(child.stderr, stderr.append)]
    last_line, fraction = '', 0.0
    while readers[0].is_alive() or not lines.empty():
        report(phase, fraction)
        try:
            line = lines.get(timeout=POLL_PERIOD_S).strip()
        except queue.Empty:
            continue
        first, _, rest = line.partition(' ')
        if first == _PROGRESS:
            number, _, phase = rest.partition(' ')
            fraction = float(number)
            report(phase, fraction)
        elif line:
            last_line = line
    for reader in readers:
        reader.join()
    return ProcessResult(child.wait(), last_line, ''.join(stderr))


def _read_lines(stream: Iterable[str], on_line: Callable[[str], None]) -> threading.Thread:
    """Pass the lines of a stream on in a thread, so that the child never blocks on a pipe."""

    def run() -> None:
        for line in stream:
            on_line(line)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def child_environment() -> dict[str, str]:
    """Return an environment in which a child process has this process's import path."""
    search_path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
    return {**os.environ, 'PYTHONPATH': search_path}


# Called in the child process.


def report_progress(phase: str, fraction: float) -> None:
    """Report phase and fraction to the parent process."""
    print(f'{_PROGRESS} {fraction:.3f} {phase}', flush=True)


def exit_with_parent() -> None:
    """Exit this process when its standard input closes."""

    def wait() -> None:
        sys.stdin.read()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
