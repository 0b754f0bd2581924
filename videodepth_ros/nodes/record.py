# SPDX-License-Identifier: Apache-2.0
"""What happened in a live node, kept for those who tell it."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from dataclasses import dataclass

import numpy as np

from videodepth_ros.frames import ScaleSource
from videodepth_ros.stream.session import ResetReason

WINDOW_S = 5.0
"""Rates and ages are those of the last so many seconds."""


@dataclass(frozen=True)
class Output:
    """One output: the header of its image, where its metres come from, and times in seconds.

    steady_s   when it was published, on the steady clock
    age_s      ROS time then, minus the stamp
    latency_s  since its image arrived in this process
    engine_s   of that, the network
    """

    stamp_ns: int
    frame_id: str
    scale_source: ScaleSource
    steady_s: float
    age_s: float
    latency_s: float
    engine_s: float


class Record:
    """What happened lately and since the start; any thread writes and reads it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inputs: deque[float] = deque()
        self._outputs: deque[Output] = deque()
        self._resets: Counter[ResetReason] = Counter()
        self._begin_s = time.monotonic()
        self.last_input_s = self._begin_s
        self.last_error = ''
        self.last_output: Output | None = None

    def image_came(self, steady_s: float) -> None:
        """Note an image that arrived."""
        with self._lock:
            self.last_input_s = steady_s
            self._inputs.append(steady_s)
            self._forget(steady_s)

    def frame_went(self, output: Output) -> None:
        """Note an output."""
        with self._lock:
            self._outputs.append(output)
            self.last_output = output
            self._forget(output.steady_s)

    def was_reset(self, reason: ResetReason) -> None:
        """Count a reset."""
        with self._lock:
            self._resets[reason] += 1

    def start_afresh(self) -> None:
        """Forget rates and ages, as when the clock was set; the counters go on."""
        with self._lock:
            self._inputs.clear()
            self._outputs.clear()
            self._begin_s = self.last_input_s = time.monotonic()

    def summary(self) -> Summary:
        """Return rates, ages and resets as of now."""
        with self._lock:
            now_s = time.monotonic()
            self._forget(now_s)
            span_s = max(min(now_s - self._begin_s, WINDOW_S), 1e-3)
            return Summary(
                len(self._inputs) / span_s,
                len(self._outputs) / span_s,
                *_percentiles([output.age_s for output in self._outputs]),
                *_percentiles([output.latency_s for output in self._outputs]),
                _percentiles([output.engine_s for output in self._outputs])[0],
                tuple(self._resets[reason] for reason in ResetReason),
            )

    def _forget(self, now_s: float) -> None:
        while self._inputs and now_s - self._inputs[0] > WINDOW_S:
            self._inputs.popleft()
        while self._outputs and now_s - self._outputs[0].steady_s > WINDOW_S:
            self._outputs.popleft()


@dataclass(frozen=True)
class Summary:
    """Rates in Hz, times in seconds (NaN where nothing was published).

    resets  since the start, for each ResetReason in its order
    """

    input_rate_hz: float
    output_rate_hz: float
    age_p50_s: float
    age_p99_s: float
    latency_p50_s: float
    latency_p99_s: float
    engine_p50_s: float
    resets: tuple[int, ...]


def _percentiles(values: list[float]) -> tuple[float, float]:
    if not values:
        return float('nan'), float('nan')
    p50, p99 = np.percentile(values, [50, 99])
    return float(p50), float(p99)
