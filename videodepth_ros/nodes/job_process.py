# SPDX-License-Identifier: Apache-2.0
"""The offline job in a separate process, so that its crash does not end the node.

A pipe carries progress, log lines and the result. Anything sent the other way cancels the job, and
so does the end of the node, which closes the pipe. A job may be killed at any time and resumed.
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
from videodepth_ros.nodes.options import OFFLINE, OfflineNodeOptions
from videodepth_ros.refine.settings import RefineSettings


@dataclass(frozen=True)
class RefineRequest:
    """Recording, output folder and options of a job."""

    bag: Path
    output: Path
    settings: RefineSettings


@dataclass(frozen=True)
class JobResult:
    """Results of a job.

    path_length_m  of the camera, metric as far as scale_source is; NaN without poses
    remarks        losses of the recording, and notes on the results
    """

    frames: int
    seconds: float
    scale_source: str
    path_length_m: float
    outputs: tuple[str, ...]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class JobFailure:
    """End of a job without results: cancelled, or failed for the reason in ``message``."""

    message: str
    cancelled: bool = False


JobEvent = Progress | str | JobResult | JobFailure
"""Progress, a log line, or the end of a job."""

Job = Callable[
    [RefineRequest, Callable[[Progress], None], Callable[[], bool], Callable[[str], None]],
    JobResult,
]
"""A module-level function (a process imports it by name) of a request and three callbacks:
``on_progress``; ``cancelled``, upon which it raises Cancelled; and ``log`` of a line."""


def refine(
    request: RefineRequest,
    on_progress: Callable[[Progress], None],
    cancelled: Callable[[], bool],
    log: Callable[[str], None],
) -> JobResult:
    """Run the offline job; its networks and solvers are imported here, in its process."""
    from videodepth_ros.refine.job import refine_bag

    facts = refine_bag(request.bag, request.output, request.settings, on_progress, cancelled, log)
    lost = (f'lost: {facts.lost}',) if facts.lost else ()
    length_m = math.nan if facts.path_length_m is None else facts.path_length_m
    return JobResult(
        facts.frames,
        facts.seconds,
        facts.scale_source,
        length_m,
        facts.outputs,
        (*lost, *facts.notes),
    )


class JobProcess:
    """A running job; it is polled, and only ``kill`` waits for its end."""

    def __init__(self, job: Job, request: RefineRequest) -> None:
        # Spawned, as a fork would inherit locks of the middleware that no thread releases.
        context = multiprocessing.get_context('spawn')
        self._pipe, job_end = context.Pipe()
        self._process = context.Process(
            target=_run_job, args=(job, request, job_end), name='refine'
        )
        self._process.start()
        job_end.close()
        self._cancelled_at_s: float | None = None

    def poll(self) -> list[JobEvent]:
        """Return the events since the last call."""
        events: list[JobEvent] = []
        try:
            while self._pipe.poll():
                events.append(self._pipe.recv())
        except (EOFError, OSError):
            if not events or isinstance(events[-1], Progress | str):
                events.append(self._exit_failure())
        return events

    def cancel(self) -> None:
        """Request the end of the job."""
        if self._cancelled_at_s is None:
            self._cancelled_at_s = time.monotonic()
            try:
                self._pipe.send(None)
            except OSError:  # the job has ended
                return

    @property
    def seconds_since_cancel(self) -> float:
        """Seconds since ``cancel``; 0 if it was not called."""
        return 0.0 if self._cancelled_at_s is None else time.monotonic() - self._cancelled_at_s

    def kill(self) -> None:
        """Kill the job with all processes that it has started."""
        if self._process.is_alive() and self._process.pid is not None:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except ProcessLookupError:  # it has no process group yet
                self._process.kill()
        self._process.join()
        self._pipe.close()

    def _exit_failure(self) -> JobFailure:
        self._process.join()
        code = self._process.exitcode or 0
        how = f'signal {-code} ({signal.Signals(-code).name})' if code < 0 else f'status {code}'
        return JobFailure(
            f'the process of the job ended with {how}; finished work is kept, and the '
            'same goal resumes it',
            self._cancelled_at_s is not None,
        )


class _ProgressPipe:
    """Send events to the node, progress and previews at a limited rate."""

    def __init__(self, pipe: Connection, options: OfflineNodeOptions = OFFLINE) -> None:
        self._pipe = pipe
        self._options = options
        self._stage = ''
        self._progress_s = self._preview_s = float('-inf')  # time of the last one

    def on_progress(self, progress: Progress) -> None:
        """Send progress unless the last one of this stage was sent just before."""
        now_s, options = time.monotonic(), self._options
        is_early = now_s - self._progress_s < options.progress_period_s
        if progress.stage == self._stage and is_early:
            return
        if progress.preview is not None and now_s - self._preview_s < options.preview_period_s:
            progress = replace(progress, preview=None)
        self._stage, self._progress_s = progress.stage, now_s
        if progress.preview is not None:
            self._preview_s = now_s
        self.send(progress)

    def send(self, event: JobEvent) -> None:
        """Send an event at once."""
        try:
            self._pipe.send(event)
        except OSError:  # the node has ended: the closed pipe cancels the job
            return


def _run_job(job: Job, request: RefineRequest, pipe: Connection) -> None:
    """Run the job in its process."""
    os.setsid()  # Ctrl-C of the terminal is handled by the node, which cancels the job
    events = _ProgressPipe(pipe)
    end: JobResult | JobFailure
    try:
        end = job(request, events.on_progress, pipe.poll, events.send)
    except Cancelled as error:
        end = JobFailure(str(error), cancelled=True)
    except VideoDepthError as error:
        end = JobFailure(str(error))
    except Exception as error:  # the border of the process: the node reports it
        traceback.print_exc()
        end = JobFailure(f'{type(error).__name__}: {error}')
    events.send(end)
