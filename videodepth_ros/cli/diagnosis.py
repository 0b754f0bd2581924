# SPDX-License-Identifier: Apache-2.0
"""Checks of `videodepth doctor`: ROS, GPUs, engines and shared memory of this machine."""

from __future__ import annotations

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from videodepth_ros.core.errors import VideoDepthError

SHARED_MEMORY = Path('/dev/shm')
PROFILE_VARIABLES = ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE')
"""Read by Fast DDS 2.x (Humble, Jazzy) and 3.x (Kilted and later)."""

RECEIVE_BUFFER = Path('/proc/sys/net/core/rmem_max')
CYCLONE_BUFFER_BYTES = 8 << 20  # README of rmw_cyclonedds


@dataclass(frozen=True)
class DiagnosisOptions:
    """Options of the checks."""

    probe_timeout_s: float = 60.0  # of a child process: a cold import of rclpy takes seconds [s]
    steps: int = 10  # timed steps of an engine
    step_time_s: float = 3.0  # end of the timed steps, for slow machines [s]
    min_shared_memory_mb: int = 128  # two clouds of 1920x1080 [MB]
    runtime_memory_mb: int = 400  # CUDA, TensorRT and kernels on a GPU [MB]


OPTIONS = DiagnosisOptions()

# Run in a child process, as a broken installation may end the process that imports it.
ROS_PROBE = """
import json
facts = {}
def probe():
    import rclpy
    facts['rclpy'] = True
    facts['rmw'] = rclpy.utilities.get_rmw_implementation_identifier()
    import videodepth.msg
    facts['messages'] = True
try:
    probe()
except Exception as error:
    facts['problem'] = ' '.join(str(error).split())
print(json.dumps(facts))
"""


@dataclass(frozen=True)
class RosFacts:
    """The ROS 2 installation of this Python.

    rclpy, messages  whether rclpy and the messages of this package can be imported
    rmw              middleware
    profile          value of ``profile_variable``; None if it is not set
    profile_variable the environment variable of Fast DDS that is set, else that of the newest
    problem          why an import failed
    """

    distro: str | None
    rclpy: bool
    rmw: str | None
    messages: bool
    profile_variable: str
    profile: str | None
    profile_missing: bool
    problem: str | None


@dataclass(frozen=True)
class GpuFacts:
    """One graphics processor."""

    name: str
    memory_mb: int
    driver: str


@dataclass(frozen=True)
class EngineFacts:
    """Test of one engine with the bundled model.

    step_ms  median of one step at ``size``; None if it does not run
    fix      command that installs it; empty if ``problem`` names the next step
    """

    name: str
    version: str | None
    ok: bool
    device: str | None
    size: str | None
    step_ms: float | None
    problem: str | None
    fix: str


@dataclass(frozen=True)
class GpuNeed:
    """Estimated GPU memory and build time of a model.

    build_minutes  of a TensorRT plan on a desktop card; about five times as long on a Jetson
    """

    model: str
    size: str
    memory_mb: int
    build_minutes: float


@dataclass(frozen=True)
class NetworkSizes:
    """Sizes of a network that the estimates use; parameters in millions."""

    parameters_m: float
    decoder_dim: int
    token_dim: int
    build_minutes: float


NETWORKS = {
    'nano': NetworkSizes(4.9, 32, 160, 0.5),
    'nano-1': NetworkSizes(2.2, 32, 160, 0.5),
    'flashdepth-s': NetworkSizes(25.3, 64, 384, 1.5),
    'flashdepth-l': NetworkSizes(339.6, 256, 1024, 4),
    'flashdepth': NetworkSizes(360.8, 64, 1024, 5),
}


def check_ros() -> RosFacts:
    """Check the ROS 2 installation in a child process."""
    try:
        probe = subprocess.run(
            [sys.executable, '-c', ROS_PROBE],
            capture_output=True,
            text=True,
            timeout=OPTIONS.probe_timeout_s,
            check=False,
        )
        last_line = (probe.stdout.splitlines() or [''])[-1]
        facts: dict[str, Any] = (
            json.loads(last_line) if last_line else {'problem': _tail(probe.stderr)}
        )
    except subprocess.TimeoutExpired:
        facts = {'problem': f'importing rclpy took more than {OPTIONS.probe_timeout_s:g} s'}
    variable = next(
        (name for name in PROFILE_VARIABLES if name in os.environ), PROFILE_VARIABLES[-1]
    )
    profile = os.environ.get(variable)
    return RosFacts(
        _distro(),
        facts.get('rclpy', False),
        facts.get('rmw'),
        facts.get('messages', False),
        variable,
        profile,
        bool(profile) and not Path(str(profile)).is_file(),
        facts.get('problem'),
    )


def middleware_line(ros: RosFacts) -> str:
    """Return what the middleware in use needs for large images, see docs/platforms.md."""
    if ros.rmw and 'cyclone' in ros.rmw:
        return 'Cyclone DDS: large images need receive buffers of 8 MB (docs/platforms.md)'
    if ros.rmw and 'zenoh' in ros.rmw:
        return 'Zenoh: needs its router, `ros2 run rmw_zenoh_cpp rmw_zenohd` (docs/platforms.md)'
    return f'Fast DDS profile {ros.profile or "of the live node"}'


def middleware_gaps(ros: RosFacts) -> list[tuple[str, str]]:
    """Return faults and fixes of the middleware in use."""
    if not (ros.rmw and 'cyclone' in ros.rmw and RECEIVE_BUFFER.is_file()):
        return []
    limit = int(RECEIVE_BUFFER.read_text())
    if limit >= CYCLONE_BUFFER_BYTES:
        return []
    return [
        (
            f'{ros.rmw} receives large images in buffers of {limit} bytes: they are lost',
            f'sudo sysctl -w net.core.rmem_max={CYCLONE_BUFFER_BYTES}',
        )
    ]


def _distro() -> str | None:
    """Return the name of the sourced distribution, or of the installed wheels."""
    if 'ROS_DISTRO' in os.environ:
        return os.environ['ROS_DISTRO']
    names = (
        re.fullmatch(r'ros-(\w+)-rclpy', dist.metadata['Name'] or '')
        for dist in metadata.distributions()
    )
    return next((f'{name[1]} (wheels)' for name in names if name), None)


def find_gpus() -> tuple[GpuFacts, ...]:
    """Return the GPUs of the driver; none without a driver.

    A container on a Jetson may have the device but not nvidia-smi.
    """
    if shutil.which('nvidia-smi') is None:
        from videodepth_ros.engines.open import GPU_DEVICES

        return tuple(
            GpuFacts(f'{device}, of unknown name', 0, 'unknown')
            for device in GPU_DEVICES
            if device.exists()
        )[:1]
    try:
        query = subprocess.run(
            [
                'nvidia-smi',
                '--query-gpu=name,memory.total,driver_version',
                '--format=csv,noheader,nounits',
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=OPTIONS.probe_timeout_s,
        )
    except subprocess.TimeoutExpired:
        return (GpuFacts('a GPU whose driver does not answer', 0, 'unknown'),)
    if query.returncode:
        return ()
    rows = [[cell.strip() for cell in line.split(',')] for line in query.stdout.splitlines()]
    # A Jetson shares its memory with the CPU and prints [N/A].
    return tuple(
        GpuFacts(name, int(memory) if memory.isdecimal() else 0, driver)
        for name, memory, driver in rows
    )


def check_engine(name: str) -> EngineFacts:
    """Time some steps of the bundled model on the engine ``name``."""
    package = {'onnx': 'onnxruntime', 'torch-cuda': 'torch'}.get(name, name)
    fix = f'pip install {package}'
    version = _version(package)
    if version is None:
        return EngineFacts(name, None, False, None, None, None, f'{package} is not installed', fix)
    try:
        device, size, step_ms = _try_engine(name)
    except (VideoDepthError, OSError, ImportError) as error:
        problem = ' '.join(str(error).split())  # it names the next step
        return EngineFacts(name, version, False, None, None, None, problem, '')
    return EngineFacts(name, version, True, device, size, step_ms, None, '')


def _version(package: str) -> str | None:
    """Return the version of the library of an engine; JetPack has TensorRT without pip."""
    if package == 'tensorrt':
        from videodepth_ros.engines.tensorrt_plan import find_tensorrt

        try:
            found = find_tensorrt()
        except VideoDepthError:
            return None
        return f'{found.version} ({found.flavour})'
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _try_engine(name: str) -> tuple[str, str, float]:
    import numpy as np

    from videodepth_ros.engines.open import open_engine
    from videodepth_ros.models.catalogue import card

    nano = card('nano')
    width, height = nano.input_size(640, 480)
    engine = open_engine(nano.name, name, width, height)
    try:
        image: np.ndarray[Any, Any] = (
            np.zeros((height, width, 3), np.uint8)
            if engine.spec.takes_bytes
            else np.zeros((3, height, width), np.float32)
        )
        state = engine.zero_state()
        seconds: list[float] = []
        begin_s = time.monotonic()
        while len(seconds) < OPTIONS.steps and time.monotonic() - begin_s < OPTIONS.step_time_s:
            start_s = time.perf_counter()
            _, state = engine.step(image, state)
            seconds.append(time.perf_counter() - start_s)
        return engine.spec.device, f'{width}x{height}', 1e3 * statistics.median(seconds)
    finally:
        engine.close()


def gpu_need(model: str) -> GpuNeed:
    """Estimate GPU memory and build time of a model at its default size, without measurement.

    The memory is that of weights in half precision, several copies of the largest maps of decoder
    and head, tokens in float32, and outputs.
    """
    from videodepth_ros.models.catalogue import card

    model_card, sizes = card(model), NETWORKS[model]
    width, height = model_card.input_size(1920, 1080)
    pixels = width * height
    maps = pixels * (4 * 2 * sizes.decoder_dim * (8 / model_card.patch) ** 2 + 3 * 2 * 32 + 28)
    tokens = 8 * 4 * sizes.token_dim * pixels / model_card.patch**2
    memory_mb = int(2 * sizes.parameters_m + (maps + tokens) / 1e6) + OPTIONS.runtime_memory_mb
    return GpuNeed(model, f'{width}x{height}', memory_mb, sizes.build_minutes)


def shared_memory_gap() -> str | None:
    """Return what is wrong with the shared memory that carries large messages; None if nothing."""
    if not SHARED_MEMORY.is_dir():
        return f'{SHARED_MEMORY} is missing: large messages are slow'
    size_mb = shutil.disk_usage(SHARED_MEMORY).total // 2**20
    if size_mb < OPTIONS.min_shared_memory_mb:
        return (
            f'{SHARED_MEMORY} has {size_mb} MB, less than {OPTIONS.min_shared_memory_mb}: '
            'large messages are lost'
        )
    return None


def _tail(text: str) -> str:
    return (text.strip().splitlines() or ['the process ended without output'])[-1]
