# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from types import SimpleNamespace

import onnx
import onnx_ir as ir
import pytest
import torch

from test.support.random_network import random_model
from test.support.tiny_networks import VARIANTS
from videodepth_ros.core.errors import ModelError
from videodepth_ros.engines.check import DEFAULTS, rollout_difference
from videodepth_ros.engines.export import OPSET, UNSUPPORTED_OPERATORS, export_onnx, graph_flaws
from videodepth_ros.engines.graph import parse_graph_metadata
from videodepth_ros.engines.onnx_engine import OnnxEngine
from videodepth_ros.engines.torch_engine import TorchEngine

pytestmark = pytest.mark.slow

EVERY = pytest.mark.parametrize('name', VARIANTS)


@EVERY
def test_graph_computes_what_torch_computes_over_ten_frames(exported, name):
    """2e-4: sums in another order give 1e-5, a forgotten state or another resize above 5e-2."""
    it = exported(name)
    reference = TorchEngine(it.model, name, it.width, it.height)
    difference = rollout_difference(OnnxEngine(it.path, threads=1), reference, frames=10)
    assert difference.inverse_depth <= DEFAULTS.max_relative_error
    assert difference.state <= DEFAULTS.max_relative_error


@EVERY
def test_state_matters(exported, name):
    """Without this the rollout above would pass with a state that nothing reads."""
    it = exported(name)
    engine = OnnxEngine(it.path, threads=1)
    image = torch.randn(3, it.height, it.width, generator=torch.manual_seed(0)).numpy()
    first, state = engine.step(image, engine.zero_state())
    second, _ = engine.step(image, state)
    assert abs(first - second).max() > 10 * DEFAULTS.max_relative_error * abs(first).max()


@EVERY
def test_graph_is_plain_and_static(exported, name):
    graph = onnx.load(exported(name).path)
    onnx.checker.check_model(graph, full_check=True)
    (opset,) = graph.opset_import
    assert (opset.domain, opset.version) == ('', OPSET)
    assert not {node.op_type for node in graph.graph.node} & (
        UNSUPPORTED_OPERATORS | {'Attention'}
    )
    assert graph_flaws(ir.from_proto(graph)) == []


def test_tensors_have_the_names_and_shapes_that_runtimes_bind(exported):
    it = exported('tiny-s')
    graph = ir.load(it.path).graph
    shapes = {value.name: tuple(value.shape) for value in (*graph.inputs, *graph.outputs)}
    state = tuple(it.model.zero_state().shape)
    assert shapes == {
        'image': (1, 3, it.height, it.width),
        'state_in': state,
        'inverse_depth': (1, it.height, it.width),
        'state_out': state,
    }


def test_file_describes_itself(exported):
    it = exported('nano')
    entries = {entry.key: entry.value for entry in onnx.load(it.path).metadata_props}
    facts = parse_graph_metadata(entries, 'graph')
    assert (facts.width, facts.height, facts.precision) == (it.width, it.height, 'fp32')
    assert facts.origin.model == 'nano'
    assert facts.origin.weights_sha256 == 'abc'
    assert facts.mean[0] == 0.485


def toy(node: ir.Node) -> ir.Model:
    return ir.Model(
        ir.Graph([], node.outputs, nodes=[node], opset_imports={'': OPSET}), ir_version=10
    )


def output(*shape: int | str) -> ir.Value:
    return ir.Value(name='y', shape=ir.Shape(shape), type=ir.TensorType(ir.DataType.FLOAT))


@pytest.mark.parametrize(
    ('node', 'flaw'),
    [
        (ir.node('CumSum', [], outputs=[output(1)]), 'CumSum'),
        (ir.node('Gelu', [], domain='com.microsoft', outputs=[output(1)]), 'Gelu'),
        (ir.node('Relu', [], outputs=[output(1, 'height')]), 'the shape'),
        (
            ir.node(
                'Resize', [output(1), None, None, ir.Value(name='sizes')], outputs=[output(1)]
            ),
            'Resize to a computed size',
        ),
    ],
)
def test_what_engines_do_not_take_is_found(node, flaw):
    assert flaw in ' '.join(graph_flaws(toy(node)))


def test_a_flawed_graph_is_not_written(monkeypatch, tmp_path):
    flawed = SimpleNamespace(model=toy(ir.node('Loop', [], outputs=[output(1)])))
    monkeypatch.setattr(torch.onnx, 'export', lambda *_, **__: flawed)
    variant = VARIANTS['tiny-s']
    with pytest.raises(ModelError, match='operator Loop'):
        export_onnx(
            random_model(variant.config), tmp_path / 'graph.onnx', variant.width, variant.height
        )
    assert not list(tmp_path.iterdir())
