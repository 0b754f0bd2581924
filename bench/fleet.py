# SPDX-License-Identifier: Apache-2.0
"""Benchmark of fleets: against a shell loop, overhead of a task, one bag by clips; prints JSON.

    python -m bench.fleet loop [--bags 40] [--engine ray]
    python -m bench.fleet schedule [--tasks 1000] [--engine ray]
    python -m bench.fleet clips [--seconds 6]

``loop`` kills a worker in the middle of a bag, and compares all results with those of the loop,
byte by byte. CPU times are those of the commands, and of driver and workers; those of Ray's own
processes are not included. Times are of this machine as it is: ratios are within one run.
"""

from __future__ import annotations

import argparse
import filecmp
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from videodepth_ros.core.progress import Progress
from videodepth_ros.fleet.manifest import Manifest
from videodepth_ros.fleet.options import FleetOptions
from videodepth_ros.fleet.place import Place, find_recordings
from videodepth_ros.fleet.run import Fleet, FleetFacts, FleetJob
from videodepth_ros.fleet.task import JobFacts
from videodepth_ros.refine.settings import RefineSettings

BARS = {'loop': 0.60, 'ms_per_task': 10.0}
FLAGS = ('--prior', 'bag', '--no-stereo')
SETTINGS = RefineSettings(prior='bag', stereo=False)
LONG = RefineSettings(prior='bag')
DEADLY = 'bag07'
"""The bag whose first attempt ends by a kill of its worker."""
RENDERED = 8
"""Scenes; the other bags are copies."""

_cpu_s = 0.0


def refine_job(bag: Path, out: Path, settings: RefineSettings, truth: Path | None) -> JobFacts:
    """Refine a bag; its CPU time, with the imports of a new worker, is a figure."""
    global _cpu_s
    from videodepth_ros.refine.job import refine_bag

    mark = out.with_name(out.name + '.killed')

    def report(progress: Progress) -> None:
        if bag.name == DEADLY and progress.stage == 'write' and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    facts = refine_bag(bag, out, settings, report)
    before_s, _cpu_s = _cpu_s, time.process_time()
    return JobFacts(facts.scale_source, {'cpu_s': _cpu_s - before_s}, (), facts.outputs)


def instant_job(bag: Path, out: Path, settings: None, truth: Path | None) -> JobFacts:
    """Return at once."""
    return JobFacts()


def run_fleet(job: Any, settings: Any, bags: Path, out: Path, options: FleetOptions) -> FleetFacts:
    """Run a job on all bags of a folder."""
    found, _ = find_recordings([f'{bags}/*'])
    return Fleet(FleetJob('refine', job, settings, {}), found, Place.of(str(out)), options).run()


def make_bags(folder: Path, count: int) -> None:
    """Render short scenes, and copy them under other names."""
    from videodepth_ros.cli.sample import make_sample

    folder.mkdir()
    for n in range(count):
        bag = folder / f'bag{n:02d}'
        if n < RENDERED:
            make_sample(str(bag), 'studios', n, 0.4, 10.0, (160, 120))
        else:
            shutil.copytree(folder / f'bag{n % RENDERED:02d}', bag)


def against_loop(folder: Path, count: int, options: FleetOptions) -> dict[str, object]:
    """Refine bags by a loop over the command, and by a fleet that loses a worker."""
    bags, loop, fleet = (folder / name for name in ('bags', 'loop', 'fleet'))
    make_bags(bags, count)
    loop.mkdir()
    began_s, began_cpu_s = time.monotonic(), children_cpu_s()
    for bag in sorted(bags.iterdir()):
        command = [sys.executable, '-m', 'videodepth_ros.cli', 'refine', str(bag)]
        subprocess.run(
            [*command, str(loop / bag.name), '-q', *FLAGS], check=True, stdout=subprocess.DEVNULL
        )
    loop_s, loop_cpu_s = time.monotonic() - began_s, children_cpu_s() - began_cpu_s
    began_s, began_cpu_s = time.monotonic(), time.process_time()
    facts = run_fleet(refine_job, SETTINGS, bags, fleet, options)
    fleet_s, driver_cpu_s = time.monotonic() - began_s, time.process_time() - began_cpu_s
    entries = Manifest(Place.of(str(fleet))).entries
    worker_cpu_s = sum(entry.figures['cpu_s'] for entry in entries.values())
    attempts = {name: entry.attempts for name, entry in entries.items() if entry.attempts > 1}
    return {
        'bags': count,
        'engine': facts.engine,
        'loop_s': loop_s,
        'fleet_s': fleet_s,
        'share': fleet_s / loop_s,
        'loop_cpu_s': loop_cpu_s,
        'fleet_cpu_s': worker_cpu_s + driver_cpu_s,
        'cpu_share': (worker_cpu_s + driver_cpu_s) / loop_cpu_s,
        'done': sum(entry.status == 'done' for entry in entries.values()),
        'repeated': attempts,
        'different': [name for name in sorted(entries) if not same(loop / name, fleet / name)],
        'bar': BARS['loop'],
    }


def children_cpu_s() -> float:
    """Return the CPU time of the processes that this one has waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def same(one: Path, other: Path) -> bool:
    """Return whether two folders have the same files with the same bytes."""
    names = sorted(path.name for path in one.iterdir())
    if names != sorted(path.name for path in other.iterdir()):
        return False
    return filecmp.cmpfiles(one, other, names, shallow=False)[0] == names


def overhead(folder: Path, count: int, options: FleetOptions) -> dict[str, object]:
    """Time instant tasks: start, hash, two states in the manifest; without the first few."""
    bags, first = folder / 'bags', 8
    bags.mkdir()
    for n in range(first + count):
        (bags / f'{n:05d}.mcap').write_text(str(n))
    found, _ = find_recordings([f'{bags}/*'])
    ends: list[tuple[float, float]] = []
    fleet = Fleet(
        FleetJob('refine', instant_job, None, {}),
        found,
        Place.of(str(folder / 'out')),
        options,
        lambda progress: ends.append((time.monotonic(), time.process_time())),
    )
    facts = fleet.run()
    wall_s, cpu_s = (end - begin for begin, end in zip(ends[first - 1], ends[-1], strict=True))
    return {
        'tasks': facts.done - first,
        'engine': facts.engine,
        'all_s': facts.seconds,
        'ms_per_task': 1e3 * wall_s / count,
        'driver_cpu_ms_per_task': 1e3 * cpu_s / count,
        'bar_ms': BARS['ms_per_task'],
    }


def by_clips(folder: Path, seconds: float, options: FleetOptions) -> dict[str, object]:
    """Refine one bag by one process, and with its clips on several workers."""
    from videodepth_ros.cli.sample import make_sample
    from videodepth_ros.core.parallel import Pool, use_pool
    from videodepth_ros.refine.job import refine_bag

    (folder / 'bags').mkdir()
    bag = folder / 'bags' / 'long'
    make_sample(str(bag), 'studios', 3, seconds, 10.0, (160, 120))
    began_s = time.monotonic()
    with use_pool(Pool(1)):
        refine_bag(bag, folder / 'one' / 'long', LONG)
    one_s, began_s = time.monotonic() - began_s, time.monotonic()
    options = replace(options, engine='ray', clips=True)
    facts = run_fleet(refine_job, LONG, folder / 'bags', folder / 'many', options)
    return {
        'engine': facts.engine,
        'one_s': one_s,
        'clips_s': time.monotonic() - began_s,
        'same_bytes': same(folder / 'one' / 'long', folder / 'many' / 'long'),
        'failures': facts.failures,
    }


def main() -> None:
    """Run one of the measurements."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').partition('\n')[0])
    parser.add_argument('what', choices=('loop', 'schedule', 'clips'))
    parser.add_argument('--bags', type=int, default=40)
    parser.add_argument('--tasks', type=int, default=1000)
    parser.add_argument('--seconds', type=float, default=6.0)
    parser.add_argument('--engine', choices=('ray', 'local'), default='ray')
    args = parser.parse_args()
    os.environ.setdefault('RAY_worker_niceness', '0')  # as the commands of the loop
    options = FleetOptions(engine=args.engine, workers=2)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if args.what == 'loop':
            found = against_loop(folder, args.bags, options)
        elif args.what == 'schedule':
            found = overhead(folder, args.tasks, options)
        else:
            found = by_clips(folder, args.seconds, options)
    print(json.dumps(found, indent=2))


if __name__ == '__main__':
    from bench.fleet import main as run_main  # its jobs are pickled by name, not by value

    run_main()
