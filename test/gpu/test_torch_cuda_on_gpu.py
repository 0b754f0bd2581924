# SPDX-License-Identifier: Apache-2.0
"""The torch engine on the device: what it computes, what it allocates, what it waits for."""

from __future__ import annotations

import json
import threading
import tracemalloc

import numpy as np
import pytest
import torch

from test.support.fused_networks import NAMES, fused_model, layout_of
from videodepth_ros.engines.check import max_relative_error
from videodepth_ros.engines.torch_cuda_engine import TorchCudaEngine
from videodepth_ros.engines.torch_plan import TorchPlan, TorchRequest
from videodepth_ros.models.preprocess import network_input


def open_on_gpu(name: str, precision: str = 'fp16') -> TorchCudaEngine:
    return TorchCudaEngine(
        TorchPlan(fused_model(name), name, layout_of(name), precision=precision)
    )


def pictures(engine: TorchCudaEngine, frames: int) -> list[np.ndarray]:
    noise = np.random.default_rng(0)
    return [noise.integers(0, 256, engine.spec.inputs[0].shape, np.uint8) for _ in range(frames)]


def expected_stream(name: str, engine: TorchCudaEngine, frames: int):
    model, state = fused_model(name), None
    for image in pictures(engine, frames):
        planes = network_input(image, engine.spec.width, engine.spec.height)
        with torch.inference_mode():
            depth, state = model.step(torch.from_numpy(planes)[None], state)
        yield image, depth[0].numpy(), state.numpy()


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize(('precision', 'bound'), [('fp32', 2e-3), ('fp16', 5e-3), ('bf16', 5e-2)])
def test_captured_stream_is_that_of_the_network_on_the_cpu(name, precision, bound):
    engine = open_on_gpu(name, precision)
    state = engine.zero_state()
    for image, depth, after in expected_stream(name, engine, 10):
        found, state = engine.step(image, state)
        assert max_relative_error(found, depth) < bound
        assert max_relative_error(engine.read_state(), after) < bound
    engine.close()


def test_zero_state_starts_the_captured_stream_afresh():
    engine = open_on_gpu('tiny-full')
    first, second = pictures(engine, 2)
    expected, state = engine.step(first, engine.zero_state())
    engine.step(second, state)
    again, _ = engine.step(first, engine.zero_state())
    np.testing.assert_array_equal(again, expected)


def test_steady_state_allocates_nothing_on_the_device():
    engine = open_on_gpu('tiny-full')
    image, state = pictures(engine, 1)[0], engine.zero_state()
    _, state = engine.step(image, state)
    before = torch.cuda.memory_stats()
    for _ in range(20):
        _, state = engine.step(image, state)
    after = torch.cuda.memory_stats()
    for key in ('allocation.all.allocated', 'segment.all.allocated'):
        assert after[key] == before[key]


def test_steady_state_keeps_nothing_on_the_host():
    engine = open_on_gpu('tiny-s')
    image, state = pictures(engine, 1)[0], engine.zero_state()
    _, state = engine.step(image, state)
    tracemalloc.start()
    try:
        for _ in range(5):
            _, state = engine.step(image, state)
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(50):
            _, state = engine.step(image, state)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < image.nbytes


def test_only_the_image_and_what_is_asked_for_cross_the_bus(tmp_path):
    """As the driver counts it; a view is 36 bytes, the number of the stream 8."""
    engine = open_on_gpu('tiny-full')
    image, state = pictures(engine, 1)[0], engine.zero_state()
    _, state = engine.step(image, state)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        engine.step(image, state)
    profile.export_chrome_trace(str(tmp_path / 'trace.json'))
    copied = {'HtoD': 0, 'DtoH': 0}
    for event in json.loads((tmp_path / 'trace.json').read_text())['traceEvents']:
        for way in copied:
            if event.get('cat') == 'gpu_memcpy' and way in event['name']:
                copied[way] += event['args']['bytes']
    height, width, _ = image.shape
    assert copied == {'HtoD': image.nbytes + 36 + 8, 'DtoH': height * width * 4 + 4}


def test_the_host_waits_once_a_frame():
    engine = open_on_gpu('tiny-s')
    image, state = pictures(engine, 1)[0], engine.zero_state()
    _, state = engine.step(image, state)
    torch.cuda.set_sync_debug_mode('error')  # whatever waits but the one on our stream raises
    try:
        engine.step(image, state)
    finally:
        torch.cuda.set_sync_debug_mode('default')


@pytest.mark.parametrize('name', NAMES)
def test_a_batch_computes_what_each_camera_gets_alone(name):
    engines = [open_on_gpu(name, 'fp32')]
    engines += [engines[0].another() for _ in range(2)]
    images = pictures(engines[0], 3)
    alone = open_on_gpu(name, 'fp32')
    expected = [alone.step(image, alone.zero_state())[0].copy() for image in images]
    for engine, image in zip(engines, images, strict=True):
        engine._host['image'][...] = image
    engines[0]._plan._batch.advance(
        [
            TorchRequest(engine._slot, engine._tensors, True, ('inverse_depth',))
            for engine in engines[::-1]
        ]
    )
    for engine, depth in zip(engines, expected, strict=True):
        assert max_relative_error(engine._host['inverse_depth'], depth) < 2e-3


def test_cameras_run_beside_each_other():
    """In batches as they come, so kernels differ from those of a camera alone."""
    first = open_on_gpu('tiny-s', 'fp32')
    engines = [first, first.another(), first.another()]
    found: dict[int, np.ndarray] = {}

    def run(k: int) -> None:
        engine, state = engines[k], engines[k].zero_state()
        for image in pictures(engine, 10 + k):
            found[k], state = engine.step(image, state)

    threads = [threading.Thread(target=run, args=(k,)) for k in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    alone = open_on_gpu('tiny-s', 'fp32')
    state = alone.zero_state()
    for image in pictures(alone, 12):
        expected, state = alone.step(image, state)
    assert max_relative_error(found[2], expected) < 2e-3


def test_half_precision_does_not_drift():
    """Issue 5: the ratio of scales stays within 0.5 % over a thousand frames."""
    half, exact = open_on_gpu('tiny-s', 'fp16'), open_on_gpu('tiny-s', 'fp32')
    state, exact_state = half.zero_state(), exact.zero_state()
    images = pictures(half, 8)
    for t in range(1000):
        found, state = half.step(images[t % 8], state)
        expected, exact_state = exact.step(images[t % 8], exact_state)
        assert np.isfinite(found).all()
    assert abs(np.median(found[expected > 0.1] / expected[expected > 0.1]) - 1) < 5e-3
