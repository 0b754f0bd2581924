# SPDX-License-Identifier: Apache-2.0
"""The offline job in a process of its own: whatever becomes of it, the node lives on.

A pipe brings what the job tells. Anything that is sent the other way ends the job, and so does the
end of the node, for the pipe is closed then. A job may be killed at any time, for it can go on.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path

from videodepth_ros.core.errors import Cancelled, VideoDepthError
from videodepth_ros.core.progress import Progress
from videodepth_ros.refine.settings import RefineSettings

REPORT_PERIOD_S, PREVIEW_PERIOD_S = 0.2, 2.0
"""How often at most the process tells how far it is, and shows a picture."""


@dataclass(frozen=True)
class Request:
    """What to refine, where to, and how."""

    bag: Path
    output: Path
    settings: RefineSettings


@dataclass(frozen=True)
class Done:
    """What the job has made.

    path_length_m  of the camera, in metres as far as scale_source gives them
    remarks        what was lost of the recording, and what to know of the results
    """

    frames: int
    seconds: float
    scale_source: str
    path_length_m: float
    outputs: tuple[str, ...]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Failed:
    """The job has ended without results: by a wish, or for the reason in ``message``."""

    message: str
    cancelled: bool = False


News = Progress | str | Done | Failed
"""How far the job is, a line for the operator, or its last word."""

Job = Callable[
    [Request, Callable[[Progress], None], Callable[[], bool], Callable[[str], None]], Done
]
"""A function of a module, for a process imports it by its name. It tells how far it is, asks
whether it shall end and raises Cancelled then, and has lines for the operator."""


def refine(
    request: Request,
    report: Callable[[Progress], None],
    cancelled: Callable[[], bool],
    announce: Callable[[str], None],
) -> Done:
    """Run the offline job; the only place here that loads its networks and solvers."""
    from videodepth_ros.refine.job import refine_bag

    facts = refine_bag(request.bag, request.output, request.settings, report, cancelled, announce)
    lost = (f'lost: {facts.lost}',) if facts.lost else ()
    length_m = math.nan if facts.path_length_m is None else facts.path_length_m
    return Done(
        facts.frames,
        facts.seconds,
        facts.scale_source,
        length_m,
        facts.outputs,
        (*lost, *facts.notes),
    )


class JobProcess:
    """A job at work; it is polled, and never waited for but by ``kill``."""

    def __init__(self, job: Job, request: Request) -> None:
        # A new interpreter: a fork would inherit the threads of the middleware as locks that
        # nobody opens.
        context = multiprocessing.get_context('spawn')
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(job, request, theirs), name='refine')
        self._process.start()
        theirs.close()
        self._cancelled_s: float | None = None

    def news(self) -> list[News]:
        """Return what it has told since the last call."""
        told: list[News] = []
        try:
            while self._pipe.poll():
                told.append(self._pipe.recv())
        except (EOFError, OSError):
            if not told or isinstance(told[-1], Progress | str):
                told.append(self._obituary())
        return told

    def cancel(self) -> None:
        """Ask the job to end."""
        if self._cancelled_s is None:
            self._cancelled_s = time.monotonic()
            try:
                self._pipe.send(None)
            except OSError:  # it has ended by itself
                return

    @property
    def since_cancelled_s(self) -> float:
        """Seconds since it was asked to end; 0 where it was not."""
        return 0.0 if self._cancelled_s is None else time.monotonic() - self._cancelled_s

    def kill(self) -> None:
        """End it at once, with every process that it has started."""
        if self._process.is_alive() and self._process.pid is not None:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except ProcessLookupError:  # it has not yet made its own group
                self._process.kill()
        self._process.join()
        self._pipe.close()

    def _obituary(self) -> Failed:
        self._process.join()
        code = self._process.exitcode or 0
        how = f'signal {-code} ({signal.Signals(-code).name})' if code < 0 else f'status {code}'
        return Failed(
            f'the process of the job ended with {how}; what was done is kept, and the '
            'same goal goes on from there',
            self._cancelled_s is not None,
        )


class _Teller:
    """Passes on what a job reports, no more often than somebody can look at it."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._stage = ''
        self._told_s = self._shown_s = float('-inf')

    def report(self, progress: Progress) -> None:
        """Send it on, or leave it; the first of each stage always goes."""
        now_s = time.monotonic()
        if progress.stage == self._stage and now_s - self._told_s < REPORT_PERIOD_S:
            return
        if progress.preview is not None and now_s - self._shown_s < PREVIEW_PERIOD_S:
            progress = replace(progress, preview=None)
        self._stage, self._told_s = progress.stage, now_s
        if progress.preview is not None:
            self._shown_s = now_s
        self.send(progress)

    def send(self, news: News) -> None:
        """Send it at once."""
        try:
            self._pipe.send(news)
        except OSError:  # the node is gone: the job is told to end the next time it asks
            return


def _work(job: Job, request: Request, pipe: Connection) -> None:
    """Run the job in the new process."""
    os.setsid()  # Ctrl-C in the terminal is for the node, which then tells us
    teller = _Teller(pipe)
    last_word: Done | Failed
    try:
        last_word = job(request, teller.report, pipe.poll, teller.send)
    except Cancelled as error:
        last_word = Failed(str(error), cancelled=True)
    except VideoDepthError as error:
        last_word = Failed(str(error))
    except Exception as error:  # the border of the process: whatever it is, the node tells
        traceback.print_exc()
        last_word = Failed(f'{type(error).__name__}: {error}')
    teller.send(last_word)
