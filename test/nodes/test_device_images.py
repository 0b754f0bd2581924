# SPDX-License-Identifier: Apache-2.0
"""Depth images in device memory, by stand-ins of CUDA, TensorRT and rosidl's CUDA buffers."""

from __future__ import annotations

import array
import sys
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

pytest.importorskip('rclpy')

from test.support.fake_tensorrt import VERSIONS
from test.support.toy_plan import HEIGHT, WIDTH, Rig
from videodepth_ros.engines.graph import DEPTH, FrameParameters
from videodepth_ros.engines.resident import ResidentEngine
from videodepth_ros.engines.tensorrt_engine import PlanInfo, TensorRtEngine
from videodepth_ros.frames import DepthMap, ScaleSource
from videodepth_ros.nodes.device_images import device_buffers, device_image

pytestmark = pytest.mark.ros


class Buffer(array.array):
    """A buffer of one byte on the host, which messages without rosidl buffers take as data.

    address  of its memory on the device
    """

    address = 0


class CudaBuffers:
    """The part of ``cuda_buffer.CudaBuffer`` that is used, over the fake runtime."""

    def __init__(self, cuda) -> None:
        self.cuda, self.events, self.made = cuda, [], []

    def allocate_buffer(self, size: int) -> Buffer:
        buffer = Buffer('B', [7])
        _, buffer.address = self.cuda.cudaMalloc(size)
        self.made.append(buffer)
        return buffer

    @contextmanager
    def from_output_buffer(self, buffer: Buffer):
        self.events.append('open')
        yield SimpleNamespace(device_ptr=buffer.address)
        self.events.append('closed')


@pytest.fixture
def rig(tmp_path) -> Rig:
    return Rig(VERSIONS[-1], tmp_path)


@pytest.fixture
def engine(rig, monkeypatch):
    engine = TensorRtEngine(rig.plan(), PlanInfo('nano', 'fp16', 'fake'), rig.cuda(monkeypatch))
    yield engine
    engine.close()


def step(engine: TensorRtEngine) -> DepthMap:
    image = np.random.default_rng(0).integers(1, 256, (HEIGHT, WIDTH, 3), np.uint8)
    view = FrameParameters(1.0, 1.0, 0.0, 0.0)
    found, _ = engine.run(image, engine.zero_state(), (DEPTH,), view)
    return DepthMap(1, 'camera', found[DEPTH].copy(), None, None, ScaleSource.MODEL)


def test_the_image_is_copied_on_the_device_alone(engine, rig):
    depth, buffers = step(engine), CudaBuffers(rig.fake_cuda)
    before = dict(rig.fake_cuda.copied)
    message = device_image(engine.device_output(DEPTH), depth, buffers)
    assert (message.height, message.width, message.step) == (HEIGHT, WIDTH, 4 * WIDTH)
    assert message.encoding == '32FC1'
    (buffer,) = buffers.made
    assert message.data == buffer
    pixels = rig.fake_cuda.device[buffer.address].view(np.float32)
    np.testing.assert_array_equal(pixels.reshape(HEIGHT, WIDTH), depth.depth_m)
    copied = {kind: n - before.get(kind, 0) for kind, n in rig.fake_cuda.copied.items()}
    assert {kind: n for kind, n in copied.items() if n} == {'on': depth.depth_m.nbytes}
    assert buffers.events == ['open', 'closed']
    rig.fake_cuda.cudaFree(buffer.address)


def test_a_depth_that_the_host_has_changed_is_not_the_device_s(engine, rig):
    depth, buffers = step(engine), CudaBuffers(rig.fake_cuda)
    depth.depth_m[0, 0] = np.inf  # a sky
    assert device_image(engine.device_output(DEPTH), depth, buffers) is None
    assert device_image(ResidentEngine.device_output(engine, DEPTH), depth, buffers) is None
    assert buffers.events == []


def test_the_feature_is_found_by_its_package(monkeypatch):
    monkeypatch.setitem(sys.modules, 'cuda_buffer', None)
    assert device_buffers() is None
    module = ModuleType('cuda_buffer')
    module.CudaBuffer = CudaBuffers
    monkeypatch.setitem(sys.modules, 'cuda_buffer', module)
    assert device_buffers() is CudaBuffers
