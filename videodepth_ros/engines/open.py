# SPDX-License-Identifier: Apache-2.0
"""Open an engine by name: the one door to this floor.

Free of torch and of every runtime until one is asked for. A robot that has a graph in its store
needs ONNX Runtime alone.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from videodepth_ros.engines.engine import Engine
from videodepth_ros.engines.graph import GRAPH_SCHEMA
from videodepth_ros.engines.store import EngineKey, EngineStore, sha256_of
from videodepth_ros.errors import ConfigError, DeviceError, ModelError
from videodepth_ros.models import catalogue
from videodepth_ros.models.catalogue import ModelCard

ENGINES = ('auto', 'onnx', 'torch')


def open_engine(model: str, engine: str, width: int, height: int, *, threads: int = 0) -> Engine:
    """Return an engine for images of ``width`` x ``height``; a missing graph is built first.

    model    name in the catalogue
    engine   one of ``ENGINES``; ``auto`` is ONNX Runtime, and the spec says so
    threads  that compute one frame; 0 leaves the choice to the engine
    raises   ConfigError for a name or size that cannot be, ModelError if there are no weights or
             the graph cannot be built, DeviceError if the engine is not installed; another engine
             is never taken instead
    """
    if engine not in ENGINES:
        raise ConfigError(f'there is no engine {engine!r}; choose one of {", ".join(ENGINES)}')
    card = checked_card(model, width, height)
    if engine == 'torch':
        return _open_torch(card, width, height, threads)
    return _open_onnx(card, width, height, threads)


def export_graph(model: str, path: Path, width: int, height: int) -> str:
    """Write the ONNX graph of a model to ``path`` and return the finding of its self-check.

    It runs in a process of its own, see build.py.

    raises  ConfigError, ModelError as ``open_engine``; DeviceError if there is no exporter here
    """
    checked_card(model, width, height)
    if not exporter_versions():
        raise DeviceError('to export a graph takes torch, onnx and onnxscript, and not all of '
                          'them are installed; `pip install torch onnx onnxscript`')
    search_path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
    done = subprocess.run(
        [sys.executable, '-m', 'videodepth_ros.engines.build', model, str(path), str(width),
         str(height)], env={**os.environ, 'PYTHONPATH': search_path}, text=True, check=False,
        stdin=subprocess.DEVNULL, capture_output=True)
    if done.returncode:
        reason = done.stdout.strip() or done.stderr.strip()[-2000:]
        raise ModelError(f'no graph of {model} at {width}x{height} (the exporter ended with '
                         f'{done.returncode}): {reason}')
    return done.stdout.splitlines()[-1]


def checked_card(model: str, width: int, height: int) -> ModelCard:
    """Return the card of a model.

    raises  ConfigError if there is no such model, or the model cannot compute this size
    """
    card = catalogue.card(model)
    if width % card.patch or height % card.patch or min(width, height) < card.min_size_px:
        raise ConfigError(f'{model} cannot compute {width}x{height}: width and height must be '
                          f'multiples of {card.patch}, and at least {card.min_size_px}')
    return card


def graph_key(card: ModelCard, width: int, height: int) -> EngineKey:
    """Return the key of a model's graph.

    The code that defines the network counts by its text, not by a version number that somebody
    must think of: a graph that is built once too often costs seconds, a stale one is wrong.

    raises  ModelError if the weights are missing
    """
    package = Path(catalogue.__file__).parents[1]
    sources = (*sorted((package / 'models').glob('*.py')), package / 'engines' / 'export.py')
    return EngineKey(
        model=card.name, kind='onnx', width=width, height=height, precision='fp32',
        schema=GRAPH_SCHEMA, weights_sha256=sha256_of(catalogue.weights_path(card)),
        source_sha256=sha256_of(*sources), toolchain=exporter_versions())


def exporter_versions() -> tuple[str, ...]:
    """Return name and version of each tool that makes a graph; empty unless all are installed."""
    try:
        return tuple(f'{tool} {metadata.version(tool)}' for tool in
                     ('torch', 'onnx', 'onnxscript', 'onnx_ir'))
    except metadata.PackageNotFoundError:
        return ()


def _open_onnx(card: ModelCard, width: int, height: int, threads: int) -> Engine:
    try:
        from videodepth_ros.engines.onnx_engine import OnnxEngine
    except ImportError as error:
        raise DeviceError(f'the engine onnx cannot run here: {error}; `pip install onnxruntime`'
                          ) from error
    key = graph_key(card, width, height)
    can_build = bool(key.toolchain)
    stored = EngineStore().fetch(
        key, (lambda path: export_graph(card.name, path, width, height)) if can_build else None)
    return OnnxEngine(stored.path, threads, stored.notes)


def _open_torch(card: ModelCard, width: int, height: int, threads: int) -> Engine:
    try:
        from videodepth_ros.engines.torch_engine import TorchEngine
        from videodepth_ros.models.flashdepth import load_flashdepth
        from videodepth_ros.models.variants import config_of
    except ImportError as error:
        raise DeviceError(f'the engine torch cannot run here: {error}; `pip install torch`, or '
                          'take the engine onnx') from error
    model = load_flashdepth(config_of(card.name), catalogue.weights_path(card))
    return TorchEngine(model, card.name, width, height, threads)
