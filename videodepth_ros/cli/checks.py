# SPDX-License-Identifier: Apache-2.0
"""The looks that `videodepth doctor` takes at this machine."""

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

PROBE_TIMEOUT_S = 60.0
STEPS, TRY_FOR_S = 10, 3.0
SHARED_MEMORY = Path('/dev/shm')
LEAST_SHARED_MEMORY_MB = 128

# In a process of its own: a broken installation may end the process that imports it.
ROS_PROBE = """
import json
facts = {}
def look():
    import rclpy
    facts['rclpy'] = True
    facts['rmw'] = rclpy.utilities.get_rmw_implementation_identifier()
    import videodepth.msg
    facts['messages'] = True
try:
    look()
except Exception as error:
    facts['problem'] = ' '.join(str(error).split())
print(json.dumps(facts))
"""


@dataclass(frozen=True)
class RosFacts:
    """The ROS 2 that this Python sees.

    rclpy, messages  whether rclpy and the messages of this package can be imported
    rmw              middleware
    profile          FASTRTPS_DEFAULT_PROFILES_FILE; None where it is not set
    problem          why an import failed
    """

    distro: str | None
    rclpy: bool
    rmw: str | None
    messages: bool
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
    """One engine, tried with the bundled model.

    step_ms  median of one step at ``size``; None where it does not run
    """

    name: str
    version: str | None
    ok: bool
    device: str | None
    size: str | None
    step_ms: float | None
    problem: str | None
    mend: str


@dataclass(frozen=True)
class GpuNeed:
    """What a model takes on a GPU, estimated.

    build_minutes  of a TensorRT plan on a desktop card; a Jetson takes some five times as long
    """

    model: str
    size: str
    memory_mb: int
    build_minutes: float


@dataclass(frozen=True)
class NetworkSizes:
    """What the estimates need to know of a network; parameters in millions."""

    parameters_m: float
    decoder_dim: int
    token_dim: int
    build_minutes: float


NETWORKS = {
    'nano': NetworkSizes(1.8, 32, 160, 0.5),
    'flashdepth-s': NetworkSizes(25.3, 64, 384, 1.5),
    'flashdepth-l': NetworkSizes(339.6, 256, 1024, 4),
    'flashdepth': NetworkSizes(360.8, 64, 1024, 5),
}
RUNTIME_MB = 400  # CUDA, TensorRT and the kernels themselves


def check_ros() -> RosFacts:
    """Look at ROS 2 from a process of its own."""
    try:
        probe = subprocess.run(
            [sys.executable, '-c', ROS_PROBE],
            capture_output=True,
            text=True,
            timeout=PROBE_TIMEOUT_S,
            check=False,
        )
        last_line = (probe.stdout.splitlines() or [''])[-1]
        facts: dict[str, Any] = (
            json.loads(last_line) if last_line else {'problem': _tail(probe.stderr)}
        )
    except subprocess.TimeoutExpired:
        facts = {'problem': f'importing rclpy took more than {PROBE_TIMEOUT_S:g} s'}
    profile = os.environ.get('FASTRTPS_DEFAULT_PROFILES_FILE')
    return RosFacts(
        _distro(),
        facts.get('rclpy', False),
        facts.get('rmw'),
        facts.get('messages', False),
        profile,
        bool(profile) and not Path(str(profile)).is_file(),
        facts.get('problem'),
    )


def _distro() -> str | None:
    """Name the distribution: the one that is sourced, or that of the installed wheels."""
    if 'ROS_DISTRO' in os.environ:
        return os.environ['ROS_DISTRO']
    names = (
        re.fullmatch(r'ros-(\w+)-rclpy', dist.metadata['Name'] or '')
        for dist in metadata.distributions()
    )
    return next((f'{name[1]} (wheels)' for name in names if name), None)


def find_gpus() -> tuple[GpuFacts, ...]:
    """Ask the driver for its GPUs; none where there is no driver.

    A container on a Jetson may have the device and lack the tool.
    """
    if shutil.which('nvidia-smi') is None:
        from videodepth_ros.engines.open import GPU_DEVICES

        return tuple(
            GpuFacts(f'{device}, which nothing here can name', 0, 'unknown')
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
            timeout=PROBE_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        return (GpuFacts('a GPU whose driver does not answer', 0, 'unknown'),)
    if query.returncode:
        return ()
    rows = [[cell.strip() for cell in line.split(',')] for line in query.stdout.splitlines()]
    # A Jetson shares its memory with the CPU and answers [N/A].
    return tuple(
        GpuFacts(name, int(memory) if memory.isdecimal() else 0, driver)
        for name, memory, driver in rows
    )


def check_engine(name: str) -> EngineFacts:
    """Run the bundled model a few steps on the engine ``name``."""
    package = {'onnx': 'onnxruntime', 'torch-cuda': 'torch'}.get(name, name)
    mend = f'pip install {package}'
    version = _version(package)
    if version is None:
        return EngineFacts(
            name, None, False, None, None, None, f'{package} is not installed', mend
        )
    try:
        device, size, step_ms = _try_engine(name)
    except (VideoDepthError, OSError, ImportError) as error:
        problem = ' '.join(str(error).split())  # which also says what to do
        return EngineFacts(name, version, False, None, None, None, problem, '')
    return EngineFacts(name, version, True, device, size, step_ms, None, '')


def _version(package: str) -> str | None:
    """Return the version of what an engine needs; JetPack brings TensorRT without pip."""
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
    from videodepth_ros.models.preprocess import budget_size

    nano = card('nano')
    width, height = budget_size(640, 480, nano.max_pixels, nano.patch)
    engine = open_engine(nano.name, name, width, height)
    try:
        image: np.ndarray[Any, Any] = (
            np.zeros((height, width, 3), np.uint8)
            if engine.spec.takes_bytes
            else np.zeros((3, height, width), np.float32)
        )
        state = engine.zero_state()
        seconds: list[float] = []
        began_s = time.monotonic()
        while len(seconds) < STEPS and time.monotonic() - began_s < TRY_FOR_S:
            start_s = time.perf_counter()
            _, state = engine.step(image, state)
            seconds.append(time.perf_counter() - start_s)
        return engine.spec.device, f'{width}x{height}', 1e3 * statistics.median(seconds)
    finally:
        engine.close()


def gpu_need(model: str) -> GpuNeed:
    """Estimate what a model at its own size takes on a GPU; nothing here is measured.

    Its weights in half precision, the decoder's and the head's largest maps a few times over, the
    tokens in float32, and the answers.
    """
    from videodepth_ros.models.catalogue import card
    from videodepth_ros.models.preprocess import budget_size

    known, sizes = card(model), NETWORKS[model]
    width, height = budget_size(1920, 1080, known.max_pixels, known.patch)
    pixels = width * height
    maps = pixels * (4 * 2 * sizes.decoder_dim * (8 / known.patch) ** 2 + 3 * 2 * 32 + 28)
    tokens = 8 * 4 * sizes.token_dim * pixels / known.patch**2
    memory_mb = int(2 * sizes.parameters_m + (maps + tokens) / 1e6) + RUNTIME_MB
    return GpuNeed(model, f'{width}x{height}', memory_mb, sizes.build_minutes)


def shared_memory_gap() -> str | None:
    """Say what is wrong with the shared memory that large messages travel through, if anything."""
    if not SHARED_MEMORY.is_dir():
        return f'{SHARED_MEMORY} is missing: large messages are slow'
    size_mb = shutil.disk_usage(SHARED_MEMORY).total // 2**20
    if size_mb < LEAST_SHARED_MEMORY_MB:
        return (
            f'{SHARED_MEMORY} has {size_mb} MB, less than {LEAST_SHARED_MEMORY_MB}: '
            'large messages are lost'
        )
    return None


def _tail(text: str) -> str:
    return (text.strip().splitlines() or ['it ended without a word'])[-1]
