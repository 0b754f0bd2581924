# SPDX-License-Identifier: Apache-2.0
"""Device memory, streams and captured graphs: the little of CUDA that an engine needs.

The provider here is ``cuda-bindings``, NVIDIA's own: CUDA's runtime interface and its primary
context. Addresses and streams are plain integers, as TensorRT takes them.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.core.errors import DeviceError

Array = NDArray[Any]


@dataclass(frozen=True)
class GpuInfo:
    """The device that engines run on.

    major, minor    its compute capability
    cuda_of_driver  the newest CUDA that its driver knows, e.g. 13000
    """

    name: str
    major: int
    minor: int
    memory_mb: int
    driver_cuda_version: int


class CudaRuntime(Protocol):
    """What an engine asks of CUDA; each call raises DeviceError where the device fails.

    What takes a ``stream`` only stands in line there: arrays that are copied must stay as they
    are until the stream is synchronised.
    """

    @property
    def provider(self) -> str:
        """Name and version of what is behind this."""

    @property
    def captures(self) -> bool:
        """Whether the work of a stream can be captured as a graph."""

    def gpu(self) -> GpuInfo:
        """Return what the device is."""

    def allocate(self, size_bytes: int) -> int:
        """Return the address of new device memory."""

    def free(self, address: int) -> None:
        """Give device memory back."""

    def host_array(self, shape: tuple[int, ...], dtype: str) -> Array:
        """Return a new array in page-locked memory, which the device copies at full speed."""

    def free_host(self, array: Array) -> None:
        """Give back what ``host_array`` returned; nobody may hold a view of it."""

    def create_stream(self) -> int:
        """Return a new stream that waits for no other."""

    def destroy_stream(self, stream: int) -> None:
        """End a stream."""

    def synchronize(self, stream: int) -> None:
        """Wait until everything in the stream is done."""

    def upload(self, address: int, array: Array, stream: int) -> None:
        """Copy a page-locked array to the device."""

    def download(self, array: Array, address: int, stream: int) -> None:
        """Fill a page-locked array from the device."""

    def copy(self, to: int, source: int, size_bytes: int, stream: int) -> None:
        """Copy on the device."""

    def zero(self, address: int, size_bytes: int, stream: int) -> None:
        """Set device memory to zero."""

    def capture(self, stream: int, enqueue: Callable[[], None]) -> int:
        """Return as a graph what ``enqueue`` puts into the stream; it is not run."""

    def launch(self, graph: int, stream: int) -> None:
        """Put a graph into a stream."""

    def destroy_graph(self, graph: int) -> None:
        """Free a graph."""


class CudaBindings:
    """CUDA's runtime interface through ``cuda-bindings`` 12 or 13."""

    captures = True

    def __init__(self) -> None:
        """Load the bindings and look for a GPU.

        raises  ImportError if they are not installed, DeviceError if there is no GPU
        """
        from cuda.bindings import runtime

        self._cuda: Any = runtime
        self._graphs: dict[int, Any] = {}
        version = self._call('cudaRuntimeGetVersion')
        self.provider = f'cuda-bindings, CUDA {version // 1000}.{version % 1000 // 10}'
        if self._call('cudaGetDeviceCount') == 0:
            raise DeviceError('CUDA finds no GPU; `nvidia-smi` tells whether the driver does')

    def gpu(self) -> GpuInfo:
        """Return what the device is."""
        facts = self._call('cudaGetDeviceProperties', 0)
        return GpuInfo(
            facts.name.decode(),
            facts.major,
            facts.minor,
            facts.totalGlobalMem >> 20,
            self._call('cudaDriverGetVersion'),
        )

    def allocate(self, size_bytes: int) -> int:
        """Return the address of new device memory."""
        return int(self._call('cudaMalloc', size_bytes))

    def free(self, address: int) -> None:
        """Give device memory back."""
        self._call('cudaFree', address)

    def host_array(self, shape: tuple[int, ...], dtype: str) -> Array:
        """Return a new array in page-locked memory."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        address = int(self._call('cudaHostAlloc', size, self._cuda.cudaHostAllocDefault))
        raw = (ctypes.c_ubyte * size).from_address(address)
        return np.frombuffer(memoryview(raw), np.dtype(dtype)).reshape(shape)

    def free_host(self, array: Array) -> None:
        """Give back what ``host_array`` returned."""
        self._call('cudaFreeHost', array.ctypes.data)

    def create_stream(self) -> int:
        """Return a new stream that waits for no other."""
        return int(self._call('cudaStreamCreateWithFlags', self._cuda.cudaStreamNonBlocking))

    def destroy_stream(self, stream: int) -> None:
        """End a stream."""
        self._call('cudaStreamDestroy', stream)

    def synchronize(self, stream: int) -> None:
        """Wait until everything in the stream is done."""
        self._call('cudaStreamSynchronize', stream)

    def upload(self, address: int, array: Array, stream: int) -> None:
        """Copy a page-locked array to the device."""
        self._copy(address, array.ctypes.data, array.nbytes, 'cudaMemcpyHostToDevice', stream)

    def download(self, array: Array, address: int, stream: int) -> None:
        """Fill a page-locked array from the device."""
        self._copy(array.ctypes.data, address, array.nbytes, 'cudaMemcpyDeviceToHost', stream)

    def copy(self, to: int, source: int, size_bytes: int, stream: int) -> None:
        """Copy on the device."""
        self._copy(to, source, size_bytes, 'cudaMemcpyDeviceToDevice', stream)

    def zero(self, address: int, size_bytes: int, stream: int) -> None:
        """Set device memory to zero."""
        self._call('cudaMemsetAsync', address, 0, size_bytes, stream)

    def capture(self, stream: int, enqueue: Callable[[], None]) -> int:
        """Return as a graph what ``enqueue`` puts into the stream; it is not run.

        Only this thread's calls are watched: another camera may allocate meanwhile.
        """
        modes = self._cuda.cudaStreamCaptureMode
        self._call('cudaStreamBeginCapture', stream, modes.cudaStreamCaptureModeThreadLocal)
        try:
            enqueue()
        except BaseException:
            self._cuda.cudaStreamEndCapture(stream)  # its own error adds nothing to the first
            raise
        graph = self._call('cudaStreamEndCapture', stream)
        try:
            runnable = self._call('cudaGraphInstantiate', graph, 0)
        finally:
            self._call('cudaGraphDestroy', graph)
        self._graphs[int(runnable)] = runnable
        return int(runnable)

    def launch(self, graph: int, stream: int) -> None:
        """Put a graph into a stream."""
        self._call('cudaGraphLaunch', self._graphs[graph], stream)

    def destroy_graph(self, graph: int) -> None:
        """Free a graph."""
        self._call('cudaGraphExecDestroy', self._graphs.pop(graph))

    def _copy(self, to: int, source: int, size_bytes: int, kind: str, stream: int) -> None:
        kinds = self._cuda.cudaMemcpyKind
        self._call('cudaMemcpyAsync', to, source, size_bytes, getattr(kinds, kind), stream)

    def _call(self, name: str, *arguments: Any) -> Any:
        """Call a function of the runtime; return what it returns beside its error.

        raises  DeviceError with CUDA's words
        """
        error, *values = getattr(self._cuda, name)(*arguments)
        if int(error) != 0:
            _, words = self._cuda.cudaGetErrorString(error)
            text = words.decode() if isinstance(words, bytes) else str(words)
            raise DeviceError(
                f'{name} failed: {text} (CUDA error {int(error)}); look at '
                '`nvidia-smi` and restart the stream'
            )
        return values[0] if values else None
