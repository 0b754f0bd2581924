# SPDX-License-Identifier: Apache-2.0
"""Export a model as an ONNX graph of static shapes and plain operators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import onnx_ir as ir
import torch
from torch import Tensor, nn

from videodepth_ros.core.errors import ModelError
from videodepth_ros.engines.fused import FusedStep
from videodepth_ros.engines.graph import (
    FUSED_INPUTS,
    FUSED_OUTPUTS,
    IMAGE,
    INVERSE_DEPTH,
    STATE_IN,
    STATE_OUT,
    UNKNOWN_ORIGIN,
    FrameParameters,
    FusedMetadata,
    GraphMetadata,
    Layout,
    Origin,
)
from videodepth_ros.engines.lowering import PRECISIONS, lower_network
from videodepth_ros.models.flashdepth import FlashDepth
from videodepth_ros.models.imagenet import MEAN, STD

OPSET = 20
"""Newest opset that TensorRT 10.3 supports: from 23 on attention is one operator."""

UNSUPPORTED_OPERATORS = frozenset(
    {
        'CumSum',
        'If',
        'Loop',
        'Scan',  # unsupported or slow
        'NonZero',
        'Range',
        'Shape',
        'Size',
        'Unique',  # imply shapes computed at run time
    }
)


def export_onnx(
    model: FlashDepth, path: Path, width: int, height: int, origin: Origin = UNKNOWN_ORIGIN
) -> None:
    """Export one streaming step of ``model``.

    Inputs ``image`` (1, 3, height, width) and ``state_in`` (layers, 1, heads, P, N), outputs
    ``inverse_depth`` (1, height, width) and ``state_out``, all float32. The weights are inline;
    the metadata are those of ``graph.GraphMetadata``.

    raises  ModelError if the exporter wrote operators or shapes that engines do not support
    """
    example = (torch.zeros(1, 3, height, width), model.zero_state())
    facts = GraphMetadata(origin, 'fp32', width, height, MEAN, STD)
    _export(
        model.eval(),
        example,
        (IMAGE, STATE_IN),
        (INVERSE_DEPTH, STATE_OUT),
        path,
        facts.to_metadata(),
    )


def export_fused(
    model: FlashDepth, path: Path, layout: Layout, precision: str, origin: Origin = UNKNOWN_ORIGIN
) -> None:
    """Export one step from the camera's image to depth and cloud, see fused.py.

    precision  ``fp32`` or ``fp16``, per operator as in lowering.py
    raises     ModelError if the exporter wrote operators or shapes that engines do not support
    """
    network = lower_network(model, layout.width, layout.height, PRECISIONS[precision])
    example = (
        torch.zeros(layout.camera_height, layout.camera_width, 3, dtype=torch.uint8),
        network.zero_state(),
        torch.from_numpy(FrameParameters(1, 1, 0, 0).values()),
    )
    _export(
        FusedStep(network, layout).eval(),
        example,
        FUSED_INPUTS,
        FUSED_OUTPUTS,
        path,
        FusedMetadata(origin, precision, layout).to_metadata(),
        {torch.ops.aten.scaled_dot_product_attention.default: _attention},
    )


def _attention(query: Any, key: Any, value: Any, *_: Any, scale: float = 1.0, **__: Any) -> Any:
    """Write attention as the three operators that engines fuse into one kernel.

    The exporter's own translation reshapes the keys in between. Lowered networks have a scale of
    one.
    """
    from onnxscript import opset20 as op

    if scale != 1:
        raise ValueError(f'attention has a scale of {scale}: the network is not lowered')
    weights = op.Softmax(op.MatMul(query, op.Transpose(key, perm=[0, 1, 3, 2])), axis=-1)
    return op.MatMul(weights, value)


def _export(
    module: nn.Module,
    example: tuple[Tensor, ...],
    inputs: Sequence[str],
    outputs: Sequence[str],
    path: Path,
    metadata: dict[str, str],
    translations: dict[Callable[..., Any], Callable[..., Any]] | None = None,
) -> None:
    with torch.no_grad():
        program = torch.onnx.export(
            module,
            example,
            dynamo=True,
            opset_version=OPSET,
            verbose=False,
            input_names=inputs,
            output_names=outputs,
            custom_translation_table=translations,
        )
    assert program is not None  # None is for the TorchScript exporter
    flaws = graph_flaws(program.model)
    if flaws:
        raise ModelError(
            f'the ONNX exporter of torch {torch.__version__} wrote {flaws[0]} '
            f'({len(flaws)} flaws in all); install the versions in requirements/'
        )
    program.model.metadata_props.update(metadata)
    program.save(path, external_data=False)


def graph_flaws(graph: ir.Model) -> list[str]:
    """List operators and shapes that engines do not support or run slowly."""
    flaws = [
        f'operator {node.op_type} ({node.name})'
        for node in graph.graph
        if node.op_type in UNSUPPORTED_OPERATORS or node.domain not in ('', 'ai.onnx')
    ]
    for node in graph.graph:
        if node.op_type == 'Resize' and any(
            size is not None and size.const_value is None for size in node.inputs[1:]
        ):
            flaws.append(f'a Resize to a computed size ({node.name})')
        flaws += [
            f'the shape {value.shape} of {value.name}'
            for value in node.outputs
            if value.shape is None or not value.shape.is_static()
        ]
    return flaws
