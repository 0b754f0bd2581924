# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sys

import numpy as np
import pytest

from test.support import fake_pycuda
from test.support.fake_cuda import FakeCuda, MisuseError
from test.support.fake_tensorrt import VERSIONS, FakeTensorRt
from test.support.toy_plan import HEIGHT, WIDTH, Rig, install
from videodepth_ros.core.errors import DeviceError
from videodepth_ros.engines.cuda import CudaBindings
from videodepth_ros.engines.cuda_provider import open_cuda
from videodepth_ros.engines.tensorrt_engine import PlanInfo, TensorRtEngine

FACTS = PlanInfo('nano', 'fp16', 'NVIDIA Fake 9000')


def test_bindings_come_first(monkeypatch):
    fake_pycuda.install(monkeypatch, FakeCuda())
    install(monkeypatch, FakeCuda())
    assert open_cuda().provider == 'cuda-bindings, CUDA 13.0'


def test_pycuda_steps_in(monkeypatch):
    fake_pycuda.install(monkeypatch, FakeCuda())
    assert open_cuda().provider == 'PyCUDA 2026.1'


def test_both_describe_the_gpu_alike(monkeypatch):
    install(monkeypatch, FakeCuda())
    facts = open_cuda().gpu()
    fake_pycuda.install(monkeypatch, FakeCuda())
    assert open_cuda().gpu() == facts
    assert facts.pci_address == '0000:65:00.0'


def test_without_either_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, 'cuda.bindings', None)
    monkeypatch.setitem(sys.modules, 'pycuda', None)
    with pytest.raises(DeviceError, match='pip install cuda-bindings'):
        open_cuda()


def test_no_gpu_is_a_device_error(monkeypatch):
    install(monkeypatch, FakeCuda(gpus=0))
    with pytest.raises(DeviceError, match='no GPU'):
        CudaBindings()


def test_an_engine_over_pycuda_steps_call_by_call(monkeypatch, tmp_path):
    rig = Rig(VERSIONS[0], tmp_path)
    fake_pycuda.install(monkeypatch, rig.fake_cuda)
    engine = TensorRtEngine(rig.plan(), FACTS, open_cuda())
    state, expected = engine.zero_state(), 0
    for level in (10, 30, 50):
        image = np.full((HEIGHT, WIDTH, 3), level, np.uint8)
        depth, state = engine.step(image, state)
        expected = 0.5 * expected + level
        assert (depth == expected).all()
    assert 'cudaGraphLaunch' not in rig.fake_cuda.calls
    engine.close()
    assert rig.fake_cuda.nothing_is_left()


def test_pycuda_errors_come_in_our_words(monkeypatch, tmp_path):
    rig = Rig(VERSIONS[0], tmp_path)
    fake_pycuda.install(monkeypatch, rig.fake_cuda)
    rig.fake_cuda.fails = {'cudaMalloc': 3}
    with pytest.raises(DeviceError, match='PyCUDA: an illegal memory access'):
        TensorRtEngine(rig.plan(), FACTS, open_cuda())
    assert rig.fake_cuda.nothing_is_left()
    for captures in ('capture', 'launch', 'destroy_graph'):
        arguments = {'capture': (1, print), 'launch': (1, 1), 'destroy_graph': (1,)}[captures]
        with pytest.raises(DeviceError, match='cuda-bindings'):
            getattr(open_cuda(), captures)(*arguments)


def test_the_real_bindings_take_every_call_as_we_make_it(monkeypatch):
    """Without a GPU each call answers with an error of CUDA's, none with one of types."""
    runtime = pytest.importorskip('cuda.bindings.runtime', exc_type=ImportError)
    if runtime.cudaGetDeviceCount()[0] == runtime.cudaError_t.cudaSuccess:
        pytest.skip('there is a GPU: test/gpu goes further')
    with pytest.raises(DeviceError, match=r'cudaGetDeviceCount failed: .*driver'):
        CudaBindings()
    cuda = CudaBindings.__new__(CudaBindings)
    cuda._cuda, cuda._graphs = runtime, {}
    array = np.zeros(4, np.float32)
    for name, arguments in (
        ('allocate', (16,)),
        ('free', (16,)),
        ('host_array', ((2, 2), 'float32')),
        ('free_host', (array,)),
        ('create_stream', ()),
        ('destroy_stream', (16,)),
        ('synchronize', (16,)),
        ('upload', (16, array, 16)),
        ('download', (array, 16, 16)),
        ('copy', (16, 32, 8, 16)),
        ('zero', (16, 8, 16)),
        ('capture', (16, lambda: None)),
    ):
        with pytest.raises(DeviceError, match='CUDA error'):
            getattr(cuda, name)(*arguments)


# The fakes are worth something only if they notice mistakes.


@pytest.fixture
def fake() -> FakeCuda:
    return FakeCuda()


def test_the_fake_holds_copies_to_what_was_allocated(fake):
    address, stream = fake.cudaMalloc(8)[1], fake.cudaStreamCreateWithFlags(1)[1]
    pinned = fake.cudaHostAlloc(16, 0)[1]
    up = fake.cudaMemcpyKind.cudaMemcpyHostToDevice
    with pytest.raises(MisuseError, match='do not fit'):
        fake.cudaMemcpyAsync(address, pinned, 16, up, stream)
    with pytest.raises(MisuseError, match='not memory of the kind'):
        fake.cudaMemcpyAsync(pinned, address, 8, up, stream)


def test_the_fake_notices_memory_that_goes_too_early_or_twice(fake):
    address, stream = fake.cudaMalloc(8)[1], fake.cudaStreamCreateWithFlags(1)[1]
    fake.cudaMemsetAsync(address, 0, 8, stream)
    with pytest.raises(MisuseError, match='work to do'):
        fake.cudaFree(address)
    fake.cudaStreamSynchronize(stream)
    fake.cudaFree(address)
    with pytest.raises(MisuseError, match='not allocated'):
        fake.cudaFree(address)


def test_the_fake_notices_what_a_capture_forbids(fake):
    stream = fake.cudaStreamCreateWithFlags(1)[1]
    fake.cudaStreamBeginCapture(stream, 1)
    for forbidden in (lambda: fake.cudaMalloc(8), lambda: fake.cudaStreamSynchronize(stream)):
        with pytest.raises(MisuseError):
            forbidden()


def test_the_fake_tensorrt_lacks_what_its_version_lacks(fake):
    old, new = (FakeTensorRt(version, fake) for version in (VERSIONS[0], VERSIONS[-1]))
    assert hasattr(old.BuilderFlag, 'FP16')
    assert not hasattr(new.BuilderFlag, 'FP16')
    config = new.Builder(None).create_builder_config()
    with pytest.raises(AttributeError, match='no int8_calibrator'):
        config.int8_calibrator = None
