# SPDX-License-Identifier: Apache-2.0
"""Device memory, streams and captured graphs of CUDA.

The implementation here is NVIDIA's ``cuda-bindings``: the CUDA runtime API on the primary context.
Addresses and streams are plain integers, as TensorRT takes them.
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
    """Properties of the GPU.

    major, minor         compute capability
    driver_cuda_version  newest CUDA version that the driver supports, e.g. 13000
    pci_address          e.g. ``0000:01:00.0``
    """

    name: str
    major: int
    minor: int
    memory_mb: int
    driver_cuda_version: int
    pci_address: str


def pci_address(domain: int, bus: int, device: int) -> str:
    """Return the PCI address of a GPU, as the driver writes it."""
    return f'{domain:04x}:{bus:02x}:{device:02x}.0'


class CudaRuntime(Protocol):
    """The CUDA calls that engines need; each raises DeviceError where the device fails.

    Calls that take a ``stream`` are asynchronous: arrays that are copied must not change until the
    stream is synchronised.
    """

    @property
    def provider(self) -> str:
        """Name and version of the implementation."""

    @property
    def captures(self) -> bool:
        """Whether graph capture is supported."""

    def gpu(self) -> GpuInfo:
        """Return the properties of the device."""

    def allocate(self, size_bytes: int) -> int:
        """Allocate device memory and return its address."""

    def free(self, address: int) -> None:
        """Free device memory."""

    def host_array(self, shape: tuple[int, ...], dtype: str) -> Array:
        """Allocate an array in page-locked memory, for transfers at full speed."""

    def free_host(self, array: Array) -> None:
        """Free an array of ``host_array``; no views of it may remain."""

    def create_stream(self) -> int:
        """Create a non-blocking stream."""

    def destroy_stream(self, stream: int) -> None:
        """Destroy a stream."""

    def synchronize(self, stream: int) -> None:
        """Wait until all work of the stream is done."""

    def upload(self, address: int, array: Array, stream: int) -> None:
        """Copy a page-locked array to the device."""

    def download(self, array: Array, address: int, stream: int) -> None:
        """Fill a page-locked array from the device."""

    def copy(self, to: int, source: int, size_bytes: int, stream: int) -> None:
        """Copy on the device."""

    def zero(self, address: int, size_bytes: int, stream: int) -> None:
        """Set device memory to zero."""

    def capture(self, stream: int, enqueue: Callable[[], None]) -> int:
        """Capture what ``enqueue`` puts into the stream as a graph, without running it."""

    def launch(self, graph: int, stream: int) -> None:
        """Launch a graph in a stream."""

    def destroy_graph(self, graph: int) -> None:
        """Destroy a graph."""


class CudaBindings:
    """CUDA runtime API through ``cuda-bindings`` 12 or 13."""

    captures = True

    def __init__(self) -> None:
        """Load the bindings and check for a GPU.

        raises  ImportError if they are not installed, DeviceError if there is no GPU
        """
        from cuda.bindings import runtime

        self._cuda: Any = runtime
        self._graphs: dict[int, Any] = {}
        version = self._call('cudaRuntimeGetVersion')
        self.provider = f'cuda-bindings, CUDA {version // 1000}.{version % 1000 // 10}'
        if self._call('cudaGetDeviceCount') == 0:
            raise DeviceError('CUDA finds no GPU; check the driver with `nvidia-smi`')

    def gpu(self) -> GpuInfo:
        """Return the properties of the device."""
        facts = self._call('cudaGetDeviceProperties', 0)
        return GpuInfo(
            facts.name.decode(),
            facts.major,
            facts.minor,
            facts.totalGlobalMem >> 20,
            self._call('cudaDriverGetVersion'),
            pci_address(facts.pciDomainID, facts.pciBusID, facts.pciDeviceID),
        )

    def allocate(self, size_bytes: int) -> int:
        """Allocate device memory and return its address."""
        return int(self._call('cudaMalloc', size_bytes))

    def free(self, address: int) -> None:
        """Free device memory."""
        self._call('cudaFree', address)

    def host_array(self, shape: tuple[int, ...], dtype: str) -> Array:
        """Allocate an array in page-locked memory."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        address = int(self._call('cudaHostAlloc', size, self._cuda.cudaHostAllocDefault))
        raw = (ctypes.c_ubyte * size).from_address(address)
        return np.frombuffer(memoryview(raw), np.dtype(dtype)).reshape(shape)

    def free_host(self, array: Array) -> None:
        """Free an array of ``host_array``."""
        self._call('cudaFreeHost', array.ctypes.data)

    def create_stream(self) -> int:
        """Create a non-blocking stream."""
        return int(self._call('cudaStreamCreateWithFlags', self._cuda.cudaStreamNonBlocking))

    def destroy_stream(self, stream: int) -> None:
        """Destroy a stream."""
        self._call('cudaStreamDestroy', stream)

    def synchronize(self, stream: int) -> None:
        """Wait until all work of the stream is done."""
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
        """Capture what ``enqueue`` puts into the stream as a graph, without running it.

        Thread-local mode: other threads may allocate meanwhile.
        """
        modes = self._cuda.cudaStreamCaptureMode
        self._call('cudaStreamBeginCapture', stream, modes.cudaStreamCaptureModeThreadLocal)
        try:
            enqueue()
        except BaseException:
            self._cuda.cudaStreamEndCapture(stream)  # keep the first error
            raise
        graph = self._call('cudaStreamEndCapture', stream)
        try:
            runnable = self._call('cudaGraphInstantiate', graph, 0)
        finally:
            self._call('cudaGraphDestroy', graph)
        self._graphs[int(runnable)] = runnable
        return int(runnable)

    def launch(self, graph: int, stream: int) -> None:
        """Launch a graph in a stream."""
        self._call('cudaGraphLaunch', self._graphs[graph], stream)

    def destroy_graph(self, graph: int) -> None:
        """Destroy a graph."""
        self._call('cudaGraphExecDestroy', self._graphs.pop(graph))

    def _copy(self, to: int, source: int, size_bytes: int, kind: str, stream: int) -> None:
        kinds = self._cuda.cudaMemcpyKind
        self._call('cudaMemcpyAsync', to, source, size_bytes, getattr(kinds, kind), stream)

    def _call(self, name: str, *arguments: Any) -> Any:
        """Call a runtime function; return its values without the error code.

        raises  DeviceError with CUDA's message
        """
        error, *values = getattr(self._cuda, name)(*arguments)
        if int(error) != 0:
            _, message = self._cuda.cudaGetErrorString(error)
            text = message.decode() if isinstance(message, bytes) else str(message)
            raise DeviceError(
                f'{name} failed: {text} (CUDA error {int(error)}); check '
                '`nvidia-smi` and restart the stream'
            )
        return values[0] if values else None
