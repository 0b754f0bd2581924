# SPDX-License-Identifier: Apache-2.0
"""What every engine promises, tried on each."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch

from videodepth_ros.core.errors import DeviceError, InputError, ModelError
from videodepth_ros.engines.engine import Engine
from videodepth_ros.engines.onnx_engine import OnnxEngine
from videodepth_ros.engines.torch_engine import TorchEngine

pytestmark = pytest.mark.slow


@pytest.fixture(params=['onnx', 'torch'])
def engine(request, exported):
    it = exported('tiny-s')
    if request.param == 'onnx':
        opened: Engine = OnnxEngine(it.path, threads=1)
    else:
        opened = TorchEngine(it.model, 'tiny-s', it.width, it.height)
    yield opened
    opened.close()


def noise(engine: Engine, seed: int) -> np.ndarray:
    shape = (3, engine.spec.height, engine.spec.width)
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def test_spec_says_what_runs(engine):
    spec = engine.spec
    assert (spec.model, spec.precision, spec.width, spec.height) == ('tiny-s', 'fp32', 140, 98)
    assert spec.engine in ('onnx', 'torch')
    assert spec.device == f'CPU, {torch.get_num_threads()} threads'
    assert [tensor.name for tensor in spec.inputs] == ['image', 'state_in']
    assert [tensor.name for tensor in spec.outputs] == ['inverse_depth', 'state_out']
    assert spec.inputs[1].shape == spec.outputs[1].shape == (4, 1, 8, 32, 32)


def test_depth_is_an_image_of_finite_inverse_depths(engine):
    depth, _ = engine.step(noise(engine, 0), engine.zero_state())
    assert depth.shape == (engine.spec.height, engine.spec.width)
    assert depth.dtype == np.float32
    assert np.isfinite(depth).all()
    assert depth.min() >= 0
    assert depth.max() > 0


def test_step_writes_into_nothing_that_it_was_given_or_has_returned(engine):
    image, state = noise(engine, 0), engine.zero_state()
    depth, after = engine.step(image, state)
    kept = [np.asarray(array).copy() for array in (image, state, depth, after)]
    engine.step(noise(engine, 1), after)
    for array, copy in zip((image, state, depth, after), kept, strict=True):
        np.testing.assert_array_equal(np.asarray(array), copy)
    assert not np.asarray(state).any()


def test_a_caller_may_go_back_to_an_old_state(engine):
    _, old = engine.step(noise(engine, 0), engine.zero_state())
    expected, _ = engine.step(noise(engine, 1), old)
    engine.step(noise(engine, 2), old)
    again, _ = engine.step(noise(engine, 1), old)
    np.testing.assert_array_equal(again, expected)


def test_image_need_not_be_contiguous(engine):
    image = noise(engine, 0)
    expected, _ = engine.step(image, engine.zero_state())
    strided = np.ascontiguousarray(image.transpose(1, 2, 0)).transpose(2, 0, 1)
    actual, _ = engine.step(strided, engine.zero_state())
    np.testing.assert_allclose(actual, expected, rtol=1e-4)  # torch adds up in another order


@pytest.mark.parametrize(
    'image',
    [
        np.zeros((3, 98, 138), np.float32),
        np.zeros((98, 140, 3), np.float32),
        np.zeros((3, 98, 140), np.float64),
        np.zeros((1, 3, 98, 140), np.float32),
    ],
    ids=lambda image: f'{image.dtype}-{image.shape}',
)
def test_other_images_are_refused(engine, image):
    with pytest.raises(InputError, match=r'float32 image of \(3, 98, 140\)'):
        engine.step(image, engine.zero_state())


def test_a_failing_runtime_is_a_device_error(engine):
    wrong_state = (
        torch.zeros(4, 1, 7, 32, 32)
        if engine.spec.engine == 'torch'
        else np.zeros((4, 1, 7, 32, 32), np.float32)
    )
    with pytest.raises(DeviceError, match='tiny-s'):
        engine.step(noise(engine, 0), wrong_state)


def test_threads_are_as_asked(exported):
    assert OnnxEngine(exported('tiny-s').path, threads=2).spec.device == 'CPU, 2 threads'


def test_notes_come_with_the_spec(exported):
    engine = OnnxEngine(exported('tiny-s').path, threads=1, notes=('was built',))
    assert engine.spec.notes == ('was built',)


@pytest.mark.parametrize('content', [b'', b'no graph'])
def test_a_file_that_is_no_graph_is_refused(tmp_path, content):
    path = tmp_path / 'bad.onnx'
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r'bad\.onnx'):
        OnnxEngine(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r'absent\.onnx'):
        OnnxEngine(tmp_path / 'absent.onnx')


def test_somebody_elses_graph_is_refused(tmp_path):
    value = onnx.helper.make_tensor_value_info('x', onnx.TensorProto.FLOAT, [1])
    result = onnx.helper.make_tensor_value_info('y', onnx.TensorProto.FLOAT, [1])
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node('Relu', ['x'], ['y'])], 'foreign', [value], [result]
    )
    onnx.save(
        onnx.helper.make_model(
            graph, ir_version=10, opset_imports=[onnx.helper.make_opsetid('', 20)]
        ),
        tmp_path / 'foreign.onnx',
    )
    with pytest.raises(ModelError, match=r'foreign\.onnx has graph schema none'):
        OnnxEngine(tmp_path / 'foreign.onnx')
