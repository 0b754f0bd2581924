# SPDX-License-Identifier: Apache-2.0
"""Does a live node last? Run as ``python -m bench.soak --minutes 60``; writes JSON and a plot.

A live node at 30 Hz, with the engine of the tests, while resets, reconnecting cameras, other
sizes, bad images, parameters and lifecycle cycles are mixed in. The bars: less than 2 MB an hour
of growth after warm-up, descriptors and threads flat, the 1st percentile of the rate at least
90 % of the median in seconds into which nothing was mixed, counters exact. In a short run the
first touch of pages that are used again later looks like growth: ``heap_mb``, what malloc has
handed out, has a slope only where something is kept.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import math
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
import rclpy.utilities
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter

from bench.live_rate import adds_up
from videodepth_ros.nodes.diagnostics import resident_memory_mb
from videodepth_ros.nodes.transport import prepare_process

RATE_HZ = 30.0
WARM_UP_SHARE = 0.25  # of the run, at its start
BLOCK_S = 10.0  # one disturbance, then a quiet rest
REST_SHARE = 0.4  # start of a block whose rate is not judged
MAX_SLOPE_MB_H, LEAST_RATE_SHARE = 2.0, 0.9
EVENTS = ('nothing', 'reset', 'reconnect', 'size', 'bad', 'parameters', 'cycle', 'activate')
SAMPLE = np.dtype(
    [
        ('time_s', 'f8'),
        ('event', 'U10'),
        ('is_quiet', '?'),
        ('memory_mb', 'f8'),
        ('heap_mb', 'f8'),
        ('descriptors', 'i4'),
        ('threads', 'i4'),
        ('rate_hz', 'f8'),
    ]
)
"""State of the process once a second. memory_mb: resident; heap_mb: handed out by malloc."""


class Soak:
    """The node and its camera, and one sample a second, in an array that does not grow."""

    def __init__(self, rate_hz: float, most_samples: int) -> None:
        from test.support.rig import Rig

        self.period_s = 1 / rate_hz
        self.rig = Rig(SingleThreadedExecutor(), image_timeout_s=2.0, scale__steady='never')
        self.rig.start()
        self.images = self.rig.connect()
        self._samples = np.full(most_samples, np.zeros((), SAMPLE))
        self._count = 0
        self.size = (160, 128)
        self.is_exact = True

    @property
    def samples(self) -> list[dict[str, Any]]:
        """The samples so far."""
        return [
            dict(zip(SAMPLE.names, row.item(), strict=True))
            for row in self._samples[: self._count]
        ]

    def close(self) -> None:
        """Leave the graph."""
        self.rig.close()
        self.rig.executor.shutdown()

    def stream(self, seconds: float) -> None:
        """Publish images at the rate."""
        from test.support.rig import image_message

        begin_s, sent = time.monotonic(), 0
        while sent * self.period_s < seconds:
            message = image_message(0, width=self.size[0], height=self.size[1])
            message.header.stamp = self.rig.node.get_clock().now().to_msg()
            self.images.publish(message)
            sent += 1
            while (left_s := begin_s + sent * self.period_s - time.monotonic()) > 0:
                self.rig.executor.spin_once(timeout_sec=left_s)
        self.rig.received['depth/image'].clear()
        del self.rig.node.engines[:-1]  # they are kept for tests, and record the states
        for engine in self.rig.node.engines:
            engine.seen.clear()

    def sample(self, event: str, *, is_quiet: bool, begin_s: float) -> None:
        """Stream for a second and record the state of the process."""
        before = self.rig.counts.published
        second_s = time.monotonic()
        self.stream(1.0)
        status = self.rig.node.status()
        counts = {name: getattr(status, name) for name in COUNTERS}
        self.is_exact &= adds_up(counts)
        self._samples[self._count] = (
            round(time.monotonic() - begin_s, 2),
            event,
            is_quiet,
            round(resident_memory_mb(), 2),
            round(heap_mb(), 2),
            len(os.listdir('/proc/self/fd')),
            threading.active_count(),
            round((status.published - before) / (time.monotonic() - second_s), 2),
        )
        self._count += 1

    def disturb(self, event: str) -> None:
        """Mix one event in."""
        node, rig = self.rig.node, self.rig
        if event == 'reset':
            node._on_clock_jump(None)
        elif event == 'reconnect':
            rig.peer.destroy_publisher(self.images)
            self.images = rig.camera()
        elif event == 'size':
            self.size = (128, 160) if self.size == (160, 128) else (160, 128)
            rig.infos.publish(_info(*self.size))
        elif event == 'bad':
            from test.support.rig import image_message

            message = image_message(0)
            message.encoding = 'palette8'
            self.images.publish(message)
        elif event == 'parameters':
            for factor in (2.0, 1.0):
                node.set_parameters([Parameter('scale.factor', value=factor)])
        elif event in ('cycle', 'activate'):
            node.trigger_deactivate()
            if event == 'cycle':
                node.trigger_cleanup()
                node.trigger_configure()
            node.trigger_activate()
        rig.until(lambda: self.images.get_subscription_count() == 1)


COUNTERS = ('received', 'published', 'displaced', 'rejected', 'in_flight')


def _info(width: int, height: int) -> Any:
    from test.support.rig import info_message

    return info_message(width, height)


class MallInfo(ctypes.Structure):
    """Result of mallinfo2(3)."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            'arena', 'ordblks', 'smblks', 'hblks', 'hblkhd',
            'usmblks', 'fsmblks', 'uordblks', 'fordblks', 'keepcost',
        )
    )  # fmt: skip


def heap_mb() -> float:
    """Return the memory that malloc has handed out; NaN where the C library is not glibc."""
    try:
        mallinfo = ctypes.CDLL(None).mallinfo2
    except AttributeError:
        return float('nan')
    mallinfo.restype = MallInfo
    info = mallinfo()
    return float(info.uordblks + info.hblkhd) / 1e6


def slope_an_hour(samples: list[dict[str, Any]], name: str) -> float:
    """Return the slope of a value by least squares."""
    if len(samples) < 2:
        return 0.0
    hours = np.array([sample['time_s'] for sample in samples]) / 3600
    return float(np.polyfit(hours, [sample[name] for sample in samples], 1)[0])


def report(soak: Soak, seconds: float) -> dict[str, Any]:
    """Return figures and judgement of a run."""
    warm = [s for s in soak.samples if s['time_s'] >= WARM_UP_SHARE * seconds]
    rates = [s['rate_hz'] for s in warm if s['is_quiet']]
    p1, p50 = np.percentile(rates, [1, 50]) if rates else (0.0, 0.0)
    growth = {name: warm[-1][name] - warm[0][name] for name in ('descriptors', 'threads')}
    found = {
        'seconds': round(seconds, 1),
        'memory_slope_mb_h': round(slope_an_hour(warm, 'memory_mb'), 2),
        'heap_slope_mb_h': round(slope_an_hour(warm, 'heap_mb'), 2),
        'descriptors_growth': growth['descriptors'],
        'threads_growth': growth['threads'],
        'rate_p50_hz': round(float(p50), 2),
        'rate_p1_hz': round(float(p1), 2),
    }
    judged = {
        'counters_exact': soak.is_exact,
        'memory_flat': bool(found['memory_slope_mb_h'] < MAX_SLOPE_MB_H),
        'descriptors_flat': growth['descriptors'] <= 2,
        'threads_flat': growth['threads'] <= 0,
        'rate_steady': bool(p1 >= LEAST_RATE_SHARE * p50 > 0),
    }
    return {'bench': 'soak', **found, **judged, 'passed': all(judged.values())}


def run(seconds: float, rate_hz: float) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Run the node for some time and return the report and the samples."""
    most_samples = math.ceil(seconds + BLOCK_S) + 2 * len(EVENTS)
    soak, begin_s, block = Soak(rate_hz, most_samples), time.monotonic(), 0
    try:
        while time.monotonic() - begin_s < seconds or block < len(EVENTS):
            event = EVENTS[block % len(EVENTS)]
            soak.disturb(event)
            block_s, length_s = time.monotonic(), min(BLOCK_S, seconds / len(EVENTS))
            while (spent_s := time.monotonic() - block_s) < length_s:
                quiet = event == 'nothing' or spent_s >= REST_SHARE * length_s
                soak.sample(event, is_quiet=quiet, begin_s=begin_s)
            block += 1
        return report(soak, seconds), soak.samples
    finally:
        soak.close()


def plot(samples: list[dict[str, Any]], path: Path) -> None:
    """Draw memory, descriptors, threads and rate over time."""
    import matplotlib as mpl

    mpl.use('Agg')
    from matplotlib import pyplot as plt

    names = ('memory_mb', 'heap_mb', 'descriptors', 'threads', 'rate_hz')
    figure, axes = plt.subplots(len(names), 1, sharex=True, figsize=(8, 8))
    minutes = [sample['time_s'] / 60 for sample in samples]
    for axis, name in zip(axes, names, strict=True):
        axis.plot(minutes, [sample[name] for sample in samples], linewidth=0.8)
        axis.set_ylabel(name)
    axes[-1].set_xlabel('minutes')
    figure.savefig(path, dpi=100)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--minutes', type=float, default=10.0)
    parser.add_argument('--rate', type=float, default=RATE_HZ)
    parser.add_argument('--out', type=Path, help='folder for soak.json and soak.png')
    arguments = parser.parse_args()
    prepare_process()
    rclpy.init()
    found, samples = run(arguments.minutes * 60, arguments.rate)
    rclpy.utilities.try_shutdown()
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        content = json.dumps({**found, 'samples': samples}, indent=1)
        (arguments.out / 'soak.json').write_text(content)
        plot(samples, arguments.out / 'soak.png')
    print(json.dumps(found, indent=1))
    sys.exit(not found['passed'])


if __name__ == '__main__':
    main()
