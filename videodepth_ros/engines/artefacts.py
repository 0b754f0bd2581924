# SPDX-License-Identifier: Apache-2.0
"""Artefacts of the exporter: ONNX graphs, and reference outputs that plans are checked with.

Free of torch: the exporter runs in a child process (build.py), and its artefacts are stored under
keys that cover all of their inputs.
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from videodepth_ros.core.errors import ConfigError, DeviceError, ModelError
from videodepth_ros.engines.child_process import BuildProgress, ignore_progress, run_module
from videodepth_ros.engines.graph import FUSED_SCHEMA, GRAPH_SCHEMA
from videodepth_ros.engines.store import EngineKey, EngineStore, StoredArtefact, sha256_of
from videodepth_ros.models import catalogue
from videodepth_ros.models.catalogue import ModelCard

PLAIN, REFERENCE = 'plain', 'reference'
"""Kinds of artefacts, beside ``fp16`` and ``fp32``, the fused steps."""


def checked_card(model: str, width: int, height: int) -> ModelCard:
    """Return the card of a model.

    raises  ConfigError if there is no such model, or it does not support this size
    """
    card = catalogue.card(model)
    if width % card.patch or height % card.patch or min(width, height) < card.min_size_px:
        raise ConfigError(
            f'{model} does not support {width}x{height}: both sides must be '
            f'multiples of {card.patch}, and at least {card.min_size_px}'
        )
    return card


def exporter_versions() -> tuple[str, ...]:
    """Return name and version of each export tool; empty unless all are installed."""
    try:
        return tuple(
            f'{tool} {metadata.version(tool)}'
            for tool in ('torch', 'onnx', 'onnxscript', 'onnx_ir')
        )
    except metadata.PackageNotFoundError:
        return ()


def graph_key(card: ModelCard, width: int, height: int, kind: str = PLAIN) -> EngineKey:
    """Return the key of an artefact.

    The code of the network is part of the key by its hash: a needless rebuild costs seconds, a
    stale graph is wrong.

    kind    see ``export_graph``
    raises  ModelError if the weights are missing
    """
    package = Path(catalogue.__file__).parents[1]
    sources = [*sorted((package / 'models').glob('*.py')), package / 'engines' / 'export.py']
    if kind != PLAIN:
        sources += [
            package / 'engines' / name for name in ('fused.py', 'lowering.py', 'reference.py')
        ]
    return EngineKey(
        model=card.name,
        kind='npz' if kind == REFERENCE else 'onnx',
        width=width,
        height=height,
        precision='fp32' if kind in (PLAIN, REFERENCE) else kind,
        schema=GRAPH_SCHEMA if kind == PLAIN else FUSED_SCHEMA,
        weights_sha256=sha256_of(catalogue.weights_path(card)),
        source_sha256=sha256_of(*sources),
        toolchain=exporter_versions(),
    )


def fetch_artefact(
    card: ModelCard, width: int, height: int, kind: str, report: BuildProgress = ignore_progress
) -> StoredArtefact:
    """Return an artefact from the store, built first if missing.

    report  called with phase and fraction of the build; its exceptions cancel the build
    raises  ModelError if it cannot be built, ConfigError if the store is unusable
    """
    key = graph_key(card, width, height, kind)

    def build(path: Path) -> str:
        return export_graph(card.name, path, width, height, kind, report)

    can_build = bool(key.toolchain)
    return EngineStore().fetch(key, build if can_build else None, report)


def export_graph(
    model: str,
    path: Path,
    width: int,
    height: int,
    kind: str = PLAIN,
    report: BuildProgress = ignore_progress,
) -> str:
    """Export a model to ``path``; return the result of the self-check.

    kind    ``plain``, the graph for ONNX Runtime and OpenVINO; ``fp16`` or ``fp32``, the fused
            step in that precision; ``reference``, frames and outputs to check a plan with
    report  called with phase and fraction; its exceptions cancel the export
    raises  ConfigError, ModelError as ``open_engine``; DeviceError without the export tools
    """
    checked_card(model, width, height)
    if not exporter_versions():
        raise DeviceError(
            'the export of a graph needs torch, onnx and onnxscript, not all of which are '
            'installed; `pip install torch onnx onnxscript`'
        )
    result = run_module(
        'videodepth_ros.engines.build',
        (kind, model, path, width, height),
        f'Exporting {model}',
        report,
    )
    if result.exit_code:
        reason = result.last_line or result.stderr.strip()[-2000:]
        raise ModelError(
            f'no graph of {model} at {width}x{height} (the exporter ended with '
            f'{result.exit_code}): {reason}'
        )
    return result.last_line
