# SPDX-License-Identifier: Apache-2.0
"""Import a single-image network in ONNX: its files and its card in a folder of the store."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import onnx
from ruamel.yaml import YAML

from videodepth_ros.core.errors import ConfigError, ModelError
from videodepth_ros.models.cards import CARD_SUFFIX
from videodepth_ros.models.catalogue import BUNDLED, weights_folder
from videodepth_ros.models.network_card import (
    NetworkCard,
    network_card,
    parse_entries,
    read_network_card,
    tensor_names,
)
from videodepth_ros.models.network_graph import NetworkGraph, read_network_graph

CARDS = BUNDLED / 'cards'
"""Cards of networks whose files do not come with the package."""


def networks_folder() -> Path:
    """Return the folder of the imported networks; it need not exist."""
    return weights_folder() / 'networks'


def imported_networks() -> tuple[Path, ...]:
    """Return the cards of the imported networks."""
    return tuple(sorted(networks_folder().glob(f'*/*{CARD_SUFFIX}')))


def card_names() -> tuple[str, ...]:
    """Return the names of the cards that come with the package."""
    return tuple(sorted(path.stem for path in CARDS.glob(f'*{CARD_SUFFIX}')))


def packaged_entries(name: str) -> dict[str, Any]:
    """Return the entries of a card that comes with the package.

    raises  ConfigError naming the choices
    """
    if name not in card_names():
        raise ConfigError(f'there is no card {name!r}: choose one of {", ".join(card_names())}')
    entries: dict[str, Any] = YAML(typ='safe').load((CARDS / f'{name}{CARD_SUFFIX}').read_text())
    return entries


def entries_of_file(network: Path, known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries that the metadata of an export of this package define.

    known   entries that name its tensors
    raises  ConfigError where one is wrong, ModelError where the file is not of a network of one
            image and one map
    """
    metadata = _graph(network, known).metadata
    return {key: json.loads(metadata[key]) for key in ('mean', 'std') if key in metadata}


def has_fixed_size(network: Path, known: Mapping[str, Any]) -> bool:
    """Return whether the input of a network has one size; raise as ``entries_of_file``."""
    graph = _graph(network, known)
    return bool(graph.width and graph.height)


def _graph(network: Path, known: Mapping[str, Any]) -> NetworkGraph:
    return read_network_graph(network, tensor_names(parse_entries(str(network), known)))


def import_network(network: Path, entries: Mapping[str, Any], name: str) -> NetworkCard:
    """Copy a network to the store, write its card beside it and return the card.

    entries  of the card, null: none; that of the file is set here
    name     of the folder and of the card; an imported network of that name is replaced
    raises   ConfigError where an entry is wrong or the store cannot be written, ModelError where
             the file is not of such a network, or not the one of the card's SHA-256
    """
    if not name or Path(name).name != name or name.startswith('.'):
        raise ConfigError(f'{name!r} cannot be the name of a network: give a plain name with --as')
    complete = {key: value for key, value in entries.items() if value is not None}
    complete['file'] = network.name
    network_card(str(network), complete, network.parent)  # raises before anything is copied
    _check_hash(network, complete.get('sha256'))
    folder = networks_folder()
    place = folder / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix='.import-', dir=folder) as workspace:
            new = Path(workspace) / 'new'
            new.mkdir()
            for file in (network, *external_files(network)):
                target = new / file.relative_to(network.parent)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target)
            with (new / f'{name}{CARD_SUFFIX}').open('w') as card:
                YAML().dump(complete, card)
            if place.is_dir():
                place.rename(Path(workspace) / 'old')
            new.rename(place)
    except OSError as error:
        raise ConfigError(
            f'the network cannot be stored in {folder}: {error}; free space, or set '
            'VIDEODEPTH_WEIGHTS to a writable folder'
        ) from error
    return read_network_card(str(place / f'{name}{CARD_SUFFIX}'))


def external_files(network: Path) -> Iterator[Path]:
    """Yield the files beside a graph that hold its weights."""
    graph = onnx.load_model(network, format='protobuf', load_external_data=False).graph
    names = {
        entry.value
        for tensor in graph.initializer
        for entry in tensor.external_data
        if entry.key == 'location'
    }
    for name in sorted(names):
        file = network.parent / name
        if not file.resolve().is_relative_to(network.parent.resolve()):
            raise ModelError(
                f'{network} names the weights {name}, which is outside its folder: export it again'
            )
        yield file


def _check_hash(network: Path, expected: str | None) -> None:
    if expected is None:
        return
    digest = hashlib.sha256()
    with network.open('rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    found = digest.hexdigest()
    if found != expected:
        raise ModelError(
            f'{network} has the SHA-256 {found}, not the {expected} of its card: get the file of '
            'the url in the card, or give sha256=null for another export'
        )
