# SPDX-License-Identifier: Apache-2.0
"""Both engines behind one schedule: order, retries, deaths, limits."""

from __future__ import annotations

import time
from collections import Counter
from functools import partial

import pytest

from test.fleet import jobs
from videodepth_ros.core.errors import Cancelled, ConfigError
from videodepth_ros.fleet.local import LocalEngine, gpus_of_slots
from videodepth_ros.fleet.options import FleetOptions
from videodepth_ros.fleet.schedule import Task, run_tasks


@pytest.fixture(params=['local', 'ray'])
def engine(request):
    if request.param == 'ray':
        request.getfixturevalue('ray_of_two')
        from videodepth_ros.fleet.ray_engine import RayEngine

        opened = RayEngine(FleetOptions(workers=2))
    else:
        opened = LocalEngine(FleetOptions(workers=2))
    yield opened
    opened.close()


def run(tasks, engine, retries=1, cancelled=lambda: False, on_start=lambda task: None):
    return list(run_tasks(tasks, engine, retries, cancelled, 0.5, on_start))


def test_every_task_ends_once_and_workers_are_kept(engine):
    ends = run([Task(str(n), jobs.pid, 1.0) for n in range(12)], engine)
    assert sorted(end.task.name for end in ends) == sorted(map(str, range(12)))
    assert len({end.value for end in ends}) <= 3


def test_a_task_whose_worker_dies_is_repeated_and_others_go_on(engine):
    starts: Counter[str] = Counter()
    tasks = [Task('deadly', jobs.die, 1.0), *(Task(str(n), jobs.pid, 1.0) for n in range(4))]
    ends = run(tasks, engine, on_start=lambda task: starts.update([task.name]))
    dead = next(end for end in ends if end.task.name == 'deadly')
    assert dead.death
    assert dead.task.attempt == 2
    assert starts['deadly'] == 2
    assert sum(end.value is not None for end in ends) == 4


def test_a_cancelled_schedule_ends_workers_at_once(engine):
    began_s = time.monotonic()
    with pytest.raises(Cancelled):
        run([Task('slow', partial(time.sleep, 600), 1.0)], engine, cancelled=lambda: True)
    engine.close()
    assert time.monotonic() - began_s < 60


def test_tasks_are_taken_as_they_can_start():
    taken: list[int] = []

    def coming():
        for n in range(6):
            taken.append(n)
            yield Task(str(n), jobs.pid, 1.0)

    engine = LocalEngine(FleetOptions(workers=1))
    ends = run_tasks(coming(), engine, 0, lambda: False, 0.5)
    next(ends)
    assert taken == [0, 1]  # one at work, one that waits for a place
    assert len(list(ends)) == 5
    engine.close()


def test_tasks_wait_for_memory_but_one_alone_may_have_all():
    engine = LocalEngine(FleetOptions(workers=2))
    most_mb = engine._memory_mb
    running: list[str] = []
    tasks = [Task(name, partial(time.sleep, 0.05), 0.6 * most_mb) for name in 'ab']
    tasks.append(Task('huge', jobs.pid, 2 * most_mb))
    ends = run_tasks(tasks, engine, 0, lambda: False, 0.5, lambda task: running.append(task.name))
    for end in ends:
        assert running[-1] == end.task.name  # the next one has not started yet
    assert running == ['a', 'b', 'huge']
    engine.close()


def test_fractions_of_gpus_are_given_to_processes(monkeypatch):
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '3,5')
    engine = LocalEngine(FleetOptions(workers=8, gpus=1.0))
    ends = run([Task(str(n), jobs.gpus, 1.0) for n in range(8)], engine)
    assert {end.value for end in ends} <= {'3', '5'}
    assert engine.name.startswith('2 ')
    engine.close()
    assert gpus_of_slots(['3'], 0.3) == [['3']] * 3
    with pytest.raises(ConfigError, match='more than the 2 GPUs'):
        LocalEngine(FleetOptions(gpus=4.0))


def test_a_cluster_too_small_for_a_task_is_an_error(ray_of_two):
    from videodepth_ros.fleet.ray_engine import RayEngine

    with pytest.raises(ConfigError, match='--cpus 64'):
        RayEngine(FleetOptions(cpus=64))
    with pytest.raises(ConfigError, match=r'--gpus 0\.5'):
        RayEngine(FleetOptions(gpus=0.5))


def test_actors_are_processes_of_one_job(ray_of_two):
    from concurrent.futures.process import BrokenProcessPool

    from videodepth_ros.core.errors import BagError
    from videodepth_ros.fleet.ray_engine import RayProcesses

    with RayProcesses(2, jobs.start, (7,), restarts=0) as pool:
        found = [pool.submit(jobs.started).result(60) for _ in range(4)]
        assert {value for value, _ in found} == {7}
        assert len({pid for _, pid in found}) == 2
        with pytest.raises(BagError, match='of a process'):
            pool.submit(jobs.fail).result(60)
        with pytest.raises(BrokenProcessPool):
            pool.submit(jobs.die).result(60)
