# SPDX-License-Identifier: Apache-2.0
"""The runner over a CUDA and a TensorRT that fail on mistakes of order, lifetime and size."""

from __future__ import annotations

import contextlib
import tracemalloc

import numpy as np
import pytest

from test.support.fake_tensorrt import VERSIONS
from test.support.toy_plan import HEIGHT, STATE, WIDTH, Rig
from videodepth_ros.core.errors import DeviceError, InputError, ModelError
from videodepth_ros.engines.engine import State
from videodepth_ros.engines.graph import PARAMETER_COUNT, FrameParameters
from videodepth_ros.engines.resident import DeviceState
from videodepth_ros.engines.tensorrt_engine import PlanInfo, TensorRtEngine

FACTS = PlanInfo('nano', 'fp16', 'NVIDIA Fake 9000', ('was built',))


@pytest.fixture(params=VERSIONS)
def rig(request, tmp_path) -> Rig:
    return Rig(request.param, tmp_path)


@pytest.fixture
def engine(rig, monkeypatch):
    engine = TensorRtEngine(rig.plan(), FACTS, rig.cuda(monkeypatch))
    yield engine
    engine.close()
    assert rig.fake_cuda.nothing_is_left()


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def mean(seed: int) -> np.ndarray:
    return picture(seed).mean(axis=-1, dtype=np.float32)


def test_spec_says_what_runs_and_where(engine, rig):
    spec = engine.spec
    assert (spec.model, spec.engine, spec.precision) == ('nano', 'tensorrt', 'fp16')
    assert (spec.width, spec.height, spec.notes) == (WIDTH, HEIGHT, ('was built',))
    assert spec.takes_bytes
    assert spec.gpu == '0000:65:00.0'
    for words in ('NVIDIA Fake 9000', rig.fake_tensorrt.__version__, 'CUDA 13.0'):
        assert words in spec.device


def test_state_stays_on_the_device_from_frame_to_frame(engine):
    state, expected = engine.zero_state(), np.zeros((HEIGHT, WIDTH), np.float32)
    for seed in range(4):
        inverse_depth, state = engine.step(picture(seed), state)
        expected = 0.5 * expected + mean(seed)
        np.testing.assert_allclose(inverse_depth, expected, rtol=1e-6)


def test_zero_state_starts_the_stream_afresh(engine):
    _, state = engine.step(picture(0), engine.zero_state())
    engine.step(picture(1), state)
    inverse_depth, _ = engine.step(picture(2), engine.zero_state())
    np.testing.assert_allclose(inverse_depth, mean(2), rtol=1e-6)


def test_an_overwritten_state_is_refused_and_harms_nothing(engine):
    _, old = engine.step(picture(0), engine.zero_state())
    _, new = engine.step(picture(1), old)
    for gone in (old, State(np.zeros(STATE)), State(DeviceState(10**9))):
        with pytest.raises(InputError, match='overwritten'):
            engine.step(picture(2), gone)
    inverse_depth, _ = engine.step(picture(2), new)
    np.testing.assert_allclose(inverse_depth, 0.25 * mean(0) + 0.5 * mean(1) + mean(2), rtol=1e-6)


def test_an_answer_is_never_written_again(engine):
    first, state = engine.step(picture(0), engine.zero_state())
    kept = first.copy()
    engine.step(picture(1), state)
    np.testing.assert_array_equal(first, kept)


def test_the_image_may_change_once_the_step_is_done(engine):
    image = picture(0)
    inverse_depth, state = engine.step(image, engine.zero_state())
    image[:] = 0
    np.testing.assert_allclose(inverse_depth, mean(0), rtol=1e-6)
    inverse_depth, _ = engine.step(image, state)
    np.testing.assert_allclose(inverse_depth, 0.5 * mean(0), rtol=1e-6)


def test_only_image_view_and_what_is_asked_for_cross_the_bus(engine, rig):
    copied = rig.fake_cuda.copied
    copied.clear()
    _, state = engine.step(picture(0), engine.zero_state())
    assert copied['up'] == engine.traffic.up_bytes == HEIGHT * WIDTH * 3 + PARAMETER_COUNT * 4
    assert copied['down'] == engine.traffic.down_bytes == HEIGHT * WIDTH * 4 + 4
    assert copied['on'] == np.prod(STATE) * 4
    engine.run(picture(0), state, ('cloud',))
    assert copied['down'] == HEIGHT * WIDTH * (4 + 16) + 4


def test_after_the_first_frame_nothing_is_allocated(engine, rig):
    state = engine.zero_state()
    before = rig.fake_cuda.calls[:]
    for seed in range(5):
        _, state = engine.step(picture(seed), state if seed != 3 else engine.zero_state())
    during = rig.fake_cuda.calls[len(before) :]
    assert set(during) == {
        'cudaMemsetAsync',
        'cudaGraphLaunch',
        'cudaMemcpyAsync',
        'cudaStreamSynchronize',
    }
    assert during.count('cudaStreamSynchronize') == during.count('cudaGraphLaunch') == 5
    assert during.count('cudaMemsetAsync') == 2


def test_the_plan_runs_once_before_it_is_captured(engine, rig):
    calls = rig.fake_cuda.calls
    assert calls.count('execute_async_v3') == 2
    first = calls.index('execute_async_v3')
    assert first < calls.index('cudaStreamSynchronize') < calls.index('cudaStreamBeginCapture')
    captured = calls[calls.index('cudaStreamBeginCapture') : calls.index('cudaStreamEndCapture')]
    assert captured == [
        'cudaStreamBeginCapture',
        'cudaMemcpyAsync',
        'cudaMemcpyAsync',
        'execute_async_v3',
        'cudaMemcpyAsync',
    ]  # the last one is the state's


def test_view_reaches_the_device_and_stays(engine):
    _, state = engine.step(picture(0), engine.zero_state())
    found, state = engine.run(
        picture(0), state, ('depth',), FrameParameters(1, 1, 0, 0, scale=2.0)
    )
    np.testing.assert_allclose(found['depth'], 1 / (2 * 1.5 * mean(0) + 1), rtol=1e-5)
    found, _ = engine.run(picture(0), engine.zero_state(), ('depth',))
    np.testing.assert_allclose(found['depth'], 1 / (2 * mean(0) + 1), rtol=1e-5)


def test_a_lost_state_makes_the_whole_answer_nan(engine, rig):
    rig.network.run = lambda inputs: {
        **{name: np.ones(shape, dtype) for name, shape, dtype in rig.network.outputs},
        'total': np.array([np.nan], np.float32),
    }
    inverse_depth, _ = engine.step(picture(0), engine.zero_state())
    assert np.isnan(inverse_depth).all()


def test_cameras_share_the_plan_and_nothing_else(engine):
    other = engine.another()
    _, state = engine.step(picture(0), engine.zero_state())
    first, _ = other.step(picture(1), other.zero_state())
    np.testing.assert_allclose(first, mean(1), rtol=1e-6)
    with pytest.raises(InputError, match='overwritten'):
        other.step(picture(1), state)
    inverse_depth, _ = engine.step(picture(2), state)
    np.testing.assert_allclose(inverse_depth, 0.5 * mean(0) + mean(2), rtol=1e-6)
    other.close()


@pytest.mark.parametrize(
    'image',
    [
        np.zeros((HEIGHT, WIDTH, 3), np.float32),
        np.zeros((HEIGHT, WIDTH - 1, 3), np.uint8),
        np.zeros((3, HEIGHT, WIDTH), np.uint8),
    ],
    ids=['float', 'size', 'planes'],
)
def test_other_images_are_refused(engine, image):
    with pytest.raises(InputError, match=r'uint8 image of \(6, 8, 3\)'):
        engine.step(image, engine.zero_state())


CALLS = (
    'cudaStreamCreateWithFlags',
    'cudaMalloc',
    'cudaHostAlloc',
    'cudaMemsetAsync',
    'cudaMemcpyAsync',
    'cudaStreamSynchronize',
    'cudaStreamBeginCapture',
    'cudaGraphInstantiate',
)


@pytest.mark.parametrize('call', CALLS)
def test_a_device_that_fails_at_the_start_leaves_nothing_behind(rig, monkeypatch, call):
    cuda = rig.cuda(monkeypatch)
    for which in range(1, 7):
        rig.fake_cuda.calls.clear()
        rig.fake_cuda.fails = {call: which}
        failure = pytest.raises(DeviceError, match=f'{call} .*illegal memory access')
        with failure if which == 1 else contextlib.suppress(DeviceError):
            TensorRtEngine(rig.plan(), FACTS, cuda).close()
        assert rig.fake_cuda.nothing_is_left(), (call, which)


@pytest.mark.parametrize(
    'call', ['cudaMemsetAsync', 'cudaGraphLaunch', 'cudaMemcpyAsync', 'cudaStreamSynchronize']
)
def test_a_device_that_fails_later_loses_the_state_and_says_so(engine, rig, call):
    _, state = engine.step(picture(0), engine.zero_state())
    rig.fake_cuda.fails = {call: rig.fake_cuda.calls.count(call) + 1}
    broken = engine.zero_state() if call == 'cudaMemsetAsync' else state
    with pytest.raises(DeviceError, match=call):
        engine.step(picture(1), broken)
    with pytest.raises(InputError, match='overwritten'):
        engine.step(picture(1), state)
    rig.fake_cuda.fails = {}
    inverse_depth, _ = engine.step(picture(2), engine.zero_state())
    np.testing.assert_allclose(inverse_depth, mean(2), rtol=1e-6)


def test_a_plan_that_fails_is_a_device_error(rig, monkeypatch):
    cuda = rig.cuda(monkeypatch)
    rig.fake_tensorrt.runs = False
    with pytest.raises(DeviceError, match='tensorrt failed on nano'):
        TensorRtEngine(rig.plan(), FACTS, cuda)
    rig.fake_tensorrt.contexts = False
    with pytest.raises(DeviceError, match='another stream of nano'):
        TensorRtEngine(rig.plan(), FACTS, cuda)
    assert rig.fake_cuda.nothing_is_left()


def test_a_foreign_plan_is_refused(rig, monkeypatch):
    rig.network.inputs = rig.network.inputs[:2]
    with pytest.raises(ModelError, match='not one of a fused step'):
        TensorRtEngine(rig.plan(), FACTS, rig.cuda(monkeypatch))


def test_to_close_twice_does_no_harm(engine):
    engine.close()


def test_after_the_first_frames_nothing_more_is_held_on_the_host(rig, monkeypatch):
    """What a frame leaves behind in the package's own lines, apart from the answer it returns."""
    engine = TensorRtEngine(rig.plan(), FACTS, rig.cuda(monkeypatch))
    image, state = picture(0), engine.zero_state()
    package = [
        tracemalloc.Filter(True, f'*/videodepth_ros/engines/{name}.py')
        for name in ('resident', 'tensorrt_engine', 'cuda')
    ]
    tracemalloc.start()
    try:
        for _ in range(5):
            answer, state = engine.step(image, state)
        before = tracemalloc.take_snapshot().filter_traces(package)
        for _ in range(1000):
            answer, state = engine.step(image, state)
        after = tracemalloc.take_snapshot().filter_traces(package)
    finally:
        tracemalloc.stop()
    kept = sum(it.size_diff for it in after.compare_to(before, 'lineno'))
    assert kept < 1000 * 8  # not a number for each frame; the interpreter keeps some hundreds
    assert answer.base is None
    engine.close()
