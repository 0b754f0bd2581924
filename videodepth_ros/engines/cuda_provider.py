# SPDX-License-Identifier: Apache-2.0
"""Selection of the installed CUDA binding."""

from __future__ import annotations

from videodepth_ros.core.errors import DeviceError
from videodepth_ros.engines.cuda import CudaBindings, CudaRuntime
from videodepth_ros.engines.pycuda_runtime import PyCuda


def open_cuda() -> CudaRuntime:
    """Return the first installed binding: cuda-bindings, else PyCUDA.

    raises  DeviceError if neither is installed or there is no GPU
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
