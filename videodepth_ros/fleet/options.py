# SPDX-License-Identifier: Apache-2.0
"""Options of a fleet."""

from __future__ import annotations

from dataclasses import dataclass

from videodepth_ros.core.options import check_options, option


@dataclass(frozen=True, kw_only=True)
class FleetOptions:
    """Where the tasks of a fleet run, and what each of them gets."""

    engine: str = option(
        'auto',
        'Where the tasks run: on Ray, or in processes of this machine (local); auto: Ray where '
        'it is installed.',
        choices=('auto', 'local', 'ray'),
    )
    address: str = option(
        '',
        'Address of a Ray cluster, such as host:6379 or ray://host:10001; empty: $RAY_ADDRESS, '
        'else a new instance on this machine.',
    )
    workers: int = option(
        0,
        'Tasks at the same time; 0: as many as CPUs, GPUs and memory allow.',
        minimum=0,
        maximum=100_000,
    )
    cpus: int = option(1, 'CPUs of a task.', minimum=1, maximum=1024)
    gpus: float = option(
        0.0, 'GPUs of a task: 0.25 lets four tasks share one.', minimum=0.0, maximum=64.0
    )
    memory_mb: int = option(
        0,
        'Memory of a task; 0: that of the plan of each bag, beside its process.',
        unit='MB',
        minimum=0,
        maximum=10_000_000,
    )
    retries: int = option(
        2, 'Further attempts after the worker or node of a task has died.', minimum=0, maximum=100
    )
    work: str = option(
        '',
        'Folder of intermediate results, from which a task whose worker has died resumes: one '
        'that all nodes share; empty: fleet.work in the output, for a URI a temporary folder.',
        is_path=True,
    )
    clips: bool = option(
        False,
        'Spread the clips of each bag over all workers, one bag after another: for few, long '
        'bags on a cluster.',
    )

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True)
class TaskCost:
    """Memory of a task beside its plan."""

    # Resident memory of a worker after its imports and a job with nano [MB]: 410 measured.
    process_mb: float = 500.0
    # Size and number of the frames of a bag that cannot be opened before it is fetched.
    usual_size: tuple[int, int] = (1920, 1080)
    usual_frames: int = 1000


@dataclass(frozen=True)
class EngineOptions:
    """Scheduling."""

    # Time after which a loop that waits for tasks looks for an interruption [s].
    poll_s: float = 0.5
    # Tasks that queue in a Ray cluster, in all and per task that it can run: no worker waits for
    # this process, which handles many ends at once, and an autoscaler sees demand.
    queued: int = 64
    queued_per_slot: int = 1
    # Unit to which the memory of a task is rounded up on Ray [MB]: equal tasks take each other's
    # place without a word of the scheduler.
    memory_unit_mb: int = 100
    # Time after which the size of a cluster, which may grow, is read again [s].
    resize_s: float = 1.0


@dataclass(frozen=True)
class SummaryOptions:
    """The page over all bags."""

    bins: int = 20  # of a histogram
    worst: int = 10  # bags that are shown with their preview
    preview_height_px: int = 180
    jpeg_quality: int = 80
    chart_width_px: int = 420
    chart_height_px: int = 190
    ticks: int = 6  # at most, on the axis of a histogram


COST = TaskCost()
ENGINE = EngineOptions()
SUMMARY = SummaryOptions()
