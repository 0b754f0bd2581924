# SPDX-License-Identifier: Apache-2.0
"""Rates, ages and resets of a live stream over a sliding window."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from dataclasses import dataclass, fields

import numpy as np

from videodepth_ros.frames import ScaleSource
from videodepth_ros.nodes.options import LIVE
from videodepth_ros.stream.session import ResetReason


@dataclass(frozen=True)
class StageTimes:
    """Latency of one frame by stage, in order [s].

    wait         in the mailbox, from the arrival of the image in this process
    decode       from the message to the rectified image
    network      inference
    postprocess  resizing, resets, stabilization, scale, edges and masks
    publish      writing, serializing and sending the outputs
    """

    wait: float
    decode: float
    network: float
    postprocess: float
    publish: float


STAGES = tuple(field.name for field in fields(StageTimes))


@dataclass(frozen=True)
class PublishedFrame:
    """One published frame: the header of its image, its scale and its times.

    steady_s   time of publication on the steady clock
    age_s      ROS time at publication minus the stamp
    latency_s  from the arrival of the image in this process to publication; the sum of ``stages``
    """

    stamp_ns: int
    frame_id: str
    scale_source: ScaleSource
    steady_s: float
    age_s: float
    latency_s: float
    stages: StageTimes


@dataclass(frozen=True)
class StatisticsSummary:
    """Rates in Hz and times in seconds over the window; NaN where nothing was published.

    resets  count since the start for each ResetReason, in its order
    stages  50th and 99th percentile of the latency by stage [s]
    """

    input_rate_hz: float
    output_rate_hz: float
    age_p50_s: float
    age_p99_s: float
    latency_p50_s: float
    latency_p99_s: float
    engine_p50_s: float
    resets: tuple[int, ...]
    stages: dict[str, tuple[float, float]]


class StreamStatistics:
    """Statistics of one stream; thread-safe."""

    def __init__(self, window_s: float = LIVE.statistics_window_s) -> None:
        self._window_s = window_s
        self._lock = threading.Lock()
        self._received_s: deque[float] = deque()
        self._published: deque[PublishedFrame] = deque()
        self._resets: Counter[ResetReason] = Counter()
        self._begin_s = time.monotonic()
        self._periods_s: deque[float] = deque(maxlen=3)
        self.last_received_s = self._begin_s
        self.last_published: PublishedFrame | None = None

    def on_received(self, steady_s: float) -> None:
        """Count a received image."""
        with self._lock:
            self._periods_s.append(steady_s - self.last_received_s)
            self.last_received_s = steady_s
            self._received_s.append(steady_s)
            self._drop_old(steady_s)

    @property
    def period_s(self) -> float:
        """Median of the last three periods of the images; 0 before them."""
        with self._lock:
            periods_s = sorted(self._periods_s)
        return periods_s[1] if len(periods_s) == 3 else 0.0

    def on_published(self, frame: PublishedFrame) -> None:
        """Count a published frame."""
        with self._lock:
            self._published.append(frame)
            self.last_published = frame
            self._drop_old(frame.steady_s)

    def on_reset(self, reason: ResetReason) -> None:
        """Count a reset of the recurrent state."""
        with self._lock:
            self._resets[reason] += 1

    def clear_window(self) -> None:
        """Clear rates and ages, as after a jump of the clock; counts of resets stay."""
        with self._lock:
            self._received_s.clear()
            self._periods_s.clear()
            self._published.clear()
            self._begin_s = self.last_received_s = time.monotonic()

    def summary(self) -> StatisticsSummary:
        """Return the statistics of the window that ends now."""
        with self._lock:
            now_s = time.monotonic()
            self._drop_old(now_s)
            span_s = max(min(now_s - self._begin_s, self._window_s), 1e-3)
            return StatisticsSummary(
                len(self._received_s) / span_s,
                len(self._published) / span_s,
                *_percentiles([frame.age_s for frame in self._published]),
                *_percentiles([frame.latency_s for frame in self._published]),
                self._stage('network')[0],
                tuple(self._resets[reason] for reason in ResetReason),
                {stage: self._stage(stage) for stage in STAGES},
            )

    def _stage(self, name: str) -> tuple[float, float]:
        """Return the 50th and 99th percentile of the time of a stage [s]."""
        return _percentiles([getattr(frame.stages, name) for frame in self._published])

    def _drop_old(self, now_s: float) -> None:
        while self._received_s and now_s - self._received_s[0] > self._window_s:
            self._received_s.popleft()
        while self._published and now_s - self._published[0].steady_s > self._window_s:
            self._published.popleft()


def _percentiles(values: list[float]) -> tuple[float, float]:
    """Return the 50th and 99th percentile; NaN of nothing."""
    if not values:
        return float('nan'), float('nan')
    p50, p99 = np.percentile(values, [50, 99])
    return float(p50), float(p99)
