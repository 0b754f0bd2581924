# SPDX-License-Identifier: Apache-2.0
"""Programs of this package that build something: each runs in a process of its own.

What a builder holds (torch, gigabytes, a GPU) ends with its process, and nobody is kept from
cancelling it. The parent holds the child's standard input: when that closes, nobody waits any
more. The child tells its progress on its standard output, line by line.
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
"""Told the phase of a build, and which fraction of it is done, every ``POLL_PERIOD_S`` or sooner;
it may raise to cancel."""

POLL_PERIOD_S = 0.2

_PROGRESS = 'progress'
"""First word of a line that tells progress."""


@dataclass(frozen=True)
class ProcessResult:
    """How a child ended: its exit code, its last line, and what it wrote to standard error."""

    exit_code: int
    last_line: str
    stderr: str


def ignore_progress(phase: str, fraction: float) -> None:
    """Tell nobody how a build goes on."""


def run_module(
    module: str, arguments: Sequence[object], phase: str, report: BuildProgress
) -> ProcessResult:
    """Run a module of this package until it ends.

    phase   what is reported until the child tells another one
    raises  what ``report`` raises; the child is killed then
    """
    # A session of its own, for Ctrl-C in a terminal is the parent's to answer.
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
    listeners = [_read_lines(child.stdout, lines.put), _read_lines(child.stderr, stderr.append)]
    last_line, fraction = '', 0.0
    while listeners[0].is_alive() or not lines.empty():
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
    for listener in listeners:
        listener.join()
    return ProcessResult(child.wait(), last_line, ''.join(stderr))


def _read_lines(stream: Iterable[str], hear: Callable[[str], None]) -> threading.Thread:
    """Hand on what comes, in a thread of its own, so that the child never waits for a reader."""

    def run() -> None:
        for line in stream:
            hear(line)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def child_environment() -> dict[str, str]:
    """Return the environment in which a process of ours finds what this one has found."""
    search_path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
    return {**os.environ, 'PYTHONPATH': search_path}


# The child's side.


def report_progress(phase: str, fraction: float) -> None:
    """Tell the parent how far this is."""
    print(f'{_PROGRESS} {fraction:.3f} {phase}', flush=True)


def exit_with_parent() -> None:
    """End this process when its standard input closes."""

    def wait() -> None:
        sys.stdin.read()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
