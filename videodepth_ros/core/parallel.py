# SPDX-License-Identifier: Apache-2.0
"""The processes that share the work of one job.

By default a job opens a process for each core of this machine. `use_pool` replaces them: a fleet
limits a job to its share of the cores, or spreads it over a cluster.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

Start = Callable[..., None]
"""Initialises a process, with picklable arguments."""


def exit_with_parent() -> None:
    """Exit when the parent process ends: a process that waits for work would wait forever."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch(join: Callable[[], None] = parent.join) -> None:
        join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _start_process(start: Start, arguments: tuple[Any, ...]) -> None:
    exit_with_parent()
    start(*arguments)


def local_processes(count: int, start: Start, arguments: tuple[Any, ...]) -> Executor:
    """Open processes of this machine, which end with this one."""
    # Spawned, not forked: a fork would inherit locks of BLAS, ROS and engine threads.
    context = multiprocessing.get_context('spawn')
    return ProcessPoolExecutor(count, context, _start_process, (start, arguments))


@dataclass(frozen=True)
class Pool:
    """Where the processes of a job run.

    processes  how many a job opens that is free to choose
    open       opens some, see `local_processes`; the death of one raises BrokenProcessPool
    """

    processes: int
    open: Callable[[int, Start, tuple[Any, ...]], Executor] = local_processes


_pool: ContextVar[Pool | None] = ContextVar('pool', default=None)


def current_pool() -> Pool:
    """Return the pool of this job: by default a process for each core of this machine."""
    return _pool.get() or Pool(os.cpu_count() or 1)


@contextmanager
def use_pool(pool: Pool) -> Iterator[None]:
    """Have the jobs of the block open their processes by a pool."""
    token = _pool.set(pool)
    try:
        yield
    finally:
        _pool.reset(token)
