# SPDX-License-Identifier: Apache-2.0
"""Card of a single-image depth network of the user: a YAML file beside an ONNX file.

The card states what the ONNX file does not: normalisation, colour order, meaning of the output,
licence. `read_network_card` checks both files, so that a wrong card is an error before any image.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from videodepth_ros.core.errors import ConfigError
from videodepth_ros.models.cards import InverseDepthUnit, ModelCard
from videodepth_ros.models.network_graph import NetworkGraph, read_network_graph
from videodepth_ros.models.preprocess import Triple

MAX_PIXELS = 518 * 392
"""Default limit of the input of a network whose size is chosen at run time [px]."""

PERMISSIVE = frozenset(
    {'Apache-2.0', 'BSD-2-Clause', 'BSD-3-Clause', 'CC-BY-4.0', 'CC0-1.0', 'ISC', 'MIT'}
)
"""Licences without a notice, by SPDX identifier."""


class OutputKind(str, Enum):
    """Meaning of a network's output y for a point at depth Z [m]."""

    RELATIVE_INVERSE = 'relative inverse depth'  # a / Z + b with unknown a and b: MiDaS
    RELATIVE = 'relative depth'  # a Z with unknown a
    INVERSE = 'inverse depth'  # 1 / Z [1/m]
    METRIC = 'depth in metres'  # Z
    CANONICAL_INVERSE = 'canonical inverse depth'  # fx / (width Z): Depth Pro
    CANONICAL = 'canonical depth'  # Z F / fx, F the canonical focal length [px]: Metric3D

    @property
    def is_relative(self) -> bool:
        """Whether its unit is unknown."""
        return self in (OutputKind.RELATIVE_INVERSE, OutputKind.RELATIVE)

    @property
    def is_inverse(self) -> bool:
        """Whether it falls with the depth."""
        return self.value.endswith('inverse depth')

    @property
    def unit(self) -> InverseDepthUnit:
        """Unit of the inverse depth that the engine makes of it."""
        is_canonical = self in (OutputKind.CANONICAL_INVERSE, OutputKind.CANONICAL)
        return InverseDepthUnit.CANONICAL if is_canonical else InverseDepthUnit.NOMINAL


@dataclass(frozen=True)
class NetworkCard(ModelCard):
    """A single-image network in ONNX; its name is the path of the card.

    graph       input and output of the file
    output      meaning of the output
    mean, std   of red, green and blue, as shares of full scale
    channels    order of the input's channels: ``rgb`` or ``bgr``
    canonical_focal_px  F of ``OutputKind.CANONICAL``
    fixed_size  width and height of the input [px]; None: multiples of ``patch``
    """

    graph: NetworkGraph = field(kw_only=True)
    output: OutputKind = field(kw_only=True)
    mean: Triple = field(kw_only=True)
    std: Triple = field(kw_only=True)
    channels: str = field(kw_only=True)
    canonical_focal_px: float = field(kw_only=True)
    fixed_size: tuple[int, int] | None = field(kw_only=True)

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
    values = _parse_entries(name, entries)
    file = (folder / values['file']).absolute()
    graph = _cached_graph(file, values.get('output_name'), _version(file))
    output, white = values['output'], values.get('white', 1.0)
    if (output is OutputKind.CANONICAL) != ('canonical_focal_px' in values):
        raise ConfigError(
            f'the card {name} has the output {output.value!r}: canonical_focal_px belongs to '
            f'{OutputKind.CANONICAL.value!r}, and to no other'
        )
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
    )


def _parse_entries(name: str, entries: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parsed entries; raise ConfigError where one is unknown, missing or wrong."""
    unknown = [str(key) for key in entries if key not in ENTRIES]
    if unknown:
        raise ConfigError(
            f'the card {name} has the unknown entry {unknown[0]!r}: known are {", ".join(ENTRIES)}'
        )
    missing = [key for key in REQUIRED if entries.get(key) is None]
    if missing:
        raise ConfigError(f'the card {name} lacks {", ".join(missing)}')
    return {key: _parse(name, key, value) for key, value in entries.items()}


def _size(
    name: str, values: Mapping[str, Any], graph: NetworkGraph
) -> tuple[tuple[int, int] | None, int]:
    """Return the fixed size of the input, or None, and the multiple of its sides."""
    size, multiple = values.get('size'), values.get('multiple')
    if graph.width and graph.height:
        fixed = graph.width, graph.height
        if multiple or size not in (None, fixed):
            raise ConfigError(
                f'the card {name} contradicts its network, whose input is '
                f'{fixed[0]}x{fixed[1]}: leave size and multiple out'
            )
        return fixed, 1
    if (size is None) == (multiple is None):
        raise ConfigError(
            f'the card {name} needs either size (such as 518x392) or multiple (such as 14): the '
            'size of its network is chosen at run time'
        )
    return size, multiple or 1


def _version(file: Path) -> tuple[int, int]:
    """Return time and size of a file, to notice that it has changed."""
    if not file.is_file():
        return 0, 0
    status = file.stat()
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=16)
def _cached_graph(file: Path, output: str | None, _: tuple[int, int]) -> NetworkGraph:
    return read_network_graph(file, output)


def _shares(values: Triple, white: float) -> Triple:
    red, green, blue = values
    return red / white, green / white, blue / white


def _parse(name: str, key: str, value: Any) -> Any:
    """Return the value of an entry; raise ConfigError naming what it should be."""
    parse, expected = ENTRIES[key]
    try:
        return parse(value)
    except (TypeError, ValueError) as error:
        raise ConfigError(f'the card {name}: {key} is {value!r}; give {expected}') from error


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError
    return value.strip()


def _triple(value: Any) -> Triple:
    red, green, blue = (_number(each) for each in value)
    return red, green, blue


def _positive_triple(value: Any) -> Triple:
    triple = _triple(value)
    if min(triple) <= 0:
        raise ValueError
    return triple


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e9:
        raise ValueError
    return float(value)


def _positive(value: Any) -> float:
    if not _number(value) > 0:
        raise ValueError
    return float(value)


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError
    return value


def _parse_size(value: Any) -> tuple[int, int]:
    match = re.fullmatch(r'([1-9]\d{0,4})x([1-9]\d{0,4})', _text(value))
    if not match:
        raise ValueError
    return int(match[1]), int(match[2])


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _colours(value: Any) -> str:
    if value not in ('rgb', 'bgr'):
        raise ValueError
    return str(value)


def _sha256(value: Any) -> str:
    if not re.fullmatch('[0-9a-f]{64}', _text(value)):
        raise ValueError
    return _text(value)


ENTRIES: dict[str, tuple[Callable[[Any], Any], str]] = {
    'file': (_text, 'the ONNX file, relative to the card'),
    'output': (OutputKind, 'one of ' + ', '.join(kind.value for kind in OutputKind)),
    'licence': (_text, 'the SPDX identifier of the licence of the weights, or unknown'),
    'size': (_parse_size, 'width and height of the input, such as 518x392'),
    'multiple': (_count, 'a whole number of pixels of which both sides are multiples'),
    'max_pixels': (_count, 'the largest number of pixels of the input'),
    'white': (_positive, 'the value of white before normalisation, such as 1 or 255'),
    'mean': (_triple, 'three numbers, of red, green and blue'),
    'std': (_positive_triple, 'three numbers above 0, of red, green and blue'),
    'colours': (_colours, 'rgb or bgr, the order of the channels'),
    'output_name': (_text, 'the name of the output with the depth'),
    'canonical_focal_px': (_positive, 'the focal length of the canonical camera in pixels'),
    'soft_edges': (_flag, 'true if its edges are blurred, so that the guided filter is on'),
    'network': (_text, 'a description of the network'),
    'url': (_text, 'where the authors publish it'),
    'sha256': (_sha256, 'the SHA-256 of the file, 64 hexadecimal digits'),
    'taught_by': (_text, 'the networks that it was trained with, and their licences'),
}
"""Entries of a card: parser, and what to give."""

REQUIRED = ('file', 'output', 'licence')
