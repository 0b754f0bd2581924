# SPDX-License-Identifier: Apache-2.0
"""The loop of a fleet: tasks to an engine, results back, retries where a worker has died."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

from videodepth_ros.core.errors import Cancelled


@dataclass(frozen=True)
class Task:
    """A call that an engine runs in a worker.

    run        picklable; its exceptions are its own affair
    memory_mb  that it asks for
    attempt    from 1
    """

    name: str
    run: Callable[[], Any]
    memory_mb: float
    attempt: int = 1


@dataclass(frozen=True)
class Ended:
    """The end of an attempt: what the call returned, or how its worker died."""

    task: Task
    value: Any = None
    death: str = ''


class Engine(Protocol):
    """Runs tasks in workers that are kept, so that what they import is imported once."""

    name: str

    @property
    def slots(self) -> int:
        """Number of tasks that can run at a time."""

    def accepts(self, task: Task) -> bool:
        """Return whether a task may be submitted now."""

    def submit(self, task: Task) -> None:
        """Start a task."""

    def wait(self, timeout_s: float) -> list[Ended]:
        """Return the attempts that have ended since, after at most a timeout."""

    def close(self) -> None:
        """End all workers at once, also those at work: their work folders are kept."""


def run_tasks(
    tasks: Iterable[Task],
    engine: Engine,
    retries: int,
    cancelled: Callable[[], bool],
    poll_s: float,
    on_start: Callable[[Task], None] = lambda task: None,
) -> Iterator[Ended]:
    """Yield the end of each task, in order of their ends; tasks are taken as they can start.

    retries   further attempts of a task whose worker died
    on_start  called before an attempt
    raises    Cancelled upon request
    """
    coming, waiting, running = iter(tasks), deque[Task](), 0
    while True:
        while True:
            task = waiting.popleft() if waiting else next(coming, None)
            if task is None:
                break
            if running and not engine.accepts(task):
                waiting.appendleft(task)
                break
            on_start(task)
            engine.submit(task)
            running += 1
        if not running:
            return
        for ended in engine.wait(poll_s):
            running -= 1
            if ended.death and ended.task.attempt <= retries:
                waiting.append(replace(ended.task, attempt=ended.task.attempt + 1))
            else:
                yield ended
        if cancelled():
            raise Cancelled('interrupted')
