# SPDX-License-Identifier: Apache-2.0
"""PyCUDA's driver module over the fake runtime."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import numpy as np

from test.support.fake_cuda import FakeCuda


class Error(Exception):
    """Base of PyCUDA's errors."""


class Held:
    """Something that PyCUDA frees."""

    def __init__(self, handle: int, free) -> None:
        self.handle, self.free = handle, free

    def __int__(self) -> int:
        return self.handle


def install(monkeypatch, fake: FakeCuda) -> None:
    """Put a PyCUDA over ``fake`` where the package imports it from, and no cuda-bindings."""

    def checked(result):
        if result[0]:
            raise Error('an illegal memory access was encountered')
        return result[1] if len(result) > 1 else None

    def pagelocked_empty(shape, dtype):
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        address = checked(fake.cudaHostAlloc(size, 0))
        base = Held(address, lambda: checked(fake.cudaFreeHost(address)))
        return Based(fake.pinned[address].view(dtype).reshape(shape), base)

    def mem_alloc(size):
        address = checked(fake.cudaMalloc(size))
        return Held(address, lambda: checked(fake.cudaFree(address)))

    class Stream(Held):
        def __init__(self) -> None:
            handle = checked(fake.cudaStreamCreateWithFlags(0))
            super().__init__(handle, None)

        def synchronize(self) -> None:
            checked(fake.cudaStreamSynchronize(self.handle))

        def __del__(self) -> None:
            fake.cudaStreamDestroy(self.handle)

    def memcpy(kind):
        return lambda to, source, stream: checked(
            fake.cudaMemcpyAsync(
                address(to),
                address(source),
                (to if kind == 'down' else source).nbytes,
                kind,
                stream.handle,
            )
        )

    driver = ModuleType('pycuda.driver')
    driver.__dict__.update(
        Error=Error,
        init=lambda: None,
        Stream=Stream,
        mem_alloc=mem_alloc,
        pagelocked_empty=pagelocked_empty,
        memcpy_htod_async=memcpy('up'),
        memcpy_dtoh_async=memcpy('down'),
        memcpy_dtod_async=lambda to, source, size, stream: checked(
            fake.cudaMemcpyAsync(to, source, size, 'on', stream.handle)
        ),
        memset_d8_async=lambda to, value, count, stream: checked(
            fake.cudaMemsetAsync(to, value, count, stream.handle)
        ),
        Device=lambda k: SimpleNamespace(
            retain_primary_context=lambda: SimpleNamespace(push=lambda: None),
            compute_capability=lambda: (9, 0),
            name=lambda: 'NVIDIA Fake 9000',
            total_memory=lambda: 24 << 30,
            pci_bus_id=lambda: '0000:65:00.0',
        ),
        get_driver_version=lambda: 13010,
    )
    package = ModuleType('pycuda')
    package.VERSION_TEXT, package.driver = '2026.1', driver
    monkeypatch.setitem(sys.modules, 'pycuda', package)
    monkeypatch.setitem(sys.modules, 'pycuda.driver', driver)
    monkeypatch.setitem(sys.modules, 'cuda.bindings', None)


def address(thing) -> int:
    """Return where something lies."""
    return thing.ctypes.data if hasattr(thing, 'ctypes') else int(thing)


class Based(np.ndarray):
    """An array whose base frees it, as PyCUDA's are."""

    def __new__(cls, array, base):
        new = array.view(cls)
        new._owner = base
        return new

    @property
    def base(self):
        return self._owner
