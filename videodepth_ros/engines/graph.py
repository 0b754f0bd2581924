# SPDX-License-Identifier: Apache-2.0
"""File format of exported graphs: tensor names and metadata. Free of torch and of ONNX."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, astuple, dataclass, fields

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.core.errors import ModelError

GRAPH_SCHEMA = 1
"""Version of the graph: tensors, meaning, metadata; other versions are exported anew."""

FUSED_SCHEMA = 104
"""Version of the fused step: tensors, meaning, metadata; distinct from ``GRAPH_SCHEMA``."""

IMAGE, STATE_IN = 'image', 'state_in'
INVERSE_DEPTH, STATE_OUT = 'inverse_depth', 'state_out'

PARAMETERS = 'parameters'
DEPTH, CLOUD, TOTAL = 'depth', 'cloud', 'total'
FUSED_INPUTS = (IMAGE, STATE_IN, PARAMETERS)
FUSED_OUTPUTS = (INVERSE_DEPTH, DEPTH, CLOUD, TOTAL, STATE_OUT)
"""Tensors of a fused step, in the order of ``FusedStep.forward``."""

_PREFIX = 'videodepth.'


Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Layout:
    """Sizes and channel order that a fused step is made for.

    camera_width, camera_height  of the input image [px]
    width, height                of the network and of all outputs [px]
    channels                     order of the image's channels: ``rgb`` or ``bgr``
    """

    camera_width: int
    camera_height: int
    width: int
    height: int
    channels: str = 'rgb'


@dataclass(frozen=True)
class FrameParameters:
    """Per-frame parameters of a fused step.

    fx, fy, cx, cy  intrinsics at the network's size [px], for the cloud
    scale, shift    1 / Z [1/m] = ``scale * inverse_depth + shift``
    max_range_m     depth beyond which nothing was hit [m]
    cloud_range_m   largest Z of a point of the cloud [m]
    edge_ratio      ratio of neighbouring inverse depths above which they are two surfaces; 1:
                    never
    """

    fx: float
    fy: float
    cx: float
    cy: float
    scale: float = 0.01
    shift: float = 0.0
    max_range_m: float = math.inf
    cloud_range_m: float = math.inf
    edge_ratio: float = 1.0

    def values(self) -> NDArray[np.float32]:
        """Return the tensor ``parameters``, (PARAMETER_COUNT) float32, finite, in field order."""
        return np.minimum(np.array(astuple(self)), np.finfo(np.float32).max).astype(np.float32)


PARAMETER_COUNT = len(fields(FrameParameters))


@dataclass(frozen=True)
class Origin:
    """Origin of the weights of a graph.

    model           name in the catalogue
    unit            of the inverse depth: a value of ``InverseDepthUnit``
    licence         of the weights
    weights_sha256  of the checkpoint
    """

    model: str = 'unnamed'
    unit: str = 'unknown'
    licence: str = 'unknown'
    weights_sha256: str = 'unknown'


UNKNOWN_ORIGIN = Origin()


@dataclass(frozen=True)
class GraphMetadata:
    """Metadata of an exported graph.

    The input is ``(rgb / 255 - mean) / std``, (1, 3, height, width), channels red green blue.
    """

    origin: Origin
    precision: str
    width: int
    height: int
    mean: Triple
    std: Triple

    def to_metadata(self) -> dict[str, str]:
        """Return the entries of the file's metadata (``metadata_props`` in ONNX)."""
        entries = {
            **asdict(self.origin),
            'precision': self.precision,
            'width': str(self.width),
            'height': str(self.height),
            'mean': ' '.join(map(str, self.mean)),
            'std': ' '.join(map(str, self.std)),
            'schema': str(GRAPH_SCHEMA),
        }
        return {_PREFIX + name: text for name, text in entries.items()}


@dataclass(frozen=True)
class FusedMetadata:
    """Metadata of a fused step."""

    origin: Origin
    precision: str
    layout: Layout

    def to_metadata(self) -> dict[str, str]:
        """Return the entries of the file's metadata."""
        entries = {
            **asdict(self.origin),
            **asdict(self.layout),
            'precision': self.precision,
            'schema': str(FUSED_SCHEMA),
        }
        return {_PREFIX + name: str(value) for name, value in entries.items()}


def parse_graph_metadata(metadata: Mapping[str, str], file_name: str) -> GraphMetadata:
    """Parse what ``to_metadata`` wrote.

    raises  ModelError if the file was not exported by this package, or under another schema
    """
    entries = {key.removeprefix(_PREFIX): text for key, text in metadata.items()}
    if entries.get('schema') != str(GRAPH_SCHEMA):
        raise ModelError(
            f'{file_name} has graph schema {entries.get("schema", "none")}, not '
            f'{GRAPH_SCHEMA}; export it again with `videodepth export`'
        )
    try:
        origin = Origin(**{field.name: entries[field.name] for field in fields(Origin)})
        return GraphMetadata(
            origin,
            entries['precision'],
            int(entries['width']),
            int(entries['height']),
            _triple(entries['mean']),
            _triple(entries['std']),
        )
    except (KeyError, ValueError) as error:
        raise ModelError(
            f'{file_name} lacks part of its description ({error!r}); export it '
            'again with `videodepth export`'
        ) from error


def _triple(text: str) -> Triple:
    red, green, blue = map(float, text.split())
    return red, green, blue
