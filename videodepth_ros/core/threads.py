# SPDX-License-Identifier: Apache-2.0
"""Single-threaded BLAS for work on many small matrices.

OpenBLAS splits products of a few thousand numbers over all cores, whose threads then spin between
calls: on two busy cores the alignment of ten frames took 36 s instead of 3 s. Parallelism is over
clips instead, each in a process of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Limit all loaded BLAS libraries to one thread; context manager and decorator."""
    with threadpool_limits(limits=1, user_api='blas'):
        yield
