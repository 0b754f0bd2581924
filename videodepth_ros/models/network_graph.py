# SPDX-License-Identifier: Apache-2.0
"""Input and output of a single-image network in ONNX, read from the file without running it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from videodepth_ros.core.errors import ModelError

Shape = tuple[int | None, ...]
"""Sizes of a tensor; None: chosen at run time."""

IMAGE_TYPES = {onnx.TensorProto.FLOAT: 'float32', onnx.TensorProto.FLOAT16: 'float16'}
"""Types of the input, by numpy's name."""

RGB_CHANNELS = 3

DOMAINS = ('', 'ai.onnx', 'ai.onnx.ml', 'com.microsoft')
"""Domains of operators that ONNX Runtime has."""


@dataclass(frozen=True)
class TensorNames:
    """Names of tensors that a card gives; of alternatives the first one that the file has counts.

    output     of the output with the map; empty: the only one
    scale      of the output with the factor to metres; empty: there is none
    hit        of the output that is thresholded for what is hit; empty: there is none
    constants  value of each input but the image
    is_points  the output is a point map (H, W, 3)
    """

    output: tuple[str, ...] = ()
    scale: tuple[str, ...] = ()
    hit: tuple[str, ...] = ()
    constants: tuple[tuple[str, float], ...] = ()
    is_points: bool = False


@dataclass(frozen=True)
class NetworkGraph:
    """Inputs and outputs of a network of one image and one map.

    image       name of the input
    rank        number of its dimensions: (3, H, W) after dimensions of 1
    dtype       of the input, as numpy names it
    width, height  of the input [px]; None: chosen at run time
    output      name of the output with the map
    scale, hit  names of further outputs, see ``TensorNames``; None: there are none
    constants   values of the other inputs by name
    metadata    of the file
    """

    image: str
    rank: int
    dtype: str
    width: int | None
    height: int | None
    output: str
    scale: str | None = None
    hit: str | None = None
    constants: Mapping[str, NDArray[Any]] = field(default_factory=dict, compare=False)
    metadata: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs to compute."""
        return tuple(name for name in (self.output, self.scale, self.hit) if name)


def read_network_graph(path: Path, names: TensorNames = TensorNames()) -> NetworkGraph:
    """Return inputs and outputs of the network in a file.

    raises  ModelError where the file is not ONNX, its weights are missing, no runtime has its
            operators, or its tensors are not those of a network of one image and one map
    """
    model = _load(path)
    graph = model.graph
    image, constants = _inputs(path, graph, dict(names.constants))
    shape = _image_shape(path, image)
    found = _output(path, graph.output, names)
    scale, hit = (_named(path, graph.output, each) for each in (names.scale, names.hit))
    return NetworkGraph(
        image.name,
        len(shape),
        IMAGE_TYPES[image.type.tensor_type.elem_type],
        shape[-1],
        shape[-2],
        found.name,
        scale.name if scale else None,
        hit.name if hit else None,
        constants,
        {entry.key: entry.value for entry in model.metadata_props},
    )


def _inputs(
    path: Path, graph: Any, values: Mapping[str, float]
) -> tuple[Any, dict[str, NDArray[Any]]]:
    """Return the input of the image, and an array for each other one, from the values."""
    weights = {tensor.name for tensor in graph.initializer}
    inputs = {value.name: value for value in graph.input if value.name not in weights}
    if unknown := [name for name in values if name not in inputs]:
        raise ModelError(
            f'{path} has no input {unknown[0]!r} for the entry constants: it has '
            f'{", ".join(inputs)}'
        )
    images = [value for name, value in inputs.items() if name not in values]
    if len(images) != 1:
        raise ModelError(
            f'{path} has {len(inputs)} inputs ({", ".join(inputs) or "none"}): give each but the '
            'image a number in the entry constants, or export it with the image alone'
        )
    return images[0], {name: _constant(inputs[name], value) for name, value in values.items()}


def _constant(tensor: Any, value: float) -> NDArray[Any]:
    """Return a number as an array of the type and rank of an input."""
    kind = tensor.type.tensor_type
    dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
    return np.full((1,) * len(kind.shape.dim), value, dtype)


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
    _check_operators(path, graph)
    for tensor in graph.graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            _check_external(path, {entry.key: entry.value for entry in tensor.external_data})
    return graph


def _check_operators(path: Path, model: Any) -> None:
    """Raise ModelError where a runtime needs a plugin for an operator of the graph."""
    functions = {(each.domain, each.name) for each in model.functions}
    foreign = {
        f'{node.domain}::{node.op_type}'
        for node in model.graph.node
        if node.domain not in DOMAINS and (node.domain, node.op_type) not in functions
    }
    if foreign:
        raise ModelError(
            f'{path} has the operator {", ".join(sorted(foreign))}, which neither ONNX Runtime '
            'nor OpenVINO has: export the network with operators of ONNX alone'
        )


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


def _named(path: Path, outputs: Sequence[Any], names: Iterable[str]) -> Any | None:
    """Return the output with the first of the names that is there; None without names."""
    by_name = {value.name: value for value in outputs}
    found = [by_name[name] for name in names if name in by_name]
    if names and not found:
        wanted = ' or '.join(repr(name) for name in names)
        raise ModelError(f'{path} has no output {wanted}: choose one of {", ".join(by_name)}')
    return found[0] if found else None


def _output(path: Path, outputs: Sequence[Any], names: TensorNames) -> Any:
    """Return the named output, or the only one; its shape must be that of a map."""
    known = ', '.join(value.name for value in outputs)
    chosen = _named(path, outputs, names.output)
    if chosen is None and len(outputs) > 1:
        raise ModelError(f'{path} has several outputs: name that of the depth, one of {known}')
    chosen = chosen or outputs[0]
    shape, is_valid = _shape(chosen.type.tensor_type), _is_points if names.is_points else _is_map
    if shape and not is_valid(shape):
        what = 'a map of points (height, width, 3)' if names.is_points else 'a map'
        raise ModelError(
            f'{path}: its output {chosen.name} of {shape_text(shape)} is not {what}; '
            f'give another one of {known}'
        )
    return chosen


def _is_points(shape: Shape) -> bool:
    """Return whether a shape may be that of a point map (H, W, 3) behind dimensions of 1."""
    return len(shape) >= 3 and shape[-1] in (3, None) and _is_map(shape[:-1])


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
