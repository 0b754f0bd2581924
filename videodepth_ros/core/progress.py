# SPDX-License-Identifier: Apache-2.0
"""How far a job is, and how long it will still take."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.core.errors import Cancelled

Image = NDArray[np.uint8]

TRUST_S = 5.0
"""Seconds of work after which measured speed counts as much as what was expected."""


@dataclass(frozen=True)
class Progress:
    """What a job tells while it runs.

    fraction      of the whole job that is done, in [0, 1]; never falls
    seconds_left  None where nothing tells
    preview       (h, w, 3) uint8 RGB, what the stage has just made; None where there is nothing
    """

    stage: str
    fraction: float
    seconds_left: float | None
    preview: Image | None = None


@dataclass(frozen=True)
class Stage:
    """A part of a job.

    items   how many there are to do, 0 where it is done already
    item_s  seconds that one is expected to take
    """

    name: str
    items: int
    item_s: float

    @property
    def seconds(self) -> float:
        """Expected time of the whole."""
        return self.items * self.item_s


@dataclass
class Meter:
    """Counts what is done, reports it, and ends the job where somebody wants it to end."""

    report: Callable[[Progress], None]
    cancelled: Callable[[], bool]
    stages: tuple[Stage, ...] = ()
    _done: dict[str, int] = field(default_factory=dict)
    _fraction: float = 0.0
    _began_s: float = field(default_factory=time.monotonic)

    def expect(self, stages: Iterable[Stage]) -> None:
        """Say what is to be done; again when more is known, what is done stays counted."""
        self.stages = tuple(stages)

    def finish(self, stage: str) -> None:
        """Say that nothing of a stage is left, also where an earlier run has done it."""
        self.stages = tuple(
            replace(one, items=self._done.get(stage, 0)) if one.name == stage else one
            for one in self.stages
        )

    def tick(self, stage: str, preview: Image | None = None) -> None:
        """Count one item of a stage as done; raises Cancelled where somebody wants the end."""
        self._done[stage] = self._done.get(stage, 0) + 1
        self.report(Progress(stage, self._share(), self._seconds_left(), preview))
        if self.cancelled():
            raise Cancelled(
                f'stopped in the stage {stage!r}; what is done is kept, the same '
                'call goes on from there'
            )

    def shares(self, stage: str) -> Callable[[float], None]:
        """Return what counts the items of a stage by the share of it that is done."""
        items = next(one.items for one in self.stages if one.name == stage)

        def advanced(share: float) -> None:
            while self._done.get(stage, 0) < int(share * items):
                self.tick(stage)

        return advanced

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
        return left_s * (elapsed_s + TRUST_S) / (done_s + TRUST_S) if self.stages else None
