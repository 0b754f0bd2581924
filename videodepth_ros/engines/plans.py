# SPDX-License-Identifier: Apache-2.0
"""TensorRT plans: stored under complete keys and used only after a numeric check.

A child process (compile.py) builds a plan and compares it with reference outputs of the network:
TensorRT 10.3 to 10.7 are known to build transformers that are silently wrong. The rejection of a
plan is stored in its place, so that it is built once, and the next precision is tried.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from weakref import WeakValueDictionary

from videodepth_ros.core.errors import DeviceError, ModelError
from videodepth_ros.engines.artefacts import REFERENCE, fetch_artefact, graph_key
from videodepth_ros.engines.child_process import BuildProgress, ignore_progress, run_module
from videodepth_ros.engines.cuda import CudaRuntime
from videodepth_ros.engines.cuda_provider import open_cuda
from videodepth_ros.engines.store import EngineKey, EngineStore, StoredArtefact, sha256_of
from videodepth_ros.engines.tensorrt_engine import PlanInfo, TensorRtEngine
from videodepth_ros.engines.tensorrt_plan import (
    LoadedPlan,
    TensorRt,
    build_options,
    find_tensorrt,
    load_plan,
)
from videodepth_ros.models.catalogue import ModelCard

PRECISION_FALLBACKS = {'fp16': ('fp16', 'fp32'), 'fp32': ('fp32',)}
"""Precisions to try for a requested one, in this order."""

REJECTED_PREFIX = b'refused: '
"""First bytes of the file of a rejected plan."""

EXIT_INACCURATE = 3
"""Exit code of compile.py for a plan that fails its check."""

DRIVER_FILES = (Path('/proc/driver/nvidia/version'), Path('/etc/nv_tegra_release'))


_loading = threading.Lock()
_loaded: WeakValueDictionary[Path, LoadedPlan] = WeakValueDictionary()


def open_tensorrt(
    card: ModelCard,
    width: int,
    height: int,
    precision: str = 'fp16',
    report: BuildProgress = ignore_progress,
) -> TensorRtEngine:
    """Return an engine for the stored plan, built first if missing.

    raises  DeviceError if there is no TensorRT or no GPU, or it fails; ModelError if no precision
            passes its check
    """
    tensorrt, cuda = find_tensorrt(), open_cuda()
    notes: list[str] = []
    for level in PRECISION_FALLBACKS[precision]:
        stored = fetch_plan(tensorrt, cuda, card, (width, height), level, report)
        notes += stored.notes
        rejection = rejection_of(stored.path)
        if rejection is None:
            facts = PlanInfo(card.name, level, cuda.gpu().name, tuple(notes))
            return TensorRtEngine(_load_shared(tensorrt, stored.path), facts, cuda)
        notes.append(
            f'{tensorrt.flavour} {tensorrt.version} computes {card.name} inaccurately in '
            f'{level}: {rejection}'
        )
    raise ModelError(
        '; '.join(notes) + '; install another version of TensorRT (10.0 to 10.7 are '
        'known for this), or use engine onnx or torch-cuda'
    )


def _load_shared(tensorrt: TensorRt, path: Path) -> LoadedPlan:
    """Load a plan, or return the one shared by the cameras of this process."""
    with _loading:
        plan = _loaded.get(path)
        if plan is None:
            _loaded[path] = plan = load_plan(tensorrt, path)
        return plan


def fetch_plan(
    tensorrt: TensorRt,
    cuda: CudaRuntime,
    card: ModelCard,
    size: tuple[int, int],
    precision: str,
    report: BuildProgress,
) -> StoredArtefact:
    """Return the plan of one precision, or its rejection, from the store or built now."""
    store = EngineStore()
    graph = fetch_artefact(card, *size, precision, report)
    key = plan_key(tensorrt, cuda, graph_key(card, *size, precision), graph.path)
    timing = store.folder / f'{tensorrt.flavour}-{tensorrt.version}.timing'

    def build(path: Path) -> str:
        answers = fetch_artefact(card, *size, REFERENCE, report)
        return compile_plan(precision, graph.path, answers.path, path, timing, report)

    plan = store.fetch(key, build, report)
    return StoredArtefact(plan.path, graph.notes + plan.notes)


def plan_key(tensorrt: TensorRt, cuda: CudaRuntime, graph: EngineKey, path: Path) -> EngineKey:
    """Return the key of the plan of a graph on this machine."""
    gpu = cuda.gpu()
    driver = next(
        (file.read_text().splitlines()[0] for file in DRIVER_FILES if file.exists()),
        'unknown driver',
    )
    return replace(
        graph,
        kind='plan',
        source_sha256=sha256_of(path),
        toolchain=(
            f'{tensorrt.flavour} {tensorrt.version}',
            f'{gpu.name} sm_{gpu.major}{gpu.minor}',
            f'{gpu.memory_mb} MB',
            f'CUDA {gpu.driver_cuda_version} of the driver',
            driver,
            build_options(graph.precision, gpu.memory_mb).flags,
        ),
    )


def rejection_of(path: Path) -> str | None:
    """Return why the plan of a file was rejected; None if it was not."""
    with path.open('rb') as file:
        if file.read(len(REJECTED_PREFIX)) != REJECTED_PREFIX:
            return None
        return file.read(2000).decode(errors='replace')


def compile_plan(
    precision: str, graph: Path, answers: Path, plan: Path, timing: Path, report: BuildProgress
) -> str:
    """Build and check a plan in a child process; write it, or its rejection.

    raises  DeviceError if it cannot be built; exceptions of ``report`` kill the child
    """
    result = run_module(
        'videodepth_ros.engines.compile',
        (precision, graph, answers, plan, timing),
        'Starting the builder',
        report,
    )
    if result.exit_code == EXIT_INACCURATE:
        plan.write_bytes(REJECTED_PREFIX + result.last_line.encode())
        return REJECTED_PREFIX.decode() + result.last_line
    if result.exit_code:
        raise DeviceError(
            f'no plan of {graph.name} (its builder ended with {result.exit_code}): '
            f'{result.last_line or result.stderr[-2000:].strip()}'
        )
    return result.last_line


def tensorrt_is_available(why_not: Callable[[str], None]) -> bool:
    """Return whether TensorRT and a GPU are available; else pass the reason to ``why_not``."""
    try:
        find_tensorrt()
        open_cuda()
    except DeviceError as error:
        why_not(str(error))
        return False
    return True
