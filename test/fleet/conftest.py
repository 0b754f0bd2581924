# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

os.environ.setdefault('RAY_worker_niceness', '0')  # a busy machine would starve the workers


@pytest.fixture(scope='session')
def ray_of_two() -> Iterator[object]:
    """Return Ray with an instance of two CPUs, which all tests of a process share."""
    ray = pytest.importorskip('ray', reason="pip install 'videodepth[fleet]'")
    os.environ['RAY_USAGE_STATS_ENABLED'] = '0'
    ray.init(
        address='local',
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        logging_level='error',
    )
    yield ray
    ray.shutdown()
