# SPDX-License-Identifier: Apache-2.0
"""Open OpenVINO engines whose reduced precision has been checked once for this machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from videodepth_ros.engines.engine import Engine
from videodepth_ros.engines.graph import GRAPH_SCHEMA
from videodepth_ros.engines.openvino_engine import (
    OpenVinoEngine,
    device_name,
    measure_precision,
    reduced_precision,
)
from videodepth_ros.engines.openvino_runtime import ov, properties
from videodepth_ros.engines.options import ReducedPrecisionOptions
from videodepth_ros.engines.single_image import SingleImageEngine
from videodepth_ros.engines.single_image_openvino import OpenVinoRunner
from videodepth_ros.engines.store import EngineKey, EngineStore, sha256_of
from videodepth_ros.models.network_card import NetworkCard

Opened = TypeVar('Opened', bound=Engine)

CHECK = ReducedPrecisionOptions()
ACCURATE = 'accurate'
"""Content of the stored result of a passed check; else it is the reason."""


def open_checked(
    graph: Path,
    key: EngineKey,
    *,
    threads: int = 0,
    precision: str = 'fp16',
    notes: tuple[str, ...] = (),
) -> OpenVinoEngine:
    """Return an engine for a graph, in reduced precision if its check passes.

    key        of the graph
    precision  ``fp32``, or ``fp16`` for the reduced precision of the device
    raises     DeviceError if the device fails, ModelError if the graph is unreadable
    """
    compiled = partial(OpenVinoEngine, graph, key.model, threads=threads, **_placement())
    return _open(compiled, graph, key, precision, notes)


def open_network(
    card: NetworkCard,
    size: tuple[int, int],
    *,
    threads: int = 0,
    precision: str = 'fp16',
    notes: tuple[str, ...] = (),
) -> SingleImageEngine:
    """Return an engine for a single-image network, as ``open_checked``.

    size    width and height of the input [px]
    raises  see ``open_checked`` and ``SingleImageEngine``
    """
    placement = _placement()

    def compiled(precision: str, notes: tuple[str, ...] = ()) -> SingleImageEngine:
        runner = partial(
            OpenVinoRunner, card, size, precision=precision, threads=threads, **placement
        )
        return SingleImageEngine(card, *size, runner, notes)

    key = EngineKey(
        model=card.file.stem,
        kind='check',
        width=size[0],
        height=size[1],
        precision='fp32',
        schema=GRAPH_SCHEMA,
        weights_sha256=sha256_of(card.file),
        source_sha256='',
        toolchain=(),
    )
    return _open(compiled, card.file, key, precision, notes)


def _placement() -> dict[str, Any]:
    """Return the device and the folder of compiled models."""
    return {'device': device_name(), 'cache': EngineStore().folder / 'openvino'}


def _open(
    compiled: Callable[..., Opened],
    graph: Path,
    key: EngineKey,
    precision: str,
    notes: tuple[str, ...],
) -> Opened:
    """Return the engine in reduced precision if the device has one and its check passes."""
    device = device_name()
    reduced = None if precision == 'fp32' else reduced_precision(device)
    if reduced is None:
        return compiled(precision='fp32', notes=notes)
    stored = EngineStore().fetch(
        _check_key(key, graph, device, reduced), partial(_check, compiled, reduced)
    )
    notes, result = notes + stored.notes, stored.path.read_text()
    if result == ACCURATE:
        return compiled(precision=reduced, notes=notes)
    note = f'OpenVINO computes {key.model} inaccurately in {reduced}: {result}; float32 is used'
    return compiled(precision='fp32', notes=(*notes, note))


def _check(compiled: Callable[..., Engine], precision: str, path: Path) -> str:
    """Write and return the result of the check of a precision."""
    engine, reference = compiled(precision=precision), compiled(precision='fp32')
    try:
        result = measure_precision(engine, reference) or ACCURATE
    finally:
        engine.close()
        reference.close()
    path.write_text(result)
    return result


def _check_key(key: EngineKey, graph: Path, device: str, precision: str) -> EngineKey:
    """Return the key of the result of a check on this machine."""
    name = str(ov.Core().get_property(device, properties.device.full_name)).strip()
    return replace(
        key,
        kind='check',
        precision=precision,
        source_sha256=sha256_of(graph),
        toolchain=(f'openvino {ov.__version__}', f'{device} {name}', str(CHECK)),
    )
