# SPDX-License-Identifier: Apache-2.0
"""How fast and how fresh is live depth? Run as ``python -m bench.live_rate``; prints JSON.

A camera process, the live node with a real network, and a sink process. Offered at 30 Hz, the bar
is 15 Hz out, an age p99 of two output periods, and exact counters. Offered ten times as much,
neither memory nor age may grow: they are compared between the two halves of the run.
"""

from __future__ import annotations

import argparse
import json
import statistics
from typing import Any

from bench.graph import run_graph

LEAST_RATE_HZ = 15.0
OVERLOAD_HZ = 100.0
"""Offered more than this, a run is judged by its growth, not by its rate and age."""

GROWTH = {'memory_mb': 1.05, 'age_p50_s': 1.5}
"""Second half over first half, at most; more is growth and not noise."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--model', default='nano')
    parser.add_argument('--engine', default='auto')
    parser.add_argument('--threads', type=int, default=0)
    parser.add_argument(
        '--max-pixels', type=int, default=0, help="of the network's input; 0: its own budget"
    )
    parser.add_argument('--size', default='640x480', help='of the image')
    parser.add_argument('--seconds', type=float, default=20.0, help='length of each run')
    parser.add_argument(
        '--rates',
        type=float,
        nargs='+',
        default=[30.0, 300.0],
        help='images a second that are offered',
    )
    arguments = parser.parse_args()
    node = ['live', '--ros-args']
    for name in ('model', 'engine', 'threads', 'max_pixels'):
        node += ['-p', f'{name}:={getattr(arguments, name)}']
    runs = [
        measure(node, arguments.size, rate_hz, arguments.seconds) for rate_hz in arguments.rates
    ]
    print(
        json.dumps(
            {
                'bench': 'live_rate',
                'size': arguments.size,
                'model': arguments.model,
                'passed': all(run['passed'] for run in runs),
                'runs': runs,
            },
            indent=1,
        )
    )


def measure(node: list[str], size: str, rate_hz: float, seconds: float) -> dict[str, Any]:
    """One run at one offered rate, with its judgement."""
    run = run_graph(node, size, rate_hz, seconds, ['depth/image'])
    statuses, depth = run.pop('statuses'), run['depth/image']
    last = statuses[-1]
    working = [status for status in statuses if status['state'] == 'running']
    halves = working[2 : len(working) // 2 + 1], working[len(working) // 2 + 1 : -1]
    growth = {
        name: round(
            statistics.median(status[name] for status in halves[1])
            / statistics.median(status[name] for status in halves[0]),
            3,
        )
        for name in GROWTH
    }
    period_ms, is_overload = 1e3 / depth['rate_hz'], rate_hz > OVERLOAD_HZ
    judged = {
        'counters_exact': all(adds_up(status) for status in statuses),
        'no_growth': all(growth[name] <= limit for name, limit in GROWTH.items()),
        'fast': is_overload or depth['rate_hz'] >= LEAST_RATE_HZ,
        'fresh': is_overload or depth['p99_ms'] <= 2 * period_ms,
    }
    counters = {
        name: last[name]
        for name in ('received', 'published', 'displaced', 'rejected', 'in_flight')
    }
    return {
        'offered_hz': rate_hz,
        **run,
        'output_period_ms': round(period_ms, 2),
        'engine': last['engine'],
        'engine_p50_ms': round(last['engine_p50_s'] * 1e3, 2),
        'latency_p50_ms': round(working[-1]['latency_p50_s'] * 1e3, 2),
        'latency_p99_ms': round(working[-1]['latency_p99_s'] * 1e3, 2),
        'counters': counters,
        'growth': growth,
        'memory_mb': round(last['memory_mb'], 1),
        **judged,
        'passed': all(judged.values()),
    }


def adds_up(status: dict[str, Any]) -> bool:
    """Tell whether every image that was received is accounted for."""
    return status['received'] == sum(
        status[name] for name in ('published', 'displaced', 'rejected', 'in_flight')
    )


if __name__ == '__main__':
    main()
