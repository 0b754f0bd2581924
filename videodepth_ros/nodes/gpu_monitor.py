# SPDX-License-Identifier: Apache-2.0
"""Utilisation, memory and temperature of the GPU for /diagnostics, by NVML."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from types import ModuleType

from videodepth_ros.nodes.options import LIVE, LiveNodeOptions


@dataclass(frozen=True)
class GpuFigures:
    """Figures of the GPU as a whole, of all processes."""

    utilisation_percent: float
    memory_used_mb: float
    memory_total_mb: float
    temperature_c: float


class GpuMonitor:
    """Query a GPU in a thread of its own; a driver that hangs stops nothing else.

    The thread starts with the first request. Where `nvidia-ml-py` is not installed, or NVML finds
    no GPU, there are no figures.
    """

    def __init__(self, options: LiveNodeOptions = LIVE) -> None:
        self._options = options
        self._figures: GpuFigures | None = None
        self._queried_s = 0.0  # on the steady clock
        self._gpu = ''
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()

    def figures(self, gpu: str) -> GpuFigures | None:
        """Return the latest figures; None where a network runs elsewhere, or none are recent.

        gpu  that of the engine's spec
        """
        if not gpu:
            return None
        self._gpu = gpu
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name='gpu monitor', daemon=True)
            self._thread.start()
        age_s = time.monotonic() - self._queried_s
        return self._figures if age_s <= self._options.gpu_max_age_s else None

    def close(self) -> None:
        """End the thread, unless it hangs in the driver."""
        self._closed.set()

    def _run(self) -> None:
        try:
            import pynvml
        except ImportError:
            return
        try:
            pynvml.nvmlInit()
            while not self._closed.wait(self._options.gpu_period_s if self._figures else 0):
                self._figures = query(pynvml, handle_of(pynvml, self._gpu))
                self._queried_s = time.monotonic()
        except pynvml.NVMLError:
            self._figures = None  # no driver, or the GPU is lost


def handle_of(nvml: ModuleType, gpu: str) -> object:
    """Return the handle of a GPU; the index of CUDA is no index of NVML.

    nvml    the module pynvml of nvidia-ml-py, initialised
    gpu     of an engine's spec; where there is one GPU only, as on a Jetson, that is meant
    raises  nvml.NVMLError where there is no such GPU
    """
    if nvml.nvmlDeviceGetCount() == 1:
        return nvml.nvmlDeviceGetHandleByIndex(0)
    if gpu.startswith('GPU-'):
        return nvml.nvmlDeviceGetHandleByUUID(gpu)
    return nvml.nvmlDeviceGetHandleByPciBusId(gpu)


def query(nvml: ModuleType, handle: object) -> GpuFigures:
    """Return the figures of a GPU.

    nvml    the module pynvml of nvidia-ml-py, initialised
    handle  of the GPU
    raises  nvml.NVMLError where the driver does not answer
    """
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    return GpuFigures(
        float(nvml.nvmlDeviceGetUtilizationRates(handle).gpu),
        memory.used / 1e6,
        memory.total / 1e6,
        float(nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU)),
    )
