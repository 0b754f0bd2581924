# SPDX-License-Identifier: Apache-2.0
"""The torch engine for GPUs, as far as a CPU tells: its logic, and what a capture would forbid.

What needs the device itself stands in test/gpu.
"""

from __future__ import annotations

import math
import threading
from functools import partialmethod

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from test.support.fused_networks import NAMES, VIEW, fused_model, layout_of, variant
from videodepth_ros.core.errors import DeviceError, InputError
from videodepth_ros.engines.check import max_relative_error
from videodepth_ros.engines.engine import State
from videodepth_ros.engines.graph import Layout
from videodepth_ros.engines.open import open_engine
from videodepth_ros.engines.resident import DeviceState
from videodepth_ros.engines.torch_cuda_engine import TorchCudaEngine
from videodepth_ros.engines.torch_plan import TorchPlan
from videodepth_ros.models import constants
from videodepth_ros.models.mamba import pooling_matrix
from videodepth_ros.models.preprocess import network_input

pytestmark = pytest.mark.slow

WITHOUT_GPU = pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU')


def open_on_cpu(
    name: str = 'tiny-s', precision: str = 'fp32', camera: tuple[int, int] | None = None
) -> TorchCudaEngine:
    it = variant(name)
    layout = Layout(*(camera or (it.width, it.height)), it.width, it.height)
    return TorchCudaEngine(
        TorchPlan(fused_model(name), name, layout, precision=precision, device='cpu')
    )


def pictures(engine: TorchCudaEngine, frames: int) -> list[np.ndarray]:
    noise = np.random.default_rng(0)
    return [noise.integers(0, 256, engine.spec.inputs[0].shape, np.uint8) for _ in range(frames)]


@pytest.mark.parametrize('name', NAMES)
def test_stream_is_that_of_the_network(name):
    engine, model = open_on_cpu(name), fused_model(name)
    state, expected_state = engine.zero_state(), None
    for image in pictures(engine, 3):
        inverse_depth, state = engine.step(image, state)
        planes = network_input(image, engine.spec.width, engine.spec.height)
        with torch.inference_mode():
            expected, expected_state = model.step(torch.from_numpy(planes)[None], expected_state)
        assert max_relative_error(inverse_depth, expected[0]) < 2e-5
    assert max_relative_error(engine.read_state(), expected_state) < 2e-5
    engine.close()


@pytest.mark.parametrize('precision', ['fp16', 'bf16'])
def test_precision_is_as_asked(precision):
    engine, exact = open_on_cpu(precision=precision), open_on_cpu()
    (image,) = pictures(engine, 1)
    found, _ = engine.step(image, engine.zero_state())
    expected, _ = exact.step(image, exact.zero_state())
    assert engine.spec.precision == precision
    assert 0 < max_relative_error(found, expected) < 0.03


def test_spec_says_what_runs():
    spec = open_on_cpu().spec
    assert (spec.model, spec.engine, spec.precision) == ('tiny-s', 'torch-cuda', 'fp32')
    assert spec.takes_bytes
    assert spec.inputs[0].shape == (98, 140, 3)
    assert spec.outputs[0].shape == (98, 140)
    assert 'CPU, torch' in spec.device


def test_overwritten_states_are_refused_and_zero_starts_afresh():
    engine = open_on_cpu()
    first, second = pictures(engine, 2)
    expected, old = engine.step(first, engine.zero_state())
    engine.step(second, old)
    for gone in (old, State(np.zeros(3)), State(DeviceState(10**9))):
        with pytest.raises(InputError, match='overwritten'):
            engine.step(first, gone)
    again, _ = engine.step(first, engine.zero_state())
    np.testing.assert_array_equal(again, expected)


def test_an_answer_is_never_written_again():
    engine = open_on_cpu()
    first, second = pictures(engine, 2)
    depth, state = engine.step(first, engine.zero_state())
    kept = depth.copy()
    engine.step(second, state)
    np.testing.assert_array_equal(depth, kept)


def test_view_reaches_depth_and_cloud():
    engine = open_on_cpu()
    (image,) = pictures(engine, 1)
    found, _ = engine.run(image, engine.zero_state(), ('inverse_depth', 'depth', 'cloud'), VIEW)
    hit = found['inverse_depth'] > 1e-3
    np.testing.assert_allclose(
        found['depth'][hit], 1 / (VIEW.scale * found['inverse_depth'][hit] + VIEW.shift), 1e-5
    )
    assert found['cloud'].shape == (98, 140, 4)


def test_a_lost_state_makes_the_whole_answer_nan():
    engine = open_on_cpu()
    first, second = pictures(engine, 2)
    _, state = engine.step(first, engine.zero_state())
    engine._plan._batch.states.fill_(math.nan)
    depth, _ = engine.step(second, state)
    assert np.isnan(depth).all()


def test_camera_may_have_another_size():
    engine = open_on_cpu(camera=(200, 120))
    (image,) = pictures(engine, 1)
    assert image.shape == (120, 200, 3)
    depth, _ = engine.step(image, engine.zero_state())
    assert depth.shape == (98, 140)
    with pytest.raises(InputError, match=r'uint8 image of \(120, 200, 3\)'):
        engine.step(image[:98, :140], engine.zero_state())


@WITHOUT_GPU
def test_without_a_gpu_it_says_so():
    with pytest.raises(DeviceError, match='finds no GPU'):
        TorchPlan(fused_model('nano'), 'nano', layout_of('nano'))


class Watch(TorchDispatchMode):
    """Notes the operators that a capture forbids: those that wait for the device."""

    WAITING = (
        '_local_scalar_dense',
        'item',
        'nonzero',
        'is_nonzero',
        'equal',
        'lift_fresh',
        '_to_copy_from_host',
    )

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        name = function.name().removeprefix('aten::').partition('.')[0]
        if name in self.WAITING:
            self.waits.append(name)
        return function(*arguments, **(keywords or {}))


@pytest.mark.parametrize('name', NAMES)
def test_nothing_in_a_step_waits_for_the_device(name, monkeypatch):
    """Nor does a constant cross the bus: on a GPU they are kept, as here."""
    monkeypatch.setattr('videodepth_ros.models.mamba.device_constant', kept)
    engine = open_on_cpu(name)
    room = engine._plan._batch
    room.compute(1)
    with Watch() as watch:
        room.compute(1)
    assert watch.waits == []


def kept(make, *arguments, like, dtype=None):
    return constants._kept(make, arguments, dtype, like.device)


def test_constants_are_kept_once_and_can_be_trained_through():
    device = torch.device('cpu')
    with torch.inference_mode():
        matrix = constants._kept(pooling_matrix, (10, 3), torch.float16, device)
    assert constants._kept(pooling_matrix, (10, 3), torch.float16, device) is matrix
    assert not matrix.is_inference()
    weight = torch.ones(3, requires_grad=True)
    (weight @ matrix.float()).sum().backward()
    assert weight.grad is not None


# Several cameras over one plan.


def test_cameras_that_wait_together_are_one_batch_and_get_what_they_get_alone():
    """They share kernels, which sum in another order."""
    engines = [open_on_cpu('tiny-full')]
    engines += [engines[0].another() for _ in range(2)]
    run_exclusive = open_on_cpu('tiny-full')
    batches, states = noted_batches(engines[0]), [engine.zero_state() for engine in engines]
    expected = [stream(run_exclusive, k, 3) for k in range(3)]
    for t in range(3):
        found = together(engines, states, t)
        for k in range(3):
            assert max_relative_error(found[k], expected[k][t]) < 5e-4
    assert batches == [[0, 1, 2]] * 3
    one_answer = engines[0].spec.width * engines[0].spec.height * 4 + 4
    assert [engine.traffic.down_bytes for engine in engines] == [3 * one_answer] * 3


def test_a_camera_without_a_frame_keeps_its_state_and_holds_nobody_up():
    front = open_on_cpu()
    rear = front.another()
    first, second = pictures(front, 2)
    _, rear_state = rear.step(first, rear.zero_state())
    kept = rear.read_state()
    _, state = front.step(second, front.zero_state())
    front.step(second, state)
    np.testing.assert_array_equal(rear.read_state(), kept)
    depth, _ = rear.step(second, rear_state)
    run_exclusive = open_on_cpu()
    _, state = run_exclusive.step(first, run_exclusive.zero_state())
    np.testing.assert_array_equal(depth, run_exclusive.step(second, state)[0])


def test_a_camera_that_comes_later_harms_no_stream_and_one_that_leaves_gives_its_place():
    front, run_exclusive = open_on_cpu(), open_on_cpu()
    image, state, expected = pictures(front, 1)[0], front.zero_state(), run_exclusive.zero_state()
    for t in range(4):
        if t in (1, 2):
            rear = front.another()
            rear.step(image, rear.zero_state())
            rear.close()
        found, state = front.step(image, state)
        depth, expected = run_exclusive.step(image, expected)
        np.testing.assert_array_equal(found, depth)
    assert front._plan._batch.streams == 2
    rear.close()  # once more is no harm


def test_cameras_of_one_size_share_the_weights(monkeypatch):
    """As open_engine opens them; they are read once."""
    read = []

    def network(card):
        read.append(card.name)
        return fused_model('nano')

    monkeypatch.setattr('videodepth_ros.engines.open._network', network)
    monkeypatch.setattr(
        'videodepth_ros.engines.torch_plan.TorchPlan.__init__',
        partialmethod(TorchPlan.__init__, device='cpu'),
    )
    engines = [
        open_engine('nano', 'torch-cuda', *size, precision='fp32')
        for size in ((160, 112), (160, 112), (128, 96))
    ]
    assert engines[0]._plan is engines[1]._plan
    assert engines[0]._plan is not engines[2]._plan
    assert read == ['nano'] * 2
    for engine in engines:
        engine.close()


def stream(engine: TorchCudaEngine, camera: int, frames: int) -> list[np.ndarray]:
    """Return the depths of one of several cameras, computed alone."""
    state, depths = engine.zero_state(), []
    for t in range(frames):
        depth, state = engine.step(picture(engine, camera, t), state)
        depths.append(depth)
    return depths


def picture(engine: TorchCudaEngine, camera: int, t: int) -> np.ndarray:
    return np.roll(pictures(engine, 3)[camera], 5 * t, axis=1)


def noted_batches(engine: TorchCudaEngine) -> list[list[int]]:
    """Return where the slots of each batch are noted."""
    batcher, batches = engine._plan.batcher, []
    serve = batcher._serve

    def noting(requests) -> None:
        batches.append([request.slot for request in requests])
        serve(requests)

    batcher._serve = noting
    return batches


def together(engines: list[TorchCudaEngine], states: list[State], t: int) -> dict[int, np.ndarray]:
    """Step all cameras, in threads of their own, once all of them wait; put the next states."""
    batcher, found = engines[0]._plan.batcher, {}

    def run(k: int) -> None:
        found[k], states[k] = engines[k].step(picture(engines[k], k, t), states[k])

    def start_all() -> None:
        for k, thread in enumerate(threads):
            thread.start()
            while len(batcher._waiting) <= k:
                assert thread.is_alive()

    threads = [threading.Thread(target=run, args=(k,)) for k in range(len(engines))]
    batcher.run_exclusive(start_all)
    for thread in threads:
        thread.join()
    return found
