# SPDX-License-Identifier: Apache-2.0
"""Do large messages arrive, and at which cost? Run as ``python -m bench.transport``; prints JSON.

A camera process, the live node with an engine that returns at once, and a sink process: 2044x1148
rgb8 at 30 Hz in, 32FC1 depth of the same size and a stride-4 cloud out, best effort throughout.
The bar: at least 148 of 150 of each arrive, at most 15 ms of CPU a frame in the node.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile

from bench.graph import run_graph

TOPICS = ['depth/image', 'depth/points']
PLAIN_NODE = ['instant', '--ros-args', '-p', 'guided_edges:=never', '-p', 'scale.steady:=never']
"""What nano's depth goes through is no transport: 8 and 9 ms of CPU more at this size."""
NO_PROFILE = """<?xml version="1.0"?>
<dds xmlns="http://www.eprosima.com/XMLSchemas/fastRTPS_Profiles"><profiles>
  <participant profile_name="stock" is_default_profile="true"><rtps/></participant>
</profiles></dds>
"""
LARGEST_CPU_MS = 15.0
LEAST_SHARE = 148 / 150


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--seconds', type=float, default=5.0, help='length of one run')
    parser.add_argument('--rate', type=float, default=30.0, help='images a second')
    parser.add_argument('--size', default='2044x1148', help='of the image')
    parser.add_argument('--runs', type=int, default=1, help='repetitions; medians are judged')
    parser.add_argument('--stock', action='store_true', help="with Fast DDS's own settings")
    arguments = parser.parse_args()
    with tempfile.NamedTemporaryFile('w', suffix='.xml') as nothing:
        nothing.write(NO_PROFILE)
        nothing.flush()
        environment = {'FASTRTPS_DEFAULT_PROFILES_FILE': nothing.name} if arguments.stock else {}
        runs = [
            run_graph(
                PLAIN_NODE, arguments.size, arguments.rate, arguments.seconds, TOPICS, environment
            )
            for _ in range(arguments.runs)
        ]
    for run in runs:
        run['counters'] = {
            name: run['statuses'][-1][name]
            for name in ('received', 'published', 'displaced', 'rejected', 'in_flight')
        }
        del run['statuses']
    cpu_ms = statistics.median(run['node_cpu_ms_a_frame'] for run in runs)
    arrived = {topic: statistics.median(run[topic]['arrived'] for run in runs) for topic in TOPICS}
    passed = cpu_ms <= LARGEST_CPU_MS and min(arrived.values()) >= LEAST_SHARE * runs[0]['sent']
    print(
        json.dumps(
            {
                'bench': 'transport',
                'size': arguments.size,
                'rate_hz': arguments.rate,
                'stock': arguments.stock,
                'sent': runs[0]['sent'],
                'arrived': arrived,
                'node_cpu_ms_a_frame': cpu_ms,
                'passed': passed,
                'runs': runs,
            },
            indent=1,
        )
    )


if __name__ == '__main__':
    main()
