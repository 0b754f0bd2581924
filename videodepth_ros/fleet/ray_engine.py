# SPDX-License-Identifier: Apache-2.0
"""An engine of tasks on Ray, and the processes of one job as its actors."""

from __future__ import annotations

import itertools
import math
import os
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import Any

from videodepth_ros.core.errors import ConfigError
from videodepth_ros.core.parallel import Start
from videodepth_ros.fleet.options import ENGINE, EngineOptions, FleetOptions
from videodepth_ros.fleet.schedule import Ended, Task

MB = 10**6


def import_ray() -> Any:
    """Import Ray; raise ConfigError with the way to get it if it is not installed."""
    try:
        import ray
    except ImportError as error:
        raise ConfigError(
            f"Ray cannot be imported ({error}): pip install 'videodepth[fleet]', or use "
            '--engine local'
        ) from error
    return ray


class RayEngine:
    """Runs each task as a task of Ray, with the CPUs, GPUs and memory that it asks for."""

    def __init__(self, options: FleetOptions, engine: EngineOptions = ENGINE) -> None:
        """Connect to a cluster, or start an instance on this machine.

        raises  ConfigError if that fails, or no node has the CPUs or GPUs of a task
        """
        self._ray = import_ray()
        self._options, self._engine = options, engine
        self._is_own = False  # an instance whose CPUs are the limit, and that ends with this one
        self._is_connected = self._ray.is_initialized()
        if not self._is_connected:
            self._connect()
        self._tasks: dict[Any, Task] = {}
        self._slots, self._read_s = 0, float('-inf')
        self._functions: dict[int, Any] = {}  # by the memory that they ask for
        nodes = [node['Resources'] for node in self._ray.nodes() if node['Alive']]
        self._node_memory = max(int(node.get('memory', 0)) for node in nodes)
        for resource, needed in (('CPU', options.cpus), ('GPU', options.gpus)):
            most = max(node.get(resource, 0) for node in nodes)
            if needed > most:
                raise ConfigError(
                    f'--{resource.lower()}s {needed:g}: no node of the cluster has more than '
                    f'{most:g}'
                )
        self.name = f'Ray, nodes: {len(nodes)}, tasks at a time: {self.slots}'

    def accepts(self, task: Task) -> bool:
        """Return whether few enough tasks wait in the cluster."""
        if self._options.clips:
            return not self._tasks
        queued = self._engine.queued + self._engine.queued_per_slot * self.slots
        if self._options.workers and not self._is_own:
            queued = 0
        return len(self._tasks) < self.slots + queued

    def submit(self, task: Task) -> None:
        """Submit a task; one that asks for more memory than any node has asks for all of one."""
        unit = self._engine.memory_unit_mb
        memory = min(math.ceil(task.memory_mb / unit) * unit * MB, self._node_memory)
        if memory not in self._functions:
            self._functions[memory] = self._ray.remote(
                num_cpus=0 if self._options.clips else self._options.cpus,
                num_gpus=self._options.gpus,
                memory=memory,
                max_retries=0,  # retries are counted by the schedule
            )(_run)
        self._tasks[self._functions[memory].remote(task.run)] = task

    def wait(self, timeout_s: float) -> list[Ended]:
        """Return the attempts that have ended since, after at most a timeout."""
        ready, _ = self._ray.wait(list(self._tasks), num_returns=1, timeout=timeout_s)
        if ready:  # and all others that have ended
            count = len(self._tasks)
            ready, _ = self._ray.wait(list(self._tasks), num_returns=count, timeout=0)
        return [self._end(reference) for reference in ready]

    def close(self) -> None:
        """End all tasks, and an instance that was started for them."""
        for reference in self._tasks:
            self._ray.cancel(reference, force=True)
        self._tasks.clear()
        if not self._is_connected:
            self._ray.shutdown()

    def _end(self, reference: Any) -> Ended:
        task = self._tasks.pop(reference)
        try:
            return Ended(task, self._ray.get(reference))
        except self._ray.exceptions.RayError as error:
            return Ended(task, death=' '.join(str(error).split())[:200] or type(error).__name__)

    def _connect(self) -> None:
        address = self._options.address or os.environ.get('RAY_ADDRESS') or 'local'
        os.environ.setdefault('RAY_USAGE_STATS_ENABLED', '0')
        options: dict[str, Any] = {'log_to_driver': False, 'logging_level': 'error'}
        self._is_own = address == 'local'
        if self._is_own:
            os.environ.setdefault('RAY_worker_niceness', '0')  # 15 starves beside other work
            options['include_dashboard'] = False
            if self._options.workers:
                options['num_cpus'] = self._options.workers * self._options.cpus
        try:
            self._ray.init(address=address, **options)
        except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
            raise ConfigError(
                f'no Ray cluster at {address}: {error}; start one with `ray start --head`, or '
                'leave out --address'
            ) from error

    @property
    def slots(self) -> int:
        """Number of tasks that the cluster can run at a time; it may grow."""
        now_s = time.monotonic()
        if self._options.workers:
            return self._options.workers
        if now_s - self._read_s > self._engine.resize_s:
            found = self._ray.cluster_resources()
            slots = found.get('CPU', 0) / self._options.cpus
            if self._options.gpus:
                slots = min(slots, found.get('GPU', 0) / self._options.gpus)
            self._slots, self._read_s = max(1, int(slots)), now_s
        return self._slots


def _run(call: Callable[[], Any]) -> Any:
    return call()


class _Actor:
    """A process of a job, on any node."""

    def __init__(self, start: Start, arguments: tuple[Any, ...]) -> None:
        start(*arguments)

    def run(self, call: Callable[[], Any]) -> Any:
        """Return the result of a call."""
        return call()


class RayProcesses(Executor):
    """Actors that are the processes of one job; one that dies is started again."""

    def __init__(
        self, count: int, start: Start, arguments: tuple[Any, ...], restarts: int = 2
    ) -> None:
        """Start actors of one CPU each.

        restarts  of each actor; its call is repeated
        """
        self._ray = import_ray()
        remote = self._ray.remote(_Actor)
        options = {'num_cpus': 1, 'max_restarts': restarts, 'max_task_retries': restarts}
        self._actors = [remote.options(**options).remote(start, arguments) for _ in range(count)]
        self._next = itertools.cycle(self._actors)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a call in the next actor; its death raises BrokenProcessPool."""
        result: Future[Any] = Future()
        reference = next(self._next).run.remote(partial(fn, *args, **kwargs))
        reference.future().add_done_callback(partial(self._forward, result))
        return result

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the actors."""
        for actor in self._actors:
            self._ray.kill(actor)

    def _forward(self, result: Future[Any], found: Future[Any]) -> None:
        error = found.exception()
        if error is None:
            result.set_result(found.result())
        elif isinstance(error, self._ray.exceptions.RayTaskError):
            result.set_exception(error.cause)
        else:
            result.set_exception(BrokenProcessPool(str(error)))
