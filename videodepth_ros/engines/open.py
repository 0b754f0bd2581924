# SPDX-License-Identifier: Apache-2.0
"""Open an engine by name: the entry point of this package's engines.

Imports a runtime only when it is needed. With a graph in the store a robot needs ONNX Runtime or
OpenVINO alone; with a plan, TensorRT alone.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from videodepth_ros.core.errors import ConfigError, DeviceError
from videodepth_ros.engines.artefacts import PLAIN, checked_card, fetch_artefact, graph_key
from videodepth_ros.engines.child_process import BuildProgress, ignore_progress
from videodepth_ros.engines.engine import Engine
from videodepth_ros.engines.graph import Layout
from videodepth_ros.engines.plans import open_tensorrt, tensorrt_is_available
from videodepth_ros.models import catalogue
from videodepth_ros.models.cards import is_card
from videodepth_ros.models.catalogue import ModelCard

ENGINES = ('auto', 'tensorrt', 'torch-cuda', 'openvino', 'onnx', 'torch')

GPU_DEVICES = (
    Path('/dev/nvidiactl'),
    Path('/dev/nvhost-gpu'),
    Path('/dev/nvgpu'),
    Path('/dev/dxg'),
)
"""Device files of an NVIDIA GPU: discrete card, Jetson, WSL."""

_loading = threading.Lock()
_torch_plans: WeakValueDictionary[tuple[str, int, int, str], Any] = WeakValueDictionary()


def open_engine(
    model: str,
    engine: str,
    width: int,
    height: int,
    *,
    threads: int = 0,
    precision: str = 'fp16',
    report: BuildProgress = ignore_progress,
) -> Engine:
    """Return an engine for inputs of ``width`` x ``height`` px; missing artefacts are built.

    model    name in the catalogue, or the path of a card, see models/network_card.py
    engine   one of ``ENGINES``; ``auto`` is TensorRT or torch on a GPU, else OpenVINO where it is
             installed and the CPU has bf16, else ONNX Runtime; the spec names choice and reasons
    threads  per frame on the CPU; 0: the engine's default
    precision  ``fp16`` or ``fp32``; with ``fp16`` OpenVINO computes in bf16 or f16 where the
             device has it; ONNX Runtime and torch on the CPU compute in fp32
    report   called with phase and fraction of a build; its exceptions cancel the build
    raises   ConfigError for an unknown name or unsupported size, ModelError if weights are missing
             or a build fails, DeviceError if the engine is not installed; no other engine is
             substituted
    """
    if engine not in ENGINES:
        raise ConfigError(f'unknown engine {engine!r}; choose one of {", ".join(ENGINES)}')
    notes: list[str] = []
    if is_card(model):
        return _open_network(model, engine, width, height, threads, precision)
    card = checked_card(model, width, height)
    if engine == 'auto':
        engine = select_engine(notes)
    if engine == 'tensorrt':
        return open_tensorrt(card, width, height, precision, report)
    if engine == 'torch-cuda':
        return _open_torch_cuda(card, width, height, precision, tuple(notes))
    if engine == 'openvino':
        return _open_openvino(card, width, height, threads, precision, tuple(notes), report)
    if engine == 'torch':
        return _open_torch(card, width, height, threads)
    return _open_onnx(card, width, height, threads, tuple(notes), report)


def select_engine(notes: list[str]) -> str:
    """Return the fastest engine available; append the reasons against a GPU to ``notes``."""
    if not any(device.exists() for device in GPU_DEVICES):
        return cpu_engine()
    if tensorrt_is_available(notes.append):
        return 'tensorrt'
    try:
        import torch
    except ImportError as error:
        notes.append(f'torch is not installed ({error})')
        return cpu_engine()
    if torch.cuda.is_available():
        return 'torch-cuda'
    notes.append(f'torch {torch.__version__} finds no GPU')
    return cpu_engine()


def cpu_engine() -> str:
    """Return ``openvino`` where it is installed and faster than ONNX Runtime, else ``onnx``.

    It is faster in a reduced precision that the processor has; in float32 it is not.
    """
    try:
        from videodepth_ros.engines.openvino_engine import device_name, reduced_precision

        return 'openvino' if reduced_precision(device_name()) else 'onnx'
    except ImportError:
        return 'onnx'


def _open_onnx(
    card: ModelCard,
    width: int,
    height: int,
    threads: int,
    notes: tuple[str, ...],
    report: BuildProgress,
) -> Engine:
    try:
        from videodepth_ros.engines.onnx_engine import OnnxEngine
    except ImportError as error:
        raise _not_installed('onnx', error, 'onnxruntime') from error
    stored = fetch_artefact(card, width, height, PLAIN, report)
    return OnnxEngine(stored.path, threads, notes + stored.notes)


def _open_openvino(
    card: ModelCard,
    width: int,
    height: int,
    threads: int,
    precision: str,
    notes: tuple[str, ...],
    report: BuildProgress,
) -> Engine:
    try:
        from videodepth_ros.engines import openvino_plans
    except ImportError as error:
        raise _not_installed('openvino', error, 'openvino') from error
    stored = fetch_artefact(card, width, height, PLAIN, report)
    key = graph_key(card, width, height)
    return openvino_plans.open_checked(
        stored.path, key, threads=threads, precision=precision, notes=notes + stored.notes
    )


def _open_network(
    path: str, engine: str, width: int, height: int, threads: int, precision: str
) -> Engine:
    """Return an engine for the single-image network of a card, on ONNX Runtime or OpenVINO."""
    from videodepth_ros.models.network_card import read_network_card

    card = read_network_card(path)
    size = width, height
    if card.fixed_size not in (None, size) or width % card.patch or height % card.patch:
        expected = card.fixed_size or f'multiples of {card.patch}'
        raise ConfigError(f'{path} does not support {width}x{height}: it takes {expected}')
    if engine == 'auto':
        engine = cpu_engine()
    try:
        if engine == 'onnx':
            from videodepth_ros.engines.single_image import SingleImageEngine
            from videodepth_ros.engines.single_image_onnx import OnnxRunner

            return SingleImageEngine(card, width, height, lambda: OnnxRunner(card, threads))
        if engine == 'openvino':
            from videodepth_ros.engines import openvino_plans

            return openvino_plans.open_network(card, size, threads=threads, precision=precision)
    except ImportError as error:
        package = 'onnxruntime' if engine == 'onnx' else engine
        raise _not_installed(engine, error, package) from error
    raise ConfigError(
        f'engine {engine} does not run the network of a card; choose onnx, openvino or auto'
    )


def _open_torch(card: ModelCard, width: int, height: int, threads: int) -> Engine:
    try:
        from videodepth_ros.engines.torch_engine import TorchEngine
    except ImportError as error:
        raise _not_installed('torch', error, 'torch') from error
    return TorchEngine(_network(card), card.name, width, height, threads)


def _open_torch_cuda(
    card: ModelCard, width: int, height: int, precision: str, notes: tuple[str, ...]
) -> Engine:
    try:
        from videodepth_ros.engines.torch_cuda_engine import TorchCudaEngine
        from videodepth_ros.engines.torch_plan import TorchPlan
    except ImportError as error:
        raise _not_installed('torch-cuda', error, 'torch') from error
    with _loading:
        key = card.name, width, height, precision
        plan = _torch_plans.get(key)  # shared by the cameras of this process
        if plan is None:
            plan = TorchPlan(
                _network(card),
                card.name,
                Layout(width, height, width, height),
                precision=precision,
            )
            _torch_plans[key] = plan
    engine = TorchCudaEngine(plan)
    engine.spec = replace(engine.spec, notes=notes)
    return engine


def _network(card: ModelCard) -> Any:
    from videodepth_ros.models.flashdepth import load_flashdepth
    from videodepth_ros.models.variants import config_of

    return load_flashdepth(config_of(card.name), catalogue.weights_path(card))


def _not_installed(engine: str, error: ImportError, package: str) -> DeviceError:
    return DeviceError(
        f'engine {engine} is unavailable: {error}; `pip install {package}`, '
        'or choose another engine'
    )
