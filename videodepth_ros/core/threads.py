# SPDX-License-Identifier: Apache-2.0
"""One BLAS thread for work on many small matrices.

OpenBLAS splits products of a few thousand numbers over all cores and lets the cores spin in
between: on two busy cores the alignment of ten frames then took 36 s instead of 3 s. What can run
side by side here are clips, each in a process of its own.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

from numpy.linalg import _umath_linalg  # the part of numpy that is bound to its BLAS

NAMES = (
    ('scipy_openblas_', '64_'),
    ('scipy_openblas_', ''),
    ('openblas_', '64_'),
    ('openblas_', ''),
)
"""How numpy's wheels and distributions call OpenBLAS' functions: prefix and suffix."""


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Run the block with one thread in numpy's OpenBLAS; another BLAS is left as it is."""
    blas = ctypes.CDLL(_umath_linalg.__file__)
    for prefix, suffix in NAMES:
        get = getattr(blas, f'{prefix}get_num_threads{suffix}', None)
        put = getattr(blas, f'{prefix}set_num_threads{suffix}', None)
        if get is not None and put is not None:
            break
    else:
        yield
        return
    before = get()
    put(1)
    try:
        yield
    finally:
        put(before)
