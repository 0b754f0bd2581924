# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
from concurrent.futures import Executor, Future

from videodepth_ros.core.parallel import Pool, current_pool, local_processes, use_pool

_started: list[int] = []


def start(value: int) -> None:
    _started.append(value)


def started() -> tuple[int, list[int]]:
    return os.getpid(), _started


class Here(Executor):
    """Runs in this process."""

    def submit(self, fn, /, *args, **kwargs):
        future: Future = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def test_processes_are_initialised_and_of_their_own():
    with current_pool().open(1, start, (7,)) as pool:
        pid, values = pool.submit(started).result()
    assert pid != os.getpid()
    assert values == [7]


def test_a_block_has_its_own_pool():
    outside = current_pool()
    assert outside == Pool(os.cpu_count() or 1, local_processes)
    with use_pool(Pool(3, lambda count, start, arguments: Here())):
        assert current_pool().processes == 3
        with current_pool().open(1, start, (1,)) as pool:
            assert pool.submit(os.getpid).result() == os.getpid()
    assert current_pool() == outside
