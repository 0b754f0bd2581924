# SPDX-License-Identifier: Apache-2.0
"""TensorRT-RTX compiles every graph ahead of time, which it does without a GPU.

It shares parser and compiler with TensorRT, so a graph that it refuses would not build on a robot.
The wheels (91 MB) are in requirements/gpu.txt; `make test` installs them where they can be had.
"""

from __future__ import annotations

import pytest

from test.support.fused_networks import NAMES
from videodepth_ros.core.errors import ModelError
from videodepth_ros.engines.tensorrt_plan import BuildOptions, TensorRt, build_plan

trt = pytest.importorskip(
    'tensorrt_rtx_bindings',
    exc_type=ImportError,
    reason='TensorRT-RTX is not installed: pip install -r requirements/gpu.txt',
)
RTX = TensorRt(trt, 'tensorrt-rtx')


@pytest.mark.parametrize(
    ('name', 'precision'), [*((name, 'fp16') for name in NAMES), ('tiny-full', 'fp32')]
)
def test_every_variant_compiles(fused, tmp_path, name, precision):
    phases = []
    build_plan(
        RTX,
        fused(name, precision).path,
        tmp_path / 'plan',
        BuildOptions(tf32=False),
        lambda phase, _: phases.append(phase),
    )
    assert (tmp_path / 'plan').stat().st_size > 1e5
    assert phases


def test_it_does_refuse_what_it_cannot_take(tmp_path):
    import onnx

    image = onnx.helper.make_tensor_value_info('image', onnx.TensorProto.UINT8, [4, 4])
    out = onnx.helper.make_tensor_value_info('out', onnx.TensorProto.UINT8, [4, 4])
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node('Transpose', ['image'], ['out'])], 'bad', [image], [out]
    )
    onnx.save(
        onnx.helper.make_model(
            graph, ir_version=10, opset_imports=[onnx.helper.make_opsetid('', 20)]
        ),
        tmp_path / 'bad.onnx',
    )
    with pytest.raises(ModelError, match='UInt8'):
        build_plan(
            RTX,
            tmp_path / 'bad.onnx',
            tmp_path / 'plan',
            BuildOptions(),
            lambda phase, fraction: None,
        )
