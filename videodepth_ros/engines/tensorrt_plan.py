# SPDX-License-Identifier: Apache-2.0
"""TensorRT's side of an engine: which one is installed, building a plan, loading it.

One code path for TensorRT 10.3 (JetPack 6) to 11, and for TensorRT-RTX, whose interface is the
same: networks are strongly typed, tensors go by name. What differs between versions is not used;
a test compares every attribute with the bindings' own lists.
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
"""A GPU with so much memory or less shares it, as a Jetson does: a builder that tries kernels with
all of it gets the whole machine out of memory."""


AUX_STREAMS = 0
"""A step is one line of work, and captures as one."""


@dataclass(frozen=True)
class TensorRt:
    """The TensorRT that is installed.

    module   its Python bindings
    flavour  ``tensorrt`` or ``tensorrt-rtx``: their plans are not each other's
    """

    module: Any
    flavour: str

    @property
    def version(self) -> str:
        """The whole version: plans are bound to it."""
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
    """What a plan depends on beside its graph.

    tf32           whether float32 products may be rounded to 10 digits on their way in
    workspace_mb   memory that kernels may use besides; 0: what the device has
    timing_cache   file in which measured kernel times are kept between builds; None: nowhere
    """

    tf32: bool = True
    workspace_mb: int = 0
    timing_cache: Path | None = None

    @property
    def flags(self) -> str:
        """What another plan would come of, in words for the plan's key."""
        return (
            f'tf32 {self.tf32}, workspace {self.workspace_mb} MB, {AUX_STREAMS} auxiliary streams'
        )


@dataclass(frozen=True)
class LoadedPlan:
    """A loaded plan; any number of streams may run it, each with a context of its own.

    holders  what must live as long as the plan
    """

    engine: Any
    tensors: tuple[PlanTensor, ...]
    flavour: str
    version: str
    holders: tuple[Any, ...] = field(repr=False)


def find_tensorrt() -> TensorRt:
    """Import the TensorRT that is installed, the full one first.

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
        'TensorRT is not installed (' + '; '.join(failures) + '); JetPack brings '
        'it, else `pip install tensorrt`, or `pip install tensorrt-rtx` for a '
        'GeForce or RTX card'
    )


def build_options(precision: str, gpu_memory_mb: int) -> BuildOptions:
    """Return how a plan of a precision is built for a GPU with so much memory."""
    return BuildOptions(
        tf32=precision != 'fp32',
        workspace_mb=gpu_memory_mb // 4 if gpu_memory_mb <= SMALL_MB else 0,
    )


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split('.')[:2])


def build_plan(
    tensorrt: TensorRt, graph: Path, plan: Path, options: BuildOptions, report: BuildProgress
) -> None:
    """Compile an ONNX graph for the GPU that is here.

    raises  ModelError if TensorRT does not take the graph, DeviceError if it cannot build
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
        words = '; '.join(str(parser.get_error(k).desc()) for k in range(parser.num_errors))
        raise ModelError(f'{tensorrt.flavour} {tensorrt.version} does not take {graph}: {words}')
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
            f'{log.last()}; free GPU memory, or take a smaller max_pixels'
        )
    plan.write_bytes(memoryview(serialized))
    if cache is not None and options.timing_cache is not None:
        _write_atomically(options.timing_cache, bytes(memoryview(cache.serialize())))


def load_plan(tensorrt: TensorRt, plan: Path) -> LoadedPlan:
    """Load a plan whose checksum the store has verified; its code is part of this process.

    raises  DeviceError if this TensorRT or this GPU does not run it
    """
    trt = tensorrt.module
    log = _error_logger(trt)
    runtime = trt.Runtime(log)
    engine = runtime.deserialize_cuda_engine(plan.read_bytes()) if runtime else None
    if engine is None:
        raise DeviceError(
            f'{tensorrt.flavour} {tensorrt.version} does not run {plan}: '
            f'{log.last()}; remove the file, it is built anew'
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
    """Give the builder what it measured before; TensorRT-RTX measures nothing while it builds."""
    if file is None or tensorrt.flavour != 'tensorrt':
        return None
    cache = config.create_timing_cache(file.read_bytes() if file.exists() else b'')
    # Times of another GPU or version are refused, and then the cache starts anew.
    if not config.set_timing_cache(cache, ignore_mismatch=False):
        cache = config.create_timing_cache(b'')
        config.set_timing_cache(cache, ignore_mismatch=False)
    return config.get_timing_cache()


def _write_atomically(file: Path, content: bytes) -> None:
    fresh = file.with_name(f'.{file.name}.new')
    fresh.write_bytes(content)
    fresh.replace(file)


def _error_logger(trt: Any) -> Any:
    """Return a logger that keeps what TensorRT complains of, for the words of an error."""

    class Listener(trt.ILogger):
        """Keeps warnings and errors."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.heard: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            """Be told by TensorRT."""
            if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR):
                self.heard.append(message)

        def last(self) -> str:
            """Return the last complaints in one line."""
            return ' '.join('; '.join(self.heard[-3:]).split()) or 'it does not say why'

    return Listener()


def _monitor(trt: Any, report: BuildProgress) -> Any:
    """Return what TensorRT tells its progress to."""

    class Monitor(trt.IProgressMonitor):
        """Hands fractions on."""

        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.steps: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            """Be told that a phase begins."""
            self.steps[phase_name] = max(1, num_steps)
            if parent_phase is None:
                report(phase_name, 0.0)

        def step_complete(self, phase_name: str, step: int) -> bool:
            """Be told that a step of a phase is done; True: go on."""
            report(phase_name, min(1.0, (step + 1) / self.steps.get(phase_name, 1)))
            return True

        def phase_finish(self, phase_name: str) -> None:
            """Be told that a phase is done."""
            self.steps.pop(phase_name, None)

    return Monitor()
