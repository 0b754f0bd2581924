# SPDX-License-Identifier: Apache-2.0
"""TensorRT on the device, where it is installed."""

from __future__ import annotations

import numpy as np
import pytest

from test.support.fused_networks import NAMES, fused_model, layout_of
from videodepth_ros.core.errors import DeviceError
from videodepth_ros.engines.check import max_relative_error
from videodepth_ros.engines.cuda_provider import open_cuda
from videodepth_ros.engines.engine import Engine
from videodepth_ros.engines.export import export_fused
from videodepth_ros.engines.tensorrt_engine import PlanInfo, TensorRtEngine
from videodepth_ros.engines.tensorrt_plan import BuildOptions, build_plan, find_tensorrt, load_plan
from videodepth_ros.engines.torch_cuda_engine import TorchCudaEngine
from videodepth_ros.engines.torch_plan import TorchPlan


@pytest.fixture(scope='module')
def here():
    """Return TensorRT and CUDA, or skip."""
    try:
        return find_tensorrt(), open_cuda()
    except DeviceError as error:
        pytest.skip(str(error))


def open_plan(here, name: str, precision: str, folder) -> TensorRtEngine:
    tensorrt, cuda = here
    export_fused(fused_model(name), folder / 'graph.onnx', layout_of(name), precision)
    build_plan(
        tensorrt,
        folder / 'graph.onnx',
        folder / 'plan',
        BuildOptions(),
        lambda phase, fraction: None,
    )
    facts = PlanInfo(name, precision, cuda.gpu().name)
    return TensorRtEngine(load_plan(tensorrt, folder / 'plan'), facts, cuda)


def stream(engine: Engine, frames: int = 5) -> np.ndarray:
    noise, state, found = np.random.default_rng(0), engine.zero_state(), []
    for _ in range(frames):
        image = noise.integers(0, 256, engine.spec.inputs[0].shape, np.uint8)
        depth, state = engine.step(image, state)
        found.append(depth)
    return np.stack(found)


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('precision', ['fp16', 'fp32'])
def test_plan_computes_what_torch_computes(here, tmp_path, name, precision):
    engine = open_plan(here, name, precision, tmp_path)
    exact = TorchCudaEngine(TorchPlan(fused_model(name), name, layout_of(name), precision='fp32'))
    assert max_relative_error(stream(engine), stream(exact)) < 2e-2
    assert max_relative_error(engine.read_state(), exact.read_state()) < 2e-2
    engine.close()


def test_steady_state_allocates_nothing_on_the_device(here, tmp_path):
    """As the driver counts its free memory, for the plan's own allocations too."""
    from cuda.bindings import runtime

    engine = open_plan(here, 'tiny-s', 'fp16', tmp_path)
    stream(engine)
    _, free, _ = runtime.cudaMemGetInfo()
    traffic = engine.traffic.up_bytes, engine.traffic.down_bytes
    stream(engine, 20)
    assert runtime.cudaMemGetInfo()[1] == free
    height, width, _ = engine.spec.inputs[0].shape
    assert engine.traffic.up_bytes - traffic[0] == 20 * (3 * height * width + 28)
    assert engine.traffic.down_bytes - traffic[1] == 20 * (4 * height * width + 4)
    engine.close()


def test_cameras_share_a_plan(here, tmp_path):
    engine = open_plan(here, 'tiny-s', 'fp16', tmp_path)
    other = engine.another()
    np.testing.assert_array_equal(stream(engine), stream(other))
    other.close()
    engine.close()
