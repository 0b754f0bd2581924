# SPDX-License-Identifier: Apache-2.0
"""Kalman filter of the log scale of a stream, with an innovation gate.

The log scale is a random walk; measurements of several sources are fused by their variance. One
that contradicts the present scale is rejected, unless such outweigh the others for a while. The
scale that frames get follows the estimate in limited steps, so that it never jumps; only the first
estimate, and those while the network settles at the start of a stream, are taken at once.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from dataclasses import dataclass

import numpy as np

from videodepth_ros.frames import ScaleSource
from videodepth_ros.geometry.robust import mad_sigma
from videodepth_ros.scale.measurement import ScaleMeasurement, ScaleStatus
from videodepth_ros.scale.options import ScaleFilterOptions

DEFAULTS = ScaleFilterOptions()


@dataclass(frozen=True)
class _Accepted:
    """A measurement that was accepted, its innovation, and the estimate after it."""

    measurement: ScaleMeasurement
    innovation: float
    log_scale: float


class ScaleFilter:
    """Log scale of one stream; not thread-safe."""

    def __init__(self, options: ScaleFilterOptions = DEFAULTS) -> None:
        self._options = options
        self._log_scale: float | None = None
        self._variance = 0.0
        self._stamp_ns: int | None = None  # of the estimate
        self._start_ns: int | None = None  # first frame of the stream
        self._output: float | None = None
        self._accepted: deque[_Accepted] = deque(maxlen=1000)
        self._rejected: deque[ScaleMeasurement] = deque(maxlen=100)
        self._counts = [0, 0]  # rejected, accepted
        self._source: ScaleSource | None = None  # the leading one, kept while nothing comes

    def restart(self) -> None:
        """Start another stream: the scale holds, with less certainty."""
        self._variance += self._options.restart_sigma**2
        self._accepted.clear()
        self._rejected.clear()
        self._stamp_ns = self._start_ns = None

    def update(self, measurement: ScaleMeasurement) -> bool:
        """Fuse a measurement; return whether it was accepted."""
        self._predict(measurement.stamp_ns)
        accepted = self._fuse(measurement)
        self._counts[accepted] += 1
        return accepted

    def step(self, stamp_ns: int) -> float | None:
        """Return the log scale of the next frame; None before the first measurement."""
        if self._start_ns is None:
            self._start_ns = stamp_ns
        if self._log_scale is None:
            return None
        is_free = stamp_ns - self._start_ns < self._options.start_s * 1e9
        if self._output is None or is_free:
            self._output = self._log_scale
        limit = self._options.max_step
        self._output += min(max(self._log_scale - self._output, -limit), limit)
        return self._output

    def status(self, stamp_ns: int, transform_failures: int = 0) -> ScaleStatus:
        """Return the state at a stamp."""
        self._forget(stamp_ns)
        found = self._accepted
        if found:
            self._source = self._leading_source()
            age_s = max(0.0, (stamp_ns - found[-1].measurement.stamp_ns) * 1e-9)
            spread = mad_sigma(np.array([each.innovation for each in found]))
            drift = found[-1].log_scale - found[0].log_scale
        else:
            age_s, spread, drift = math.inf, math.nan, math.nan
        return ScaleStatus(
            self._source,
            spread,
            age_s,
            drift,
            self._counts[1],
            self._counts[0],
            transform_failures,
            is_stale=self._log_scale is not None and age_s > self._options.stale_s,
        )

    def _leading_source(self) -> ScaleSource:
        information: defaultdict[ScaleSource, float] = defaultdict(float)
        for each in self._accepted:
            information[each.measurement.source] += 1 / each.measurement.sigma**2
        return max(information, key=information.__getitem__)

    def _predict(self, stamp_ns: int) -> None:
        before_ns = stamp_ns if self._stamp_ns is None else self._stamp_ns
        elapsed_s = min(max(0.0, (stamp_ns - before_ns) * 1e-9), self._options.window_s)
        self._variance += self._options.drift_sigma**2 * elapsed_s
        self._stamp_ns = max(stamp_ns, before_ns)

    def _fuse(self, measurement: ScaleMeasurement) -> bool:
        options, variance = self._options, measurement.sigma**2
        if self._log_scale is None:
            variance += options.start_sigma**2
            self._start_from(measurement, measurement.log_scale, variance)
            return True
        innovation = measurement.log_scale - self._log_scale
        total = self._variance + variance
        if abs(innovation) > max(options.gate * math.sqrt(total), options.least_gate):
            return self._contradict(measurement)
        gain = self._variance / total
        self._log_scale += gain * innovation
        self._variance *= 1 - gain
        self._accepted.append(_Accepted(measurement, innovation, self._log_scale))
        return True

    def _start_from(
        self, measurement: ScaleMeasurement, log_scale: float, variance: float
    ) -> None:
        """Start the estimate anew."""
        self._log_scale, self._variance = log_scale, variance
        self._accepted.append(_Accepted(measurement, 0.0, log_scale))

    def _contradict(self, measurement: ScaleMeasurement) -> bool:
        """Reject a measurement, or start anew where the rejected outweigh the accepted."""
        self._rejected.append(measurement)
        begin_ns = measurement.stamp_ns - int(self._options.reacquire_s * 1e9)
        if self._accepted:
            begin_ns = min(begin_ns, self._accepted[-1].measurement.stamp_ns + 1)
        rejected = [each for each in self._rejected if each.stamp_ns >= begin_ns]
        accepted = [
            each.measurement for each in self._accepted if each.measurement.stamp_ns >= begin_ns
        ]
        if len(rejected) < self._options.reacquire_count or _information(rejected) < _information(
            accepted
        ):
            return False
        logs = np.array([each.log_scale for each in rejected])
        middle = float(np.median(logs))
        self._rejected.clear()
        self._start_from(measurement, middle, mad_sigma(logs - middle) ** 2 + measurement.sigma**2)
        return True

    def _forget(self, stamp_ns: int) -> None:
        begin_ns = stamp_ns - int(self._options.window_s * 1e9)
        while len(self._accepted) > 1 and self._accepted[0].measurement.stamp_ns < begin_ns:
            self._accepted.popleft()


def _information(measurements: list[ScaleMeasurement]) -> float:
    """Return the sum of the inverse variances."""
    return sum(each.sigma**-2 for each in measurements)
