# SPDX-License-Identifier: Apache-2.0
"""A CUDA runtime that does what it is told on the host, late, and fails on every mistake.

It stands in for the module ``cuda.bindings.runtime``. What is put into a stream happens only when
the stream is synchronised, as on a device that is behind; device addresses cannot be read by the
host; copies are held to the memory that was allocated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np

SUCCESS, BROKEN = 0, 700


class MisuseError(AssertionError):
    """The code under test used CUDA wrongly."""


class FakeCuda:
    """The functions of the runtime that the package calls; each returns (error, value)."""

    def __init__(self, gpus: int = 1) -> None:
        self.cudaHostAllocDefault, self.cudaStreamNonBlocking = 0, 1
        self.cudaMemcpyKind = SimpleNamespace(
            cudaMemcpyHostToDevice='up',
            cudaMemcpyDeviceToHost='down',
            cudaMemcpyDeviceToDevice='on',
        )
        self.cudaStreamCaptureMode = SimpleNamespace(cudaStreamCaptureModeThreadLocal=1)
        self.gpus = gpus
        self.calls: list[str] = []
        self.copied: Counter[str] = Counter()
        self.device: dict[int, np.ndarray] = {}
        self.pinned: dict[int, np.ndarray] = {}
        self.streams: dict[int, list[Callable[[], None]]] = {}
        self.graphs: dict[int, list[Callable[[], None]]] = {}
        self.capturing: tuple[int, list[Callable[[], None]]] | None = None
        self.fails: dict[str, int] = {}  # name of a call: which one of them fails, from 1
        self.next_device, self.next_handle = 0x7F00_0000_0000, 10

    # The package looks at these.

    def cudaGetErrorString(self, error):
        return SUCCESS, b'an illegal memory access was encountered'

    def cudaRuntimeGetVersion(self):
        return SUCCESS, 13000

    def cudaGetDeviceCount(self):
        return SUCCESS, self.gpus

    def cudaDriverGetVersion(self):
        return SUCCESS, 13010

    def cudaGetDeviceProperties(self, device):
        return SUCCESS, SimpleNamespace(
            name=b'NVIDIA Fake 9000',
            major=9,
            minor=0,
            totalGlobalMem=24 << 30,
            pciDomainID=0,
            pciBusID=0x65,
            pciDeviceID=0,
        )

    # Memory.

    def cudaMalloc(self, size):
        if self._failed('cudaMalloc'):
            return BROKEN, 0
        self._not_while_capturing('cudaMalloc')
        address, self.next_device = self.next_device, self.next_device + size + 256
        self.device[address] = np.random.default_rng(size).integers(0, 256, size, np.uint8)
        return SUCCESS, address

    def cudaFree(self, address):
        self.calls.append('cudaFree')
        self._not_while_capturing('cudaFree')
        self._idle('cudaFree')
        if address not in self.device:
            raise MisuseError(f'{address:#x} is freed but not allocated')
        del self.device[address]
        return (SUCCESS,)

    def cudaHostAlloc(self, size, flags):
        if self._failed('cudaHostAlloc'):
            return BROKEN, 0
        self._not_while_capturing('cudaHostAlloc')
        array = np.full(size, 0xA5, np.uint8)
        self.pinned[array.ctypes.data] = array
        return SUCCESS, array.ctypes.data

    def cudaFreeHost(self, address):
        self.calls.append('cudaFreeHost')
        self._idle('cudaFreeHost')
        if address not in self.pinned:
            raise MisuseError('page-locked memory is freed that was not allocated')
        del self.pinned[address]
        return (SUCCESS,)

    # Streams.

    def cudaStreamCreateWithFlags(self, flags):
        if self._failed('cudaStreamCreateWithFlags'):
            return BROKEN, 0
        self.streams[self._handle()] = []
        return SUCCESS, self.next_handle

    def cudaStreamDestroy(self, stream):
        self.calls.append('cudaStreamDestroy')
        if self.streams.pop(stream):
            raise MisuseError('a stream is destroyed with work in it')
        return (SUCCESS,)

    def cudaStreamSynchronize(self, stream):
        if self._failed('cudaStreamSynchronize'):
            self.streams[stream].clear()
            return (BROKEN,)
        if self.capturing:
            raise MisuseError('a stream is synchronised while it is captured')
        work = self.streams[stream]
        while work:
            work.pop(0)()
        return (SUCCESS,)

    def cudaMemcpyAsync(self, to, source, size, kind, stream):
        if self._failed('cudaMemcpyAsync'):
            return (BROKEN,)
        into = self._memory(to, size, self.pinned if kind == 'down' else self.device)
        out_of = self._memory(source, size, self.pinned if kind == 'up' else self.device)

        def copy() -> None:
            into[:] = out_of
            self.copied[kind] += size

        self.put(stream, copy)
        return (SUCCESS,)

    def cudaMemsetAsync(self, address, value, size, stream):
        if self._failed('cudaMemsetAsync'):
            return (BROKEN,)
        memory = self._memory(address, size, self.device)
        self.put(stream, lambda: memory.fill(value))
        return (SUCCESS,)

    # Graphs.

    def cudaStreamBeginCapture(self, stream, mode):
        if self._failed('cudaStreamBeginCapture'):
            return (BROKEN,)
        if self.streams[stream]:
            raise MisuseError('a stream is captured with work in it')
        self.capturing = stream, []
        return (SUCCESS,)

    def cudaStreamEndCapture(self, stream):
        self.calls.append('cudaStreamEndCapture')
        if self.capturing is None or self.capturing[0] != stream:
            raise MisuseError('no capture of this stream is under way')
        work, self.capturing = self.capturing[1], None
        return SUCCESS, work

    def cudaGraphInstantiate(self, graph, flags):
        if self._failed('cudaGraphInstantiate'):
            return BROKEN, 0
        self.graphs[self._handle()] = graph
        return SUCCESS, self.next_handle

    def cudaGraphDestroy(self, graph):
        self.calls.append('cudaGraphDestroy')
        return (SUCCESS,)

    def cudaGraphExecDestroy(self, graph):
        self.calls.append('cudaGraphExecDestroy')
        self._idle('cudaGraphExecDestroy')
        del self.graphs[graph]
        return (SUCCESS,)

    def cudaGraphLaunch(self, graph, stream):
        if self._failed('cudaGraphLaunch'):
            return (BROKEN,)
        self.streams[stream].extend(self.graphs[graph])
        return (SUCCESS,)

    # For the fake TensorRT and for tests.

    def put(self, stream: int, work: Callable[[], None]) -> None:
        """Put work into a stream, or into the graph that is being captured."""
        if stream not in self.streams:
            raise MisuseError(f'there is no stream {stream}')
        if self.capturing and self.capturing[0] == stream:
            self.capturing[1].append(work)
        else:
            self.streams[stream].append(work)

    def view(self, address: int, shape: tuple[int, ...], dtype: str) -> np.ndarray:
        """Return device memory as an array."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        return self._memory(address, size, self.device).view(dtype).reshape(shape)

    def nothing_is_left(self) -> bool:
        """Whether everything has been freed."""
        return not (self.device or self.pinned or self.streams or self.graphs or self.capturing)

    def _memory(self, address, size, among):
        for start, array in among.items():
            if start <= address < start + len(array):
                if address + size > start + len(array):
                    raise MisuseError(f'{size} bytes do not fit into {len(array)}')
                return array[address - start : address - start + size]
        raise MisuseError(f'{address:#x} is not memory of the kind that this copy takes')

    def _failed(self, name: str) -> bool:
        self.calls.append(name)
        return self.calls.count(name) == self.fails.get(name)

    def _not_while_capturing(self, name: str) -> None:
        if self.capturing:
            raise MisuseError(f'{name} while a stream is captured')

    def _idle(self, name: str) -> None:
        if any(self.streams.values()):
            raise MisuseError(f'{name} while a stream has work to do')

    def _handle(self) -> int:
        self.next_handle += 1
        return self.next_handle
