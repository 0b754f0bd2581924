# SPDX-License-Identifier: Apache-2.0
"""Settings and fixtures of every test."""

from __future__ import annotations

import os
import random
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from test.support.shared_cache import SharedCache

ROOT = Path(__file__).parents[1]
MARK_OF_FOLDER = {'demo': 'ros', 'launch': 'ros', 'nodes': 'ros', 'gpu': 'gpu', 'parity': 'slow'}

WORKER = os.environ.get('PYTEST_XDIST_WORKER')  # gw0, gw1, ... of a parallel run
if WORKER:
    os.environ.setdefault('OMP_NUM_THREADS', '1')  # read when torch is imported
# A ROS domain for each worker of each test run on this machine; demo/graph.py takes 60 to 99.
DOMAIN = os.getppid() + int(WORKER.removeprefix('gw')) if WORKER else os.getpid()
os.environ['ROS_DOMAIN_ID'] = str(1 + DOMAIN % 58)
os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'  # another machine may have the same

try:
    from hypothesis import HealthCheck, settings
except ImportError:  # a machine with torch and pytest alone, for test/gpu
    pass
else:
    # The same examples on every run, and no deadline: the result depends on the code alone.
    settings.register_profile(
        'patient', deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.load_profile('patient')


PATIENCE_S = 10.0
"""Time in which a thread of a test ends once it was stopped, on a busy machine."""
SHARED_THREADS = {'tqdm_monitor', 'ray_listen_error_messages', 'PythonGCThread'}
"""Names of threads that a library keeps for the process."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option of random order."""
    parser.addoption(
        '--shuffle',
        type=int,
        metavar='SEED',
        help='run the files, and the tests of each file, in a random order',
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests of a folder: ``-m 'not (ros or slow or gpu)'`` selects the fast ones."""
    for item in items:
        mark = MARK_OF_FOLDER.get(item.path.relative_to(ROOT / 'test').parts[0])
        if mark:
            item.add_marker(mark)
    if (seed := config.getoption('shuffle')) is not None:
        items[:] = shuffled(items, seed)


def shuffled(items: list[pytest.Item], seed: int) -> list[pytest.Item]:
    """Return tests in random order; those of a file stay together, for its fixtures' sake."""
    generator = random.Random(seed)
    files: dict[Path, list[pytest.Item]] = {}
    for item in generator.sample(items, len(items)):
        files.setdefault(item.path, []).append(item)
    return [item for tests in files.values() for item in tests]


@pytest.fixture(autouse=True)
def no_leaked_threads() -> Iterator[None]:
    """Fail a test whose threads go on after its fixtures were torn down."""
    before = set(threading.enumerate())
    yield
    deadline_s = time.monotonic() + PATIENCE_S
    while leaked := {t for t in threading.enumerate() if t.name not in SHARED_THREADS} - before:
        assert time.monotonic() < deadline_s, f'threads that go on after the test: {leaked}'
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def same_numbers() -> None:
    """Seed torch, so that random numbers do not depend on the tests that ran before."""
    if 'torch' in sys.modules:
        sys.modules['torch'].manual_seed(0)


@pytest.fixture
def root() -> Path:
    """Return the root of the source tree."""
    return ROOT


@pytest.fixture(scope='session')
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> SharedCache:
    """Return the cache that the workers of this run share."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if WORKER else base) / 'shared'
    folder.mkdir(exist_ok=True)
    return SharedCache(folder)
