# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import subprocess
import sys

import pytest

COUNT = """
import ctypes
from numpy.linalg import _umath_linalg
from videodepth_ros.core.threads import NAMES, single_threaded_blas
blas = ctypes.CDLL(_umath_linalg.__file__)
gets = [getattr(blas, f'{prefix}get_num_threads{suffix}', None) for prefix, suffix in NAMES]
get = next((get for get in gets if get), lambda: -1)
before = get()
try:
    with single_threaded_blas():
        inside = get()
        raise ValueError
except ValueError:
    print(before, inside, get())
"""


def test_one_thread_inside_and_as_many_as_before_after():
    env = {**os.environ, 'OPENBLAS_NUM_THREADS': '2'}
    before, inside, after = map(
        int,
        subprocess.run(
            [sys.executable, '-c', COUNT], env=env, check=True, capture_output=True, text=True
        ).stdout.split(),
    )
    if before < 2:
        pytest.skip('numpy has no OpenBLAS here, or there is one core only')
    assert (inside, after) == (1, 2)
