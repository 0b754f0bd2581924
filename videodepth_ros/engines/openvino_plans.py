# SPDX-License-Identifier: Apache-2.0
"""Open OpenVINO engines whose reduced precision has been checked once for this machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import openvino as ov
import openvino.properties as properties

from videodepth_ros.engines.openvino_engine import (
    OpenVinoEngine,
    device_name,
    measure_precision,
    reduced_precision,
)
from videodepth_ros.engines.store import EngineKey, EngineStore, sha256_of

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
    device, store = device_name(), EngineStore()
    reduced = None if precision == 'fp32' else reduced_precision(device)
    compiled = partial(
        OpenVinoEngine,
        graph,
        key.model,
        threads=threads,
        device=device,
        cache=store.folder / 'openvino',
    )
    if reduced is None:
        return compiled(precision='fp32', notes=notes)
    stored = store.fetch(
        _check_key(key, graph, device, reduced), partial(_check, compiled, reduced)
    )
    notes, result = notes + stored.notes, stored.path.read_text()
    if result == ACCURATE:
        return compiled(precision=reduced, notes=notes)
    note = f'OpenVINO computes {key.model} inaccurately in {reduced}: {result}; float32 is used'
    return compiled(precision='fp32', notes=(*notes, note))


def _check(compiled: Callable[..., OpenVinoEngine], precision: str, path: Path) -> str:
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
        toolchain=(f'openvino {ov.__version__}', f'{device} {name}'),
    )
