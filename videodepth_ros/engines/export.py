# SPDX-License-Identifier: Apache-2.0
"""Write a model as an ONNX graph that any runtime can take: static shapes, plain operators."""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir
import torch

from videodepth_ros.engines.graph import (
    ANONYMOUS,
    IMAGE,
    INVERSE_DEPTH,
    STATE_IN,
    STATE_OUT,
    GraphFacts,
    Origin,
)
from videodepth_ros.errors import ModelError
from videodepth_ros.models.flashdepth import FlashDepth
from videodepth_ros.models.preprocess import MEAN, STD

OPSET = 20
"""The newest that TensorRT 10.3 takes whole: from 23 on attention is one operator."""

UNWELCOME = frozenset({
    'CumSum', 'If', 'Loop', 'Scan',                # missing from engines, or slow in them
    'NonZero', 'Range', 'Shape', 'Size', 'Unique'  # signs of shapes that are computed at run time
})


def export_onnx(model: FlashDepth, path: Path, width: int, height: int,
                origin: Origin = ANONYMOUS) -> None:
    """Write one streaming step of ``model`` as a graph.

    Inputs ``image`` (1, 3, height, width) and ``state_in`` (layers, 1, heads, P, N), outputs
    ``inverse_depth`` (1, height, width) and ``state_out``, all float32. Weights stand in the file,
    and its metadata say what ``graph.GraphFacts`` lists.

    raises  ModelError if the exporter wrote something that engines do not take
    """
    example = (torch.zeros(1, 3, height, width), model.zero_state())
    with torch.no_grad():
        program = torch.onnx.export(
            model.eval(), example, dynamo=True, opset_version=OPSET, verbose=False,
            input_names=[IMAGE, STATE_IN], output_names=[INVERSE_DEPTH, STATE_OUT])
    assert program is not None  # it is for the exporter of old, which writes the file itself
    flaws = graph_flaws(program.model)
    if flaws:
        raise ModelError(f'the ONNX exporter of torch {torch.__version__} wrote {flaws[0]} '
                         f'({len(flaws)} flaws in all); install the versions in requirements/')
    facts = GraphFacts(origin, 'fp32', width, height, MEAN, STD)
    program.model.metadata_props.update(facts.to_metadata())
    program.save(path, external_data=False)


def graph_flaws(graph: ir.Model) -> list[str]:
    """Say what in a graph would fail or crawl in an engine, in words; empty if nothing."""
    flaws = [f'operator {node.op_type} ({node.name})' for node in graph.graph
             if node.op_type in UNWELCOME or node.domain not in ('', 'ai.onnx')]
    for node in graph.graph:
        if node.op_type == 'Resize' and any(size is not None and size.const_value is None
                                            for size in node.inputs[1:]):
            flaws.append(f'a Resize to a computed size ({node.name})')
        flaws += [f'the shape {value.shape} of {value.name}' for value in node.outputs
                  if value.shape is None or not value.shape.is_static()]
    return flaws
