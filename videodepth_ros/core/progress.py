# SPDX-License-Identifier: Apache-2.0
"""Progress of a job of several stages: fraction done, time left, cancellation."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from videodepth_ros.core.arrays import UInt8Array
from videodepth_ros.core.errors import Cancelled

EXPECTED_TIME_WEIGHT_S = 5.0
"""Work after which the measured speed weighs as much as the expected one [s]."""


@dataclass(frozen=True)
class Progress:
    """State of a running job.

    stage         name of the current stage
    fraction      share of the whole job that is done, in [0, 1]; never falls
    seconds_left  None where there is no estimate
    preview       (h, w, 3) uint8 RGB, latest output of the stage; None where there is none
    done, items   finished items of the stage, and all of them; 0 where they are unknown
    """

    stage: str
    fraction: float
    seconds_left: float | None
    preview: UInt8Array | None = None
    done: int = 0
    items: int = 0


@dataclass(frozen=True)
class Stage:
    """One stage of a job.

    items   number of items to process; 0 where an earlier run has done the stage
    item_s  expected time of one item [s]
    """

    name: str
    items: int
    item_s: float

    @property
    def seconds(self) -> float:
        """Expected time of the stage."""
        return self.items * self.item_s


@dataclass
class ProgressMeter:
    """Count processed items, report progress, and raise `Cancelled` on request.

    report     called after every item
    cancelled  polled after every item
    """

    report: Callable[[Progress], None]
    cancelled: Callable[[], bool]
    stages: tuple[Stage, ...] = ()
    _done: dict[str, int] = field(default_factory=dict)
    _fraction: float = 0.0
    _began_s: float = field(default_factory=time.monotonic)

    def set_stages(self, stages: Iterable[Stage]) -> None:
        """Set the stages of the job; a later, better estimate keeps the counts."""
        self.stages = tuple(stages)

    def mark_done(self, stage: str) -> None:
        """Mark a stage as complete, whether this run or an earlier one has done it."""
        self.stages = tuple(
            replace(one, items=self._done.get(stage, 0)) if one.name == stage else one
            for one in self.stages
        )

    def repeat(self, *stages: str) -> None:
        """Expect the items of some stages once more."""
        self.stages = tuple(
            replace(one, items=one.items + self._done.get(one.name, 0))
            if one.name in stages
            else one
            for one in self.stages
        )

    def advance(self, stage: str, preview: UInt8Array | None = None) -> None:
        """Count one item of a stage and report; raises Cancelled on request."""
        self._done[stage] = self._done.get(stage, 0) + 1
        items = next((one.items for one in self.stages if one.name == stage), 0)
        self.report(
            Progress(stage, self._share(), self._seconds_left(), preview, self._done[stage], items)
        )
        if self.cancelled():
            raise Cancelled(
                f'cancelled in the stage {stage!r}; finished work is kept, run the same '
                'command again to resume'
            )

    def fraction_callback(self, stage: str) -> Callable[[float], None]:
        """Return an ``on_progress`` callback that converts shares of a stage to item counts."""
        items = next(one.items for one in self.stages if one.name == stage)

        def on_progress(share: float) -> None:
            while self._done.get(stage, 0) < int(share * items):
                self.advance(stage)

        return on_progress

    def _done_s(self) -> float:
        return sum(min(self._done.get(one.name, 0), one.items) * one.item_s for one in self.stages)

    def _expected_s(self) -> float:
        return sum(one.seconds for one in self.stages)

    def _share(self) -> float:
        expected_s = self._expected_s()
        share = self._done_s() / expected_s if expected_s else 0.0
        self._fraction = max(self._fraction, share)
        return self._fraction

    def _seconds_left(self) -> float | None:
        left_s = self._expected_s() - self._done_s()
        elapsed_s, done_s = time.monotonic() - self._began_s, self._done_s()
        ratio = (elapsed_s + EXPECTED_TIME_WEIGHT_S) / (done_s + EXPECTED_TIME_WEIGHT_S)
        return left_s * ratio if self.stages else None
