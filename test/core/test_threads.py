# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import subprocess
import sys

import pytest

COUNT = """
import numpy
from threadpoolctl import threadpool_info
from videodepth_ros.core.threads import single_threaded_blas

def threads():
    return max((one['num_threads'] for one in threadpool_info() if one['user_api'] == 'blas'),
               default=0)

@single_threaded_blas()
def inside():
    raise ValueError(threads())

before = threads()
try:
    inside()
except ValueError as error:
    print(before, error, threads())
"""


def test_blas_has_one_thread_inside_and_as_many_as_before_after():
    env = {**os.environ, 'OPENBLAS_NUM_THREADS': '2'}
    result = subprocess.run(
        [sys.executable, '-c', COUNT], env=env, check=True, capture_output=True, text=True
    )
    before, inside, after = map(int, result.stdout.split())
    if before < 2:
        pytest.skip('numpy has no BLAS with threads here, or there is one core only')
    assert (inside, after) == (1, 2)
