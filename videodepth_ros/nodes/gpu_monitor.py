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
    """Query the first GPU in a thread of its own; a driver that hangs stops nothing else.

    The thread starts with the first request. Where `nvidia-ml-py` is not installed, or NVML finds
    no GPU, there are no figures.
    """

    def __init__(self, options: LiveNodeOptions = LIVE) -> None:
        self._options = options
        self._figures: GpuFigures | None = None
        self._queried_s = 0.0  # on the steady clock
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()

    def figures(self, device: str) -> GpuFigures | None:
        """Return the latest figures; None where a network runs elsewhere, or none are recent.

        device  that of the engine, such as ``cuda:0`` or the name of a GPU; ``cpu`` has none
        """
        if not device or device.lower().startswith('cpu'):
            return None
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
            handle = pynvml.nvmlDeviceGetHandleByIndex(0)
            while not self._closed.wait(self._options.gpu_period_s if self._figures else 0):
                self._figures = query(pynvml, handle)
                self._queried_s = time.monotonic()
        except pynvml.NVMLError:
            self._figures = None  # no driver, or the GPU is lost


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
