# SPDX-License-Identifier: Apache-2.0
"""Input and output of a single-image network in ONNX, read from the file without running it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError

from videodepth_ros.core.errors import ModelError

Shape = tuple[int | None, ...]
"""Sizes of a tensor; None: chosen at run time."""

IMAGE_TYPES = {onnx.TensorProto.FLOAT: 'float32', onnx.TensorProto.FLOAT16: 'float16'}
"""Types of the input, by numpy's name."""

RGB_CHANNELS = 3


@dataclass(frozen=True)
class NetworkGraph:
    """Input and output of a network of one image and one map.

    image       name of the input
    rank        number of its dimensions: (3, H, W) after dimensions of 1
    dtype       of the input, as numpy names it
    width, height  of the input [px]; None: chosen at run time
    output      name of the output
    metadata    of the file
    """

    image: str
    rank: int
    dtype: str
    width: int | None
    height: int | None
    output: str
    metadata: dict[str, str] = field(default_factory=dict, compare=False)


def read_network_graph(path: Path, output: str | None = None) -> NetworkGraph:
    """Return input and output of the network in a file.

    output  name of the output with the map; None: the only one
    raises  ModelError where the file is not ONNX, its weights are missing, or its tensors are not
            those of a network of one image and one map
    """
    graph = _load(path)
    constants = {tensor.name for tensor in graph.graph.initializer}
    inputs = [value for value in graph.graph.input if value.name not in constants]
    if len(inputs) != 1:
        names = ', '.join(value.name for value in inputs) or 'none'
        raise ModelError(
            f'{path} has {len(inputs)} inputs ({names}): export it with the image as its only '
            'input'
        )
    image, found = inputs[0], _output(path, graph.graph.output, output)
    shape = _image_shape(path, image)
    return NetworkGraph(
        image.name,
        len(shape),
        IMAGE_TYPES[image.type.tensor_type.elem_type],
        shape[-1],
        shape[-2],
        found.name,
        {entry.key: entry.value for entry in graph.metadata_props},
    )


def _load(path: Path) -> Any:
    """Return the graph without its external weights, which must be there."""
    try:
        graph = onnx.load_model(path, format='protobuf', load_external_data=False)
    except FileNotFoundError as error:
        raise ModelError(f'{path} does not exist: correct the path, or copy the file') from error
    except (DecodeError, OSError, ValueError, RuntimeError) as error:
        raise ModelError(
            f'{path} is not an ONNX file ({error}): export the network with torch.onnx.export'
        ) from error
    if not graph.graph.node:
        raise ModelError(
            f'{path} is not an ONNX file (no graph): export the network with torch.onnx.export'
        )
    for tensor in graph.graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            _check_external(path, {entry.key: entry.value for entry in tensor.external_data})
    return graph


def _check_external(path: Path, entry: dict[str, str]) -> None:
    """Raise ModelError unless the external data of a tensor is beside the graph."""
    file = path.parent / entry.get('location', '')
    needed = int(entry.get('offset', 0)) + int(entry.get('length', 0))
    if not file.is_file():
        raise ModelError(f'{path} needs its weights in {file}, which is missing: copy both files')
    if file.stat().st_size < needed:
        raise ModelError(
            f'{file} has {file.stat().st_size} bytes where {path.name} needs {needed}: it is cut '
            'off or of another export; copy both files again'
        )


def _image_shape(path: Path, image: Any) -> Shape:
    """Return the shape of an image tensor: dimensions of 1, then (3, H, W)."""
    tensor = image.type.tensor_type
    shape = _shape(tensor)
    text = shape_text(shape)
    if tensor.elem_type not in IMAGE_TYPES:
        kind = onnx.TensorProto.DataType.Name(tensor.elem_type).lower()
        raise ModelError(
            f'{path}: its input {image.name} is {kind} of {text}, not an image of float32 or '
            'float16'
        )
    if len(shape) < 3 or any(size not in (1, None) for size in shape[:-3]):
        raise ModelError(
            f'{path}: its input {image.name} of {text} is not one image; export it as '
            '(1, 3, height, width)'
        )
    if shape[-3] not in (RGB_CHANNELS, None):
        layout = 'channels last' if shape[-1] == RGB_CHANNELS else f'{shape[-3]} channels'
        raise ModelError(
            f'{path}: its input {image.name} of {text} has {layout}; export it as '
            '(1, 3, height, width)'
        )
    return shape


def _output(path: Path, outputs: Sequence[Any], name: str | None) -> Any:
    """Return the output of that name, or the only one; its shape must be that of a map."""
    names = ', '.join(value.name for value in outputs)
    chosen = [value for value in outputs if name in (None, value.name)]
    if not chosen:
        raise ModelError(f'{path} has no output {name!r}: choose one of {names}')
    if len(chosen) > 1:
        raise ModelError(f'{path} has several outputs: name that of the depth, one of {names}')
    shape = _shape(chosen[0].type.tensor_type)
    if shape and not _is_map(shape):
        raise ModelError(
            f'{path}: its output {chosen[0].name} of {shape_text(shape)} is not a map; give the '
            f'output with one value for each pixel, of {names}'
        )
    return chosen[0]


def _is_map(shape: Shape) -> bool:
    """Return whether a shape may be that of a map (H, W) beside dimensions of 1."""
    sizes = shape[:-1] if len(shape) == 4 and shape[-1] == 1 else shape
    leading, last = sizes[:-2], sizes[-2:]
    return len(last) == 2 and 1 not in last and all(size in (1, None) for size in leading)


def _shape(tensor: Any) -> Shape:
    return tuple(size.dim_value or None for size in tensor.shape.dim)


def shape_text(shape: Shape) -> str:
    """Return a shape as text; ``?``: chosen at run time."""
    return f'({", ".join("?" if size is None else str(size) for size in shape)})'
