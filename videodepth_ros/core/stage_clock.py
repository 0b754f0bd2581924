# SPDX-License-Identifier: Apache-2.0
"""Wall and processor time of the stages of a job."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True)
class StageTime:
    """Time of one stage.

    seconds      wall time
    cpu_seconds  processor time of this process and of the processes that ended in the stage
    """

    name: str
    seconds: float
    cpu_seconds: float

    def __str__(self) -> str:
        return f'{self.name} {self.seconds:.1f} s'


@dataclass
class StageClock:
    """Measure stages one after the other.

    >>> clock = StageClock()
    >>> with clock.measure('read'):
    ...     pass
    >>> clock.times[0].name
    'read'
    """

    _times: list[StageTime] = field(default_factory=list)

    @property
    def times(self) -> tuple[StageTime, ...]:
        """Times of the stages that have ended without an exception, in order."""
        return tuple(self._times)

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Measure the block of a ``with`` statement."""
        wall_s, cpu_s = time.monotonic(), processor_seconds()
        yield
        self._times.append(
            StageTime(
                name, round(time.monotonic() - wall_s, 3), round(processor_seconds() - cpu_s, 3)
            )
        )


def processor_seconds() -> float:
    """Return the processor time of this process and of its processes that have ended [s]."""
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in usage)
