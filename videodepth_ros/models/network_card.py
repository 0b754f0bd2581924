# SPDX-License-Identifier: Apache-2.0
"""Card of a single-image depth network of the user: a YAML file beside an ONNX file.

The card states what the ONNX file does not: normalisation, colour order, meaning of the output,
licence. `read_network_card` checks both files, so that a wrong card is an error before any image.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from videodepth_ros.core.errors import ConfigError
from videodepth_ros.models.cards import ModelCard
from videodepth_ros.models.network_entries import ENTRIES, REQUIRED, HitRule, OutputKind
from videodepth_ros.models.network_graph import NetworkGraph, TensorNames, read_network_graph
from videodepth_ros.models.preprocess import Triple

MAX_PIXELS = 518 * 392
"""Default limit of the input of a network whose size is chosen at run time [px]."""

PERMISSIVE = frozenset(
    {'Apache-2.0', 'BSD-2-Clause', 'BSD-3-Clause', 'CC-BY-4.0', 'CC0-1.0', 'ISC', 'MIT'}
)
"""Licences without a notice, by SPDX identifier."""

COMPANIONS = {OutputKind.CANONICAL: 'canonical_focal_px', OutputKind.POINTS: 'scale_name'}
"""Entry that an output needs, and no other has."""


@dataclass(frozen=True)
class NetworkCard(ModelCard):
    """A single-image network in ONNX; its name is the path of the card.

    graph       inputs and outputs of the file
    output      meaning of the output
    mean, std   of red, green and blue, as shares of full scale
    channels    order of the input's channels: ``rgb`` or ``bgr``
    canonical_focal_px  F of ``OutputKind.CANONICAL``
    fixed_size  width and height of the input [px]; None: multiples of ``patch``
    hit         where something was hit; None: by the depth alone
    """

    graph: NetworkGraph = field(kw_only=True)
    output: OutputKind = field(kw_only=True)
    mean: Triple = field(kw_only=True)
    std: Triple = field(kw_only=True)
    channels: str = field(kw_only=True)
    canonical_focal_px: float = field(kw_only=True)
    fixed_size: tuple[int, int] | None = field(kw_only=True)
    hit: HitRule | None = field(default=None, kw_only=True)

    @property
    def file(self) -> Path:
        """Path of the ONNX file."""
        return Path(self.weights_file)

    @property
    def how_to_get(self) -> str:
        """Next step where the file is missing."""
        return f'correct `file` in {self.name}'

    @property
    def notice(self) -> str | None:
        """Licence notice due to the user; None for a permissive licence."""
        if self.commercial_use:
            return None
        return f'the weights of {self.name} are licensed {self.licence}: heed its conditions'

    @property
    def is_relative(self) -> bool:
        """Whether its depth has an unknown unit, see ``OutputKind``."""
        return self.output.is_relative

    def input_size(self, width: int, height: int, max_pixels: int = 0) -> tuple[int, int]:
        """Return width and height of the network's input, see ``ModelCard.input_size``."""
        return self.fixed_size or super().input_size(width, height, max_pixels)


def read_network_card(name: str) -> NetworkCard:
    """Return the card at a path.

    raises  ConfigError where the card is missing or wrong, ModelError where the ONNX file is
            missing or is not of a network of one image and one map
    """
    path = Path(name).expanduser()
    try:
        text = path.read_text()
        entries = YAML(typ='safe').load(text)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f'the card {name} cannot be read: {error}; correct the path') from error
    except YAMLError as error:
        raise ConfigError(
            f'the card {name} is not YAML: {" ".join(str(error).split())}'
        ) from error
    if not isinstance(entries, dict):
        raise ConfigError(f'the card {name} has no entries: give at least file, output, licence')
    return network_card(name, entries, path.parent)


def network_card(name: str, entries: Mapping[str, Any], folder: Path) -> NetworkCard:
    """Return the card of the entries of a file, with its network in ``folder``.

    raises  see ``read_network_card``
    """
    values = parse_entries(name, entries)
    if missing := [key for key in REQUIRED if key not in values]:
        raise ConfigError(f'the card {name} lacks {", ".join(missing)}')
    file = (folder / values['file']).absolute()
    output, white = values['output'], values.get('white', 1.0)
    _check_companions(name, values)
    graph = _cached_graph(file, tensor_names(values), _version(file))
    size, multiple = _size(name, values, graph)
    return NetworkCard(
        name,
        values.get('network', 'single-image network'),
        str(file),
        values['licence'],
        values['licence'] in PERMISSIVE,
        values.get('url', 'the card does not state it'),
        sha256=values.get('sha256'),
        mamba_stage=None,
        unit=output.unit,
        patch=multiple,
        min_size_px=multiple,
        max_pixels=values.get('max_pixels', MAX_PIXELS),
        drifts=True,
        soft=values.get('soft_edges', False),
        graph=graph,
        output=output,
        mean=_shares(values.get('mean', (0.0, 0.0, 0.0)), white),
        std=_shares(values.get('std', (1.0, 1.0, 1.0)), white),
        channels=values.get('colours', 'rgb'),
        canonical_focal_px=values.get('canonical_focal_px', 0.0),
        fixed_size=size,
        hit=values.get('hit'),
    )


def tensor_names(values: Mapping[str, Any]) -> TensorNames:
    """Return the names of tensors in parsed entries."""
    rule = values.get('hit')
    return TensorNames(
        values.get('output_name', ()),
        values.get('scale_name', ()),
        (rule.output,) if rule else (),
        values.get('constants', ()),
        values.get('output') is OutputKind.POINTS,
    )


def _check_companions(name: str, values: Mapping[str, Any]) -> None:
    """Raise ConfigError where an entry is missing that an output needs, or has no meaning."""
    for kind, key in COMPANIONS.items():
        if (values['output'] is kind) != (key in values):
            raise ConfigError(
                f'the card {name} has the output {values["output"].value!r}: {key} belongs to '
                f'{kind.value!r}, and to no other'
            )


def parse_entries(name: str, entries: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parsed entries but those of null; raise ConfigError where one is wrong."""
    unknown = [str(key) for key in entries if key not in ENTRIES]
    if unknown:
        raise ConfigError(
            f'the card {name} has the unknown entry {unknown[0]!r}: known are {", ".join(ENTRIES)}'
        )
    given = {key: value for key, value in entries.items() if value is not None}
    return {key: _parse(name, key, value) for key, value in given.items()}


def _parse(name: str, key: str, value: Any) -> Any:
    """Return the value of an entry; raise ConfigError naming what it should be."""
    parse, expected = ENTRIES[key]
    try:
        return parse(value)
    except (TypeError, ValueError) as error:
        raise ConfigError(f'the card {name}: {key} is {value!r}; give {expected}') from error


def _size(
    name: str, values: Mapping[str, Any], graph: NetworkGraph
) -> tuple[tuple[int, int] | None, int]:
    """Return the fixed size of the input, or None, and the multiple of its sides."""
    size, multiple = values.get('size'), values.get('multiple')
    fixed = (graph.width, graph.height) if graph.width and graph.height else None
    given = fixed or size
    if given is None:
        if multiple is None:
            raise ConfigError(
                f'the card {name} needs either size (such as 518x392) or multiple (such as 14): '
                'the size of its network is chosen at run time'
            )
        return None, multiple
    if size not in (None, given) or any(side % (multiple or 1) for side in given):
        network = f'whose input is {given[0]}x{given[1]}' if fixed else 'whose size is open'
        raise ConfigError(
            f'the card {name} contradicts its network, {network}: leave size or multiple out'
        )
    return given, 1


def _version(file: Path) -> tuple[int, int]:
    """Return time and size of a file, to notice that it has changed."""
    if not file.is_file():
        return 0, 0
    status = file.stat()
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=16)
def _cached_graph(file: Path, names: TensorNames, _: tuple[int, int]) -> NetworkGraph:
    return read_network_graph(file, names)


def _shares(values: Triple, white: float) -> Triple:
    red, green, blue = values
    return red / white, green / white, blue / white
