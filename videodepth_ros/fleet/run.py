# SPDX-License-Identifier: Apache-2.0
"""Run a job on many bags."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from videodepth_ros.core.errors import BagError, Cancelled, ConfigError
from videodepth_ros.core.options import Value
from videodepth_ros.core.parallel import Pool
from videodepth_ros.core.progress import Progress
from videodepth_ros.core.words import counted
from videodepth_ros.core.workspace import WorkFolder, digest, is_disk_full
from videodepth_ros.fleet.local import LocalEngine
from videodepth_ros.fleet.manifest import DONE, FAILED, STARTED, Entry, Manifest
from videodepth_ros.fleet.options import COST, ENGINE, FleetOptions
from videodepth_ros.fleet.place import Place, Recording
from videodepth_ros.fleet.ray_engine import RayEngine, RayProcesses, import_ray
from videodepth_ros.fleet.schedule import Engine, Task, run_tasks
from videodepth_ros.fleet.summary import write_summary
from videodepth_ros.fleet.task import BagTask, Job, is_same


@dataclass(frozen=True)
class FleetJob:
    """What is done with each bag.

    command    its name
    settings   argument of the job, picklable; changed those that are no defaults, by name
    truth      folder of bags of the same names with the ground truth; None: none
    is_truth   whether each bag has its own ground truth
    memory_mb  memory that a bag needs beside the process of its task
    """

    command: str
    job: Job
    settings: Any
    changed: dict[str, Value]
    truth: Place | None = None
    is_truth: bool = False
    memory_mb: Callable[[Place], float] = lambda place: 0.0

    @property
    def key(self) -> str:
        """Digest of command and settings; the number of processes changes no byte."""
        changed = {name: value for name, value in self.changed.items() if name != 'processes'}
        return digest(self.command, sorted(changed.items()), str(self.truth), self.is_truth)

    def truth_of(self, bag: Recording) -> Place | None:
        """Return the bag of the ground truth of a recording; None: there is none."""
        if self.truth is None:
            return bag.place if self.is_truth else None
        names = (bag.name, f'{bag.name}{Path(bag.place.name).suffix}')
        places = [self.truth / name for name in names]
        return next((one for one in places if one.exists()), places[0])


@dataclass(frozen=True)
class FleetFacts:
    """Results of a call: numbers of bags, and the errors of those that failed by name."""

    command: str
    bags: int
    done: int
    skipped: int
    failed: int
    seconds: float
    engine: str
    failures: dict[str, str]
    outputs: tuple[str, ...]


@dataclass
class Fleet:
    """One call over some bags.

    output  folder of the results, the manifest and the summary
    report  takes the progress; log lines for the operator; warn failures
    """

    job: FleetJob
    bags: Sequence[Recording]
    output: Place
    options: FleetOptions
    report: Callable[[Progress], None] = lambda progress: None
    cancelled: Callable[[], bool] = lambda: False
    log: Callable[[str], None] = lambda line: None
    warn: Callable[[str], None] = lambda line: None
    failures: dict[str, str] = field(default_factory=dict)

    def run(self) -> FleetFacts:
        """Run the job on all bags that it is not done for.

        raises  Cancelled, after which the same call continues; ConfigError, or BagError if a
                folder of the output is not of a fleet, or its disk is full
        """
        began_s = time.monotonic()
        self._check_output(Manifest(self.output))
        with WorkFolder(self._work()) as work:
            manifest = Manifest(self.output)
            missing = [bag for bag in self.bags if not self._is_done(bag, manifest)]
            done = len(self.bags) - len(missing)
            self.log(f'{counted(len(self.bags), "bag")}, {done} of them done before')
            try:
                engine = self._work_off(missing, manifest, work.folder) if missing else ''
            except Cancelled as error:
                done = manifest.counts()[DONE]
                raise Cancelled(
                    f'interrupted: {done} bags are done; run the same command again to resume'
                ) from error
            finally:
                outputs = self._finish(manifest)
            if not self.failures:
                work.remove()
        failed = len(self.failures)
        return FleetFacts(
            self.job.command,
            len(self.bags),
            len(missing) - failed,
            len(self.bags) - len(missing),
            failed,
            round(time.monotonic() - began_s, 3),
            engine,
            self.failures,
            outputs,
        )

    def _finish(self, manifest: Manifest) -> tuple[str, ...]:
        """Write manifest and summary; return their paths."""
        try:
            return (*manifest.finish(), write_summary(manifest.entries, self.output))
        except OSError as error:
            if not is_disk_full(error):
                raise
            raise BagError(
                f'the disk of {self.output} is full: free space, and run the same command again'
            ) from error

    def _work_off(self, missing: Sequence[Recording], manifest: Manifest, work: Path) -> str:
        """Run the tasks of some bags, and record their starts and ends; return the engine."""
        with closing(open_engine(self.options)) as engine:
            self.log(engine.name)
            self._run_tasks(missing, manifest, engine, work)
        return engine.name

    def _run_tasks(
        self, missing: Sequence[Recording], manifest: Manifest, engine: Engine, work: Path
    ) -> None:
        """Run the tasks of some bags on an engine."""
        began_s = time.monotonic()
        tasks = self._tasks(missing, manifest, work, engine.slots)

        def on_start(task: Task) -> None:
            if task.attempt > 1:
                self.warn(f'{task.name}: its worker died; attempt {task.attempt}')
            manifest.record(replace(task.run.entry, attempts=task.attempt))  # type: ignore[attr-defined]

        ends = run_tasks(
            tasks, engine, self.options.retries, self.cancelled, ENGINE.poll_s, on_start
        )
        for count, ended in enumerate(ends, 1):
            entry = ended.value or self._dead(ended.task, ended.death)
            entry = replace(entry, attempts=ended.task.attempt)
            manifest.record(entry)
            if entry.status == FAILED:
                self.failures[entry.name] = entry.error
                self.warn(f'{entry.name}: {entry.error}')
            left_s = (time.monotonic() - began_s) / count * (len(missing) - count)
            share = count / len(missing)
            self.report(Progress(self.job.command, share, left_s, None, count, len(missing)))

    def _tasks(
        self, bags: Sequence[Recording], manifest: Manifest, work: Path, slots: int
    ) -> Iterator[Task]:
        """Yield the task of each bag when it can start: its memory is planned only then."""
        pool = Pool(slots, RayProcesses) if self.options.clips else Pool(self.options.cpus)
        for bag in bags:
            job = self.job
            before = manifest.entries.get(bag.name)
            entry = Entry(bag.name, str(bag.place), STARTED, job.command, job.changed, job.key)
            run = BagTask(
                entry,
                before,
                bag.place,
                self.output,
                work,
                job.job,
                job.settings,
                job.truth_of(bag),
                pool,
            )
            given_mb = self.options.memory_mb
            yield Task(bag.name, run, given_mb or COST.process_mb + job.memory_mb(bag.place))

    def _dead(self, task: Task, death: str) -> Entry:
        """Return the entry of a bag whose workers died."""
        error = (
            f'its worker died {task.attempt} times, at last by {death}; it may lack memory: give '
            '--memory-mb or fewer --workers, and run the same command again'
        )
        run = task.run
        assert isinstance(run, BagTask)
        return replace(run.entry, status=FAILED, error=error)

    def _is_done(self, bag: Recording, manifest: Manifest) -> bool:
        """Return whether a bag is done by the same job, without reading it."""
        entry = manifest.entries.get(bag.name)
        if entry is None or entry.status != DONE:
            return False
        try:
            state = bag.place.state()
        except OSError:
            return False  # its task will fail with the reason
        there = not entry.outputs or (self.output / bag.name).exists()
        return there and is_same(entry, self.job.key, state=state)

    def _check_output(self, manifest: Manifest) -> None:
        """Raise before any work where a result would replace something else."""
        for bag in self.bags:
            entry, target = manifest.entries.get(bag.name), self.output / bag.name
            if entry is None and target.exists():
                raise BagError(
                    f'{target} exists, but is no result of this fleet; remove it, or give '
                    'another --out'
                )
            if entry and entry.command != self.job.command:
                raise BagError(
                    f'{self.output} has results of {entry.command}; give {self.job.command} '
                    'another --out'
                )

    def _work(self) -> Path:
        """Return the folder of intermediate results."""
        if self.options.work:
            return Path(self.options.work).absolute()
        if self.output.is_local:
            return self.output.local / 'fleet.work'
        return Path(tempfile.gettempdir()) / f'videodepth-fleet-{digest(str(self.output))}'


def open_engine(options: FleetOptions) -> Engine:
    """Open the engine of a fleet.

    raises  ConfigError if Ray is asked for and not installed, or a task fits no machine
    """
    is_wanted = options.engine == 'ray' or options.address
    if options.engine == 'local':
        if options.address:
            raise ConfigError('--address is of a Ray cluster: leave out --engine local')
    elif is_wanted or find_spec('ray'):
        import_ray()
        return RayEngine(options)
    if options.clips:
        raise ConfigError(
            '--clips needs --engine ray; on one machine a job shares the clips of a bag among '
            '--cpus processes'
        )
    return LocalEngine(options)
