# SPDX-License-Identifier: Apache-2.0
"""The exported graph as a file format: names of its tensors and what it says about itself.

Free of torch and of ONNX, for whoever runs a graph needs neither to read its description.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, astuple, dataclass, fields

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.core.errors import ModelError

GRAPH_SCHEMA = 1
"""Version of what stands below; a graph of another one is exported anew."""

FUSED_SCHEMA = 102
"""Version of a fused step: tensors, their meaning, metadata; never one of ``GRAPH_SCHEMA``."""

IMAGE, STATE_IN = 'image', 'state_in'
INVERSE_DEPTH, STATE_OUT = 'inverse_depth', 'state_out'

PARAMETERS = 'view'
DEPTH, CONFIDENCE, CLOUD, TOTAL = 'depth', 'confidence', 'cloud', 'total'
FUSED_INPUTS = (IMAGE, STATE_IN, PARAMETERS)
FUSED_OUTPUTS = (INVERSE_DEPTH, DEPTH, CONFIDENCE, CLOUD, TOTAL, STATE_OUT)
"""Tensors of a fused step, in the order of ``FusedStep.forward``, which describes them."""

_PREFIX = 'videodepth.'


Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Layout:
    """The sizes and the order of bytes that a fused step is made for.

    camera_width, camera_height  of the image that goes in
    width, height                of the network, and of everything that comes out
    channels                     order of the image's bytes: ``rgb`` or ``bgr``
    """

    camera_width: int
    camera_height: int
    width: int
    height: int
    channels: str = 'rgb'


@dataclass(frozen=True)
class FrameParameters:
    """What a fused step is told with each image.

    fx, fy, cx, cy  intrinsics in pixels at the network's size, for the cloud
    scale, shift    1 / Z in 1/m is ``scale * inverse_depth + shift``
    max_range_m     beyond this Z nothing was hit
    cloud_range_m   points with a greater Z are left out of the cloud
    edge_ratio      neighbouring inverse depths of a greater ratio are two surfaces; 1: none are
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
        """Return the tensor ``view``, (VIEW_SIZE) float32, finite, in the order of the fields."""
        return np.minimum(np.array(astuple(self)), np.finfo(np.float32).max).astype(np.float32)


PARAMETER_COUNT = len(fields(FrameParameters))


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


UNKNOWN_ORIGIN = Origin()


@dataclass(frozen=True)
class GraphMetadata:
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
    """What the file of a fused step tells a reader who has nothing but the file."""

    origin: Origin
    precision: str
    layout: Layout

    def to_metadata(self) -> dict[str, str]:
        """Return the entries for the file's metadata."""
        entries = {
            **asdict(self.origin),
            **asdict(self.layout),
            'precision': self.precision,
            'schema': str(FUSED_SCHEMA),
        }
        return {_PREFIX + name: str(value) for name, value in entries.items()}


def parse_graph_metadata(metadata: Mapping[str, str], file_name: str) -> GraphMetadata:
    """Read back what ``to_metadata`` wrote.

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
