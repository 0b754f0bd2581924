# SPDX-License-Identifier: Apache-2.0
"""Device memory and streams through PyCUDA, for machines without cuda-bindings.

PyCUDA cannot capture graphs, so the calls of a step are enqueued one by one. Its contexts are
per thread: the thread that opens this must use it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from videodepth_ros.core.errors import DeviceError
from videodepth_ros.engines.cuda import Array, GpuInfo


class PyCuda:
    """``cuda.CudaRuntime`` on the device's primary context, which TensorRT uses too."""

    captures = False

    def __init__(self) -> None:
        """Load PyCUDA and make the primary context of the first GPU current.

        raises  ImportError if it is not installed, DeviceError if there is no GPU
        """
        import pycuda
        import pycuda.driver as driver

        self._driver: Any = driver
        self.provider = f'PyCUDA {pycuda.VERSION_TEXT}'
        self._held: dict[int, Any] = {}  # PyCUDA frees unreferenced memory
        self._checked(driver.init)
        self._context = self._checked(lambda: driver.Device(0).retain_primary_context())
        self._checked(self._context.push)

    def gpu(self) -> GpuInfo:
        """Return the properties of the device."""
        device = self._checked(self._driver.Device, 0)
        major, minor = device.compute_capability()
        return GpuInfo(
            device.name(),
            major,
            minor,
            device.total_memory() >> 20,
            self._driver.get_driver_version(),
            device.pci_bus_id(),
        )

    def allocate(self, size_bytes: int) -> int:
        """Allocate device memory and return its address."""
        return self._hold(self._checked(self._driver.mem_alloc, size_bytes))

    def free(self, address: int) -> None:
        """Free device memory."""
        self._checked(self._held.pop(address).free)

    def host_array(self, shape: tuple[int, ...], dtype: str) -> Array:
        """Allocate an array in page-locked memory."""
        array: Array = self._checked(self._driver.pagelocked_empty, shape, dtype)
        self._held[array.ctypes.data] = array
        return array

    def free_host(self, array: Array) -> None:
        """Free an array of ``host_array``."""
        self._checked(self._held.pop(array.ctypes.data).base.free)

    def create_stream(self) -> int:
        """Create a stream."""
        stream = self._checked(self._driver.Stream)
        self._held[stream.handle] = stream
        return int(stream.handle)

    def destroy_stream(self, stream: int) -> None:
        """Destroy a stream."""
        del self._held[stream]

    def synchronize(self, stream: int) -> None:
        """Wait until all work of the stream is done."""
        self._checked(self._held[stream].synchronize)

    def upload(self, address: int, array: Array, stream: int) -> None:
        """Copy a page-locked array to the device."""
        self._checked(self._driver.memcpy_htod_async, address, array, self._held[stream])

    def download(self, array: Array, address: int, stream: int) -> None:
        """Fill a page-locked array from the device."""
        self._checked(self._driver.memcpy_dtoh_async, array, address, self._held[stream])

    def copy(self, to: int, source: int, size_bytes: int, stream: int) -> None:
        """Copy on the device."""
        self._checked(self._driver.memcpy_dtod_async, to, source, size_bytes, self._held[stream])

    def zero(self, address: int, size_bytes: int, stream: int) -> None:
        """Set device memory to zero."""
        self._checked(self._driver.memset_d8_async, address, 0, size_bytes, self._held[stream])

    def capture(self, stream: int, enqueue: Callable[[], None]) -> int:
        """Raise DeviceError: unsupported, see ``captures``."""
        raise DeviceError('PyCUDA captures no graphs; `pip install cuda-bindings`')

    def launch(self, graph: int, stream: int) -> None:
        """Raise DeviceError: unsupported."""
        raise DeviceError('PyCUDA launches no graphs; `pip install cuda-bindings`')

    def destroy_graph(self, graph: int) -> None:
        """Raise DeviceError: unsupported."""
        raise DeviceError('PyCUDA has no graphs; `pip install cuda-bindings`')

    def _hold(self, thing: Any) -> int:
        self._held[int(thing)] = thing
        return int(thing)

    def _checked(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call PyCUDA; raise DeviceError with its message."""
        try:
            return function(*arguments)
        except self._driver.Error as error:
            raise DeviceError(
                f'PyCUDA: {error}; check `nvidia-smi` and restart the stream'
            ) from error
