# SPDX-License-Identifier: Apache-2.0
"""An engine of processes on this machine.

ProcessPoolExecutor is not used: the death of one of its processes fails all of its tasks.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import re
import signal
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

from videodepth_ros.core.errors import ConfigError
from videodepth_ros.core.parallel import exit_with_parent
from videodepth_ros.core.words import counted
from videodepth_ros.fleet.options import FleetOptions
from videodepth_ros.fleet.schedule import Ended, Task

CONTEXT = multiprocessing.get_context('spawn')


@dataclass
class _Worker:
    """A process, the pipe to it, and the task that it runs."""

    process: SpawnProcess
    pipe: Connection
    task: Task | None = None


class LocalEngine:
    """Runs each task in a process of this machine; a process that died is replaced."""

    def __init__(self, options: FleetOptions) -> None:
        """Raise ConfigError if this machine has too few CPUs or GPUs for a task."""
        cores, gpus = len(os.sched_getaffinity(0)), visible_gpus()
        self._gpus_of_slots = gpus_of_slots(gpus, options.gpus)
        if options.gpus and not self._gpus_of_slots:
            raise ConfigError(
                f'--gpus {options.gpus:g} is more than the {len(gpus)} GPUs of this machine'
            )
        count = options.workers or max(1, cores // options.cpus)
        if options.gpus:
            count = min(count, len(self._gpus_of_slots))
        self.name = f'{counted(count, "process", "processes")} of this machine'
        self._options = options
        self._memory_mb = os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 1e6
        self._workers: list[_Worker | None] = [None] * count

    @property
    def slots(self) -> int:
        """Number of processes."""
        return len(self._workers)

    def accepts(self, task: Task) -> bool:
        """Return whether a process is free, and the memory that all tasks ask for is there."""
        tasks = [one.task for one in self._workers if one and one.task]
        used_mb = sum(one.memory_mb for one in tasks)
        return len(tasks) < len(self._workers) and used_mb + task.memory_mb <= self._memory_mb

    def submit(self, task: Task) -> None:
        """Give a task to a free process, which is started if need be."""
        started = [slot for slot, one in enumerate(self._workers) if one and not one.task]
        slot = started[0] if started else self._workers.index(None)
        worker = self._workers[slot] or self._start(slot)
        worker.task = task
        with suppress(OSError):  # it has died meanwhile: `wait` finds that
            worker.pipe.send(task.run)

    def wait(self, timeout_s: float) -> list[Ended]:
        """Return the attempts that have ended since, after at most a timeout."""
        busy = {one.pipe: slot for slot, one in enumerate(self._workers) if one and one.task}
        ends = []
        for pipe in wait(list(busy), timeout_s):
            assert isinstance(pipe, Connection)
            worker = self._workers[busy[pipe]]
            assert worker is not None
            task, worker.task = worker.task, None
            assert task is not None
            try:
                ends.append(Ended(task, pipe.recv()))
            except (EOFError, OSError):
                ends.append(Ended(task, death=self._bury(busy[pipe])))
        return ends

    def close(self) -> None:
        """Kill all processes, with those that they have started."""
        for slot, worker in enumerate(self._workers):
            if worker is not None:
                _kill_group(worker.process)
                self._bury(slot)

    def _start(self, slot: int) -> _Worker:
        pipe, end = CONTEXT.Pipe()
        environment = {'OMP_NUM_THREADS': str(self._options.cpus)}
        if self._options.gpus:
            environment['CUDA_VISIBLE_DEVICES'] = ','.join(self._gpus_of_slots[slot])
        process = CONTEXT.Process(target=_serve, args=(end, environment), name=f'fleet-{slot}')
        process.start()
        end.close()
        worker = self._workers[slot] = _Worker(process, pipe)
        return worker

    def _bury(self, slot: int) -> str:
        """Forget a process that has ended, and return how."""
        worker, self._workers[slot] = self._workers[slot], None
        assert worker
        worker.process.join()
        worker.pipe.close()
        code = worker.process.exitcode or 0
        worker.process.close()
        return f'signal {-code} ({signal.Signals(-code).name})' if code < 0 else f'status {code}'


def _serve(pipe: Connection, environment: dict[str, str]) -> None:
    """Run tasks until the pipe closes."""
    os.environ.update(environment)  # before the libraries that read it are imported
    os.setsid()  # Ctrl-C of the terminal is for the parent, which ends this process
    exit_with_parent()
    with suppress(EOFError, OSError):
        while True:
            run = pipe.recv()
            pipe.send(run())


def _kill_group(process: SpawnProcess) -> None:
    """Kill a process and those that it has started."""
    assert process.pid
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:  # it has no group yet, or has ended
        process.kill()


def visible_gpus() -> list[str]:
    """Return the GPUs that CUDA_VISIBLE_DEVICES names, else those of this machine."""
    named = os.environ.get('CUDA_VISIBLE_DEVICES')
    if named is not None:
        return [one for one in named.split(',') if one not in ('', '-1')]
    return sorted(
        match[1]
        for path in Path('/dev').glob('nvidia*')
        if (match := re.fullmatch(r'nvidia(\d+)', path.name))
    )


def gpus_of_slots(gpus: list[str], share: float) -> list[list[str]]:
    """Return the GPUs of each task that may run at a time.

    >>> gpus_of_slots(['0', '1'], 0.5)
    [['0'], ['0'], ['1'], ['1']]
    >>> gpus_of_slots(['0', '1', '2'], 2)
    [['0', '1']]
    """
    if not share:
        return []
    if share < 1:
        return [[gpu] for gpu in gpus for _ in range(int(1 / share))]
    count = math.ceil(share)
    return [gpus[n : n + count] for n in range(0, len(gpus) - count + 1, count)]
