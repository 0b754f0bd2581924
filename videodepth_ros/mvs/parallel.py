# SPDX-License-Identifier: Apache-2.0
"""Stereo of a whole recording in parallel processes, with bounded memory.

A first pass matches views and writes one file per match, so that a killed job resumes; a second
one fuses the matches around each frame and yields the frames in order. Every process opens frames
from files and keeps the last few, and no result depends on the process that computes it.
"""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol, TypeVar

import cv2
import numpy as np

from videodepth_ros.core.arrays import UInt8Array
from videodepth_ros.core.errors import DeviceError
from videodepth_ros.core.parallel import current_pool
from videodepth_ros.core.workspace import save_npz
from videodepth_ros.mvs.depth import Plan, StereoDepth, agreement_of, finish_view
from videodepth_ros.mvs.matching import Match, match_view
from videodepth_ros.mvs.options import StereoOptions
from videodepth_ros.mvs.views import View

KEPT = 24
"""Views and matches that a process keeps: those around one frame, and some more."""
AHEAD = 2
"""Frames per process that are computed before they are asked for."""

Result = TypeVar('Result')


class FrameSource(Protocol):
    """Frames of a recording, by index."""

    def view(self, index: int) -> View:
        """Return a frame at the working size, by `views.make_view`."""

    def image(self, index: int) -> UInt8Array:
        """Return the image of a frame at full size, (H, W, 3) uint8 RGB."""


@dataclass(frozen=True)
class StereoTask:
    """A recording to compute stereo depth of; it is pickled to other processes.

    open_frames  opens the frames, once in each process
    files        one per frame, for its match; those that exist are kept
    """

    open_frames: Callable[[], FrameSource]
    plan: Plan
    files: tuple[Path, ...]
    options: StereoOptions


def match_frames(task: StereoTask, processes: int, on_match: Callable[[], None]) -> None:
    """Match all views of the plan and write the matches.

    on_match  called after each one
    raises    DeviceError where a process died
    """
    missing = [
        index
        for index, chosen in enumerate(task.plan.neighbours)
        if chosen and not task.files[index].exists()
    ]
    for _ in _in_order(_match, task, missing, processes):
        on_match()


def finish_frames(task: StereoTask, processes: int) -> Iterator[StereoDepth]:
    """Yield the depth of every frame in order; all matches must have been written.

    raises  DeviceError where a process died
    """
    return _in_order(_finish, task, range(len(task.plan.fused)), processes)


def rate_frames(task: StereoTask, frames: Sequence[int], processes: int) -> list[float]:
    """Return the trust in stereo of some frames, 0 to 1; all matches must have been written.

    raises  DeviceError where a process died
    """
    return list(_in_order(_rate, task, frames, processes))


class _Worker:
    """State of one process: the opened frames, and the last views and matches."""

    def __init__(self, task: StereoTask) -> None:
        self.task = task
        frames = task.open_frames()
        self.view = lru_cache(KEPT)(frames.view)
        self.image = frames.image
        self.match = lru_cache(KEPT)(self._load)

    def _load(self, index: int) -> Match:
        with np.load(self.task.files[index]) as stored:
            return Match(stored['per_m'], stored['weight'], float(stored['parallax_px']))


def _match(worker: _Worker, index: int) -> None:
    task = worker.task
    neighbours = [worker.view(j) for j in task.plan.neighbours[index]]
    match = match_view(worker.view(index), neighbours, task.options)
    save_npz(
        task.files[index],
        per_m=match.per_m,
        weight=match.weight,
        parallax_px=np.array(match.parallax_px),
    )


def _rate(worker: _Worker, index: int) -> float:
    return agreement_of(worker.view(index), *_compared(worker, index), worker.task.options)


def _finish(worker: _Worker, index: int) -> StereoDepth:
    own, others = _compared(worker, index)
    moments = [(step, worker.view(j)) for step, j in worker.task.plan.moments[index]]
    image, options = worker.image(index), worker.task.options
    return finish_view(worker.view(index), own, others, moments, image, options)


def _compared(worker: _Worker, index: int) -> tuple[Match | None, list[tuple[View, Match]]]:
    """Return a view's own match, None where it has none, and those that it is compared with."""
    plan = worker.task.plan
    own = worker.match(index) if plan.neighbours[index] else None
    return own, [(worker.view(j), worker.match(j)) for j in plan.fused[index]]


def _in_order(
    function: Callable[[_Worker, int], Result],
    task: StereoTask,
    items: Sequence[int],
    processes: int,
) -> Iterator[Result]:
    """Yield the results of a function in the order of the items, some computed ahead."""
    if processes == 1 or len(items) < 2:
        worker = _Worker(task)
        yield from (function(worker, item) for item in items)
        return
    pool = current_pool().open(min(processes, len(items)), _start, (task,))
    pending: deque[Future[Result]] = deque()
    try:
        for item in items:
            pending.append(_submit(pool, function, item))
            if len(pending) > AHEAD * processes:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    except BrokenProcessPool as error:
        raise DeviceError(
            'a process of the stereo stage was killed, perhaps because memory ran out; run again '
            'with fewer processes: finished matches are kept'
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _submit(
    pool: Executor, function: Callable[[_Worker, int], Result], item: int
) -> Future[Result]:
    """Submit to processes that ignore Ctrl-C, which a terminal sends to all of them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # processes inherit it
    try:
        return pool.submit(_run, function, item)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_worker: _Worker | None = None


def _start(task: StereoTask) -> None:
    """Open the task in a new process, which computes with one thread."""
    global _worker
    cv2.setNumThreads(1)
    _worker = _Worker(task)


def _run(function: Callable[[_Worker, int], Result], item: int) -> Result:
    assert _worker is not None
    return function(_worker, item)
