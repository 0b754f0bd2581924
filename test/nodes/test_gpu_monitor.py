# SPDX-License-Identifier: Apache-2.0
"""Figures of the GPU, by a stand-in for pynvml."""

from __future__ import annotations

import sys
import threading
import time
from types import ModuleType, SimpleNamespace

import pytest

from videodepth_ros.nodes.gpu_monitor import GpuFigures, GpuMonitor
from videodepth_ros.nodes.options import LiveNodeOptions

GPU = '0000:65:00.0'


def nvml(
    memory=lambda handle: SimpleNamespace(used=2e9, total=8e9), temperatures=(61,)
) -> ModuleType:
    module = ModuleType('pynvml')
    module.NVMLError = type('NVMLError', (Exception,), {})
    module.NVML_TEMPERATURE_GPU = 0
    module.nvmlInit = lambda: None
    module.nvmlDeviceGetCount = lambda: len(temperatures)
    module.nvmlDeviceGetHandleByIndex = lambda index: index
    module.nvmlDeviceGetHandleByPciBusId = ['0000:17:00.0', GPU].index
    module.nvmlDeviceGetHandleByUUID = ['GPU-a', 'GPU-b'].index
    module.nvmlDeviceGetMemoryInfo = memory
    module.nvmlDeviceGetUtilizationRates = lambda handle: SimpleNamespace(gpu=70)
    module.nvmlDeviceGetTemperature = lambda handle, sensor: temperatures[handle]
    return module


@pytest.fixture
def make_monitor():
    made = []

    def make(**options):
        made.append(GpuMonitor(LiveNodeOptions(**options)))
        return made[-1]

    yield make
    for each in made:
        each.close()


def figures_within(monitor: GpuMonitor, seconds: float, gpu: str = GPU) -> GpuFigures | None:
    end_s = time.monotonic() + seconds
    while monitor.figures(gpu) is None and time.monotonic() < end_s:
        time.sleep(0.005)
    return monitor.figures(gpu)


def test_figures_are_those_of_nvml(monkeypatch, make_monitor):
    monkeypatch.setitem(sys.modules, 'pynvml', nvml())
    assert figures_within(make_monitor(), 5) == GpuFigures(70, 2000, 8000, 61)


def test_without_the_library_there_are_none(monkeypatch, make_monitor):
    monkeypatch.setitem(sys.modules, 'pynvml', None)
    assert figures_within(make_monitor(), 0.1) is None


@pytest.mark.parametrize('gpu', [GPU, 'GPU-b'])
def test_they_are_of_the_gpu_that_computes(monkeypatch, make_monitor, gpu):
    monkeypatch.setitem(sys.modules, 'pynvml', nvml(temperatures=(40, 70)))
    assert figures_within(make_monitor(), 5, gpu).temperature_c == 70


def test_a_network_without_a_gpu_has_none(monkeypatch, make_monitor):
    monkeypatch.setitem(sys.modules, 'pynvml', nvml())
    monitor = make_monitor()
    assert monitor.figures('') is None
    assert monitor._thread is None


def test_a_driver_that_hangs_delays_nothing_and_its_figures_expire(monkeypatch, make_monitor):
    hangs, release = threading.Event(), threading.Event()
    found = [SimpleNamespace(used=1e9, total=8e9)]

    def memory(handle):
        if found:
            return found.pop()
        hangs.set()
        release.wait(10)
        return SimpleNamespace(used=1e9, total=8e9)

    monkeypatch.setitem(sys.modules, 'pynvml', nvml(memory))
    monitor = make_monitor(gpu_period_s=0.05, gpu_max_age_s=0.3)
    assert figures_within(monitor, 5) is not None
    assert hangs.wait(5)
    time.sleep(0.3)
    began_s = time.monotonic()
    assert monitor.figures(GPU) is None
    assert time.monotonic() - began_s < 0.1
    release.set()


def test_a_lost_gpu_ends_the_figures(monkeypatch, make_monitor):
    module = nvml()

    def lost(handle):
        raise module.NVMLError('GPU is lost')

    module.nvmlDeviceGetMemoryInfo = lost
    monkeypatch.setitem(sys.modules, 'pynvml', module)
    monitor = make_monitor()
    assert figures_within(monitor, 0.2) is None
    monitor._thread.join(5)
    assert not monitor._thread.is_alive()
