# SPDX-License-Identifier: Apache-2.0
"""Which provider of CUDA is installed."""

from __future__ import annotations

from videodepth_ros.core.errors import DeviceError
from videodepth_ros.engines.cuda import CudaBindings, CudaRuntime
from videodepth_ros.engines.pycuda_runtime import PyCuda


def open_cuda() -> CudaRuntime:
    """Return the first provider that is installed: cuda-bindings, else PyCUDA.

    raises  DeviceError if there is none, or it finds no GPU
    """
    try:
        return CudaBindings()
    except ImportError:
        pass
    try:
        return PyCuda()
    except ImportError as error:
        raise DeviceError(
            'neither cuda-bindings nor PyCUDA is installed; `pip install '
            'cuda-bindings` in the version of your CUDA'
        ) from error
