# SPDX-License-Identifier: Apache-2.0
"""TensorRT: find the installed version, build a plan, load it.

One code path for TensorRT 10.3 (JetPack 6) to 11 and for TensorRT-RTX, which has the same
interface: strongly typed networks, tensors by name. Features that differ between versions are not
used; a test compares every attribute with the bindings' own lists.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from videodepth_ros.core.errors import DeviceError, ModelError
from videodepth_ros.engines.child_process import BuildProgress

_MODULES = {
    'tensorrt': 'tensorrt',
    'tensorrt_rtx': 'tensorrt-rtx',
    'tensorrt_rtx_bindings': 'tensorrt-rtx',
}
_DTYPES = {'FLOAT': 'float32', 'HALF': 'float16', 'UINT8': 'uint8', 'INT32': 'int32'}
MIN_VERSION = (10, 3)

SMALL_MB = 8192
"""Memory [MB] up to which a GPU is taken to share it with the host, as a Jetson: a builder with an
unlimited workspace would exhaust it."""


AUX_STREAMS = 0
"""Auxiliary CUDA streams: none, so that a step is captured as one."""


@dataclass(frozen=True)
class TensorRt:
    """The installed TensorRT.

    module   its Python bindings
    flavour  ``tensorrt`` or ``tensorrt-rtx``; their plans are incompatible
    """

    module: Any
    flavour: str

    @property
    def version(self) -> str:
        """Full version, to which plans are bound."""
        return str(self.module.__version__)


@dataclass(frozen=True)
class PlanTensor:
    """One tensor of a plan; ``dtype`` is numpy's name."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    is_input: bool


@dataclass(frozen=True)
class BuildOptions:
    """Options of a build.

    tf32           whether float32 products may round their inputs to 10 bits
    workspace_mb   scratch memory of kernels [MB]; 0: all of the device's
    timing_cache   file of kernel timings kept between builds; None: none
    """

    tf32: bool = True
    workspace_mb: int = 0
    timing_cache: Path | None = None

    @property
    def flags(self) -> str:
        """Options that change the plan, as text for its key."""
        return (
            f'tf32 {self.tf32}, workspace {self.workspace_mb} MB, {AUX_STREAMS} auxiliary streams'
        )


@dataclass(frozen=True)
class LoadedPlan:
    """A deserialised plan; any number of streams may run it, each with its own context.

    holders  objects that must outlive the plan
    """

    engine: Any
    tensors: tuple[PlanTensor, ...]
    flavour: str
    version: str
    holders: tuple[Any, ...] = field(repr=False)


def find_tensorrt() -> TensorRt:
    """Import the installed TensorRT, the full one first.

    raises  DeviceError if there is none, or it is too old
    """
    failures = []
    for name, flavour in _MODULES.items():
        try:
            found = TensorRt(importlib.import_module(name), flavour)
            version = found.version
        except (ImportError, AttributeError, OSError) as error:
            failures.append(f'{name}: {error}')
            continue
        if flavour == 'tensorrt' and _number(version) < MIN_VERSION:
            raise DeviceError(
                f'TensorRT {version} is older than 10.3, the oldest that this '
                'package builds for; install JetPack 6 or newer, or TensorRT 10.3 '
                'or newer'
            )
        return found
    raise DeviceError(
        'TensorRT is not installed (' + '; '.join(failures) + '); it is part of '
        'JetPack, else `pip install tensorrt`, or `pip install tensorrt-rtx` for a '
        'GeForce or RTX card'
    )


def build_options(precision: str, gpu_memory_mb: int) -> BuildOptions:
    """Return the build options of a precision for a GPU of that memory [MB]."""
    return BuildOptions(
        tf32=precision != 'fp32',
        workspace_mb=gpu_memory_mb // 4 if gpu_memory_mb <= SMALL_MB else 0,
    )


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split('.')[:2])


def build_plan(
    tensorrt: TensorRt, graph: Path, plan: Path, options: BuildOptions, report: BuildProgress
) -> None:
    """Compile an ONNX graph for this GPU.

    raises  ModelError if TensorRT rejects the graph, DeviceError if the build fails
    """
    trt = tensorrt.module
    log = _error_logger(trt)
    builder = trt.Builder(log)
    if not builder:
        raise DeviceError(
            f'{tensorrt.flavour} {tensorrt.version} cannot start a builder: {log.last()}'
        )
    typed = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(typed)
    parser = trt.OnnxParser(network, log)
    if not parser.parse_from_file(str(graph)):
        messages = '; '.join(str(parser.get_error(k).desc()) for k in range(parser.num_errors))
        raise ModelError(f'{tensorrt.flavour} {tensorrt.version} rejects {graph}: {messages}')
    config = builder.create_builder_config()
    if not options.tf32:
        config.clear_flag(trt.BuilderFlag.TF32)
    if options.workspace_mb:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_mb << 20)
    config.max_aux_streams = AUX_STREAMS
    config.progress_monitor = _monitor(trt, report)
    cache = _timing_cache(tensorrt, config, options.timing_cache)
    serialized = builder.build_serialized_network(network, config)
    if serialized is None:
        raise DeviceError(
            f'{tensorrt.flavour} {tensorrt.version} built no plan of {graph}: '
            f'{log.last()}; free GPU memory or choose a smaller max_pixels'
        )
    plan.write_bytes(memoryview(serialized))
    if cache is not None and options.timing_cache is not None:
        _write_atomically(options.timing_cache, bytes(memoryview(cache.serialize())))


def load_plan(tensorrt: TensorRt, plan: Path) -> LoadedPlan:
    """Deserialise a plan whose checksum the store has verified: a plan contains code.

    raises  DeviceError if this TensorRT or this GPU cannot run it
    """
    trt = tensorrt.module
    log = _error_logger(trt)
    runtime = trt.Runtime(log)
    engine = runtime.deserialize_cuda_engine(plan.read_bytes()) if runtime else None
    if engine is None:
        raise DeviceError(
            f'{tensorrt.flavour} {tensorrt.version} cannot run {plan}: '
            f'{log.last()}; remove the file to have it rebuilt'
        )
    tensors = tuple(
        _tensor(trt, engine, engine.get_tensor_name(k)) for k in range(engine.num_io_tensors)
    )
    return LoadedPlan(engine, tensors, tensorrt.flavour, tensorrt.version, (runtime, log))


def _tensor(trt: Any, engine: Any, name: str) -> PlanTensor:
    return PlanTensor(
        name,
        tuple(engine.get_tensor_shape(name)),
        _DTYPES[engine.get_tensor_dtype(name).name],
        engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT,
    )


def _timing_cache(tensorrt: TensorRt, config: Any, file: Path | None) -> Any:
    """Attach the timing cache to the builder; TensorRT-RTX has none."""
    if file is None or tensorrt.flavour != 'tensorrt':
        return None
    cache = config.create_timing_cache(file.read_bytes() if file.exists() else b'')
    # Timings of another GPU or version are rejected: start with an empty cache.
    if not config.set_timing_cache(cache, ignore_mismatch=False):
        cache = config.create_timing_cache(b'')
        config.set_timing_cache(cache, ignore_mismatch=False)
    return config.get_timing_cache()


def _write_atomically(file: Path, content: bytes) -> None:
    fresh = file.with_name(f'.{file.name}.new')
    fresh.write_bytes(content)
    fresh.replace(file)


def _error_logger(trt: Any) -> Any:
    """Return a TensorRT logger that keeps errors for exception messages."""

    class ErrorLogger(trt.ILogger):
        """Keep the messages of errors."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            """Receive a message of TensorRT."""
            if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR):
                self.errors.append(message)

        def last(self) -> str:
            """Return the last messages in one line."""
            return ' '.join('; '.join(self.errors[-3:]).split()) or 'no reason given'

    return ErrorLogger()


def _monitor(trt: Any, report: BuildProgress) -> Any:
    """Return a TensorRT progress monitor that calls ``report``."""

    class Monitor(trt.IProgressMonitor):
        """Report the fraction of each phase."""

        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.steps: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            """Start a phase."""
            self.steps[phase_name] = max(1, num_steps)
            if parent_phase is None:
                report(phase_name, 0.0)

        def step_complete(self, phase_name: str, step: int) -> bool:
            """Report a completed step; return True to go on."""
            report(phase_name, min(1.0, (step + 1) / self.steps.get(phase_name, 1)))
            return True

        def phase_finish(self, phase_name: str) -> None:
            """End a phase."""
            self.steps.pop(phase_name, None)

    return Monitor()
