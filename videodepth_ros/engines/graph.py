# SPDX-License-Identifier: Apache-2.0
"""The exported graph as a file format: names of its tensors and what it says about itself.

Free of torch and of ONNX, for whoever runs a graph needs neither to read its description.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from videodepth_ros.errors import ModelError

GRAPH_SCHEMA = 1
"""Version of what stands below; a graph of another one is exported anew."""

IMAGE, STATE_IN = 'image', 'state_in'
INVERSE_DEPTH, STATE_OUT = 'inverse_depth', 'state_out'

_PREFIX = 'videodepth.'


Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Origin:
    """Whose weights a graph holds.

    model           name in the catalogue
    unit            what an inverse depth of 1 means: a value of ``InverseDepthUnit``
    licence         of the weights
    weights_sha256  of the checkpoint
    """

    model: str = 'unnamed'
    unit: str = 'unknown'
    licence: str = 'unknown'
    weights_sha256: str = 'unknown'


ANONYMOUS = Origin()


@dataclass(frozen=True)
class GraphFacts:
    """What an exported file tells a reader who has nothing but the file.

    The input is ``(rgb / 255 - mean) / std``, (1, 3, height, width), channels red green blue.
    """

    origin: Origin
    precision: str
    width: int
    height: int
    mean: Triple
    std: Triple

    def to_metadata(self) -> dict[str, str]:
        """Return the entries for the file's metadata (``metadata_props`` in ONNX)."""
        entries = {
            **asdict(self.origin), 'precision': self.precision, 'width': str(self.width),
            'height': str(self.height), 'mean': ' '.join(map(str, self.mean)),
            'std': ' '.join(map(str, self.std)), 'schema': str(GRAPH_SCHEMA)}
        return {_PREFIX + name: text for name, text in entries.items()}


def facts_from_metadata(metadata: Mapping[str, str], file_name: str) -> GraphFacts:
    """Read back what ``to_metadata`` wrote.

    raises  ModelError if the file was not exported by this package, or under another schema
    """
    entries = {key.removeprefix(_PREFIX): text for key, text in metadata.items()}
    if entries.get('schema') != str(GRAPH_SCHEMA):
        raise ModelError(f'{file_name} has graph schema {entries.get("schema", "none")}, not '
                         f'{GRAPH_SCHEMA}; export it again with `videodepth export`')
    try:
        origin = Origin(**{field.name: entries[field.name] for field in fields(Origin)})
        return GraphFacts(origin, entries['precision'], int(entries['width']),
                          int(entries['height']), _triple(entries['mean']),
                          _triple(entries['std']))
    except (KeyError, ValueError) as error:
        raise ModelError(f'{file_name} lacks part of its description ({error!r}); export it '
                         'again with `videodepth export`') from error


def _triple(text: str) -> Triple:
    red, green, blue = map(float, text.split())
    return red, green, blue
