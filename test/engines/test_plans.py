# SPDX-License-Identifier: Apache-2.0
"""From a model's name to a checked plan, through the real processes, over a fake GPU."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from videodepth_ros.core.errors import DeviceError, ModelError
from videodepth_ros.engines import plans
from videodepth_ros.engines.artefacts import REFERENCE, fetch_artefact
from videodepth_ros.engines.check import max_relative_error
from videodepth_ros.engines.child_process import ignore_progress
from videodepth_ros.engines.compile import PlanAccuracy, measure_accuracy
from videodepth_ros.engines.cuda_provider import open_cuda
from videodepth_ros.engines.engine import Engine, EngineSpec
from videodepth_ros.engines.open import GPU_DEVICES, open_engine, select_engine
from videodepth_ros.engines.plans import compile_plan, open_tensorrt, plan_key
from videodepth_ros.engines.reference import (
    ReferenceOutputs,
    load_reference_outputs,
    reference_frames,
)
from videodepth_ros.engines.store import EngineKey, EngineStore
from videodepth_ros.engines.tensorrt_plan import find_tensorrt
from videodepth_ros.frames import Frame
from videodepth_ros.models.catalogue import card
from videodepth_ros.stream.session import DepthSession, SessionSettings

pytestmark = pytest.mark.slow

WIDTH, HEIGHT = 96, 80
SUPPORT = Path(__file__).parents[1] / 'support'
KEY = EngineKey('nano', 'onnx', WIDTH, HEIGHT, 'fp16', 101, 'a' * 64, 'b' * 64, ('torch 2.13',))


@pytest.fixture(scope='session')
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp('plans')


@contextmanager
def fakes(cache: Path) -> Iterator[None]:
    """Put the fakes where this process and those that it starts import from."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ('cuda', 'cuda.bindings', 'tensorrt'):
            patch.delitem(sys.modules, name, raising=False)
        patch.syspath_prepend(str(SUPPORT.parents[1]))
        patch.syspath_prepend(str(SUPPORT / 'fake_packages'))
        patch.setenv('XDG_CACHE_HOME', str(cache))
        yield
        for name in ('cuda', 'cuda.bindings', 'tensorrt'):
            sys.modules.pop(name, None)


@dataclass(frozen=True)
class FirstBuild:
    """What was reported while the plan was built into an empty store, and its depth."""

    phases: frozenset[str]
    spec: EngineSpec
    depth: np.ndarray


@pytest.fixture(scope='session')
def first_build(cache) -> FirstBuild:
    phases = []
    with fakes(cache):
        engine = open_tensorrt(
            card('nano'), WIDTH, HEIGHT, report=lambda phase, fraction: phases.append(phase)
        )
        return FirstBuild(frozenset(phases), engine.spec, depths(engine))


@pytest.fixture
def fake_gpu(cache, first_build):
    """Use the fakes and a store with the plan of fp16."""
    with fakes(cache):
        yield


def depths(engine: Engine) -> np.ndarray:
    state, found = engine.zero_state(), []
    for image in reference_frames(WIDTH, HEIGHT):
        inverse_depth, state = engine.step(image, state)
        found.append(inverse_depth)
    engine.close()
    return np.stack(found)


@pytest.mark.usefixtures('fake_gpu')
def test_a_plan_is_built_checked_stored_and_opened_again(first_build):
    spec = first_build.spec
    assert first_build.phases == {
        'Exporting nano',
        'Starting the builder',
        'Building Engine',
        'Checking',
    }
    assert spec.precision == 'fp16'
    assert 'NVIDIA Fake 9000, tensorrt 10.3.0' in spec.device
    assert any('in the median' in note for note in spec.notes)
    answers = load_reference_outputs(fetch_artefact(card('nano'), WIDTH, HEIGHT, REFERENCE).path)
    assert max_relative_error(first_build.depth, answers.inverse_depth) < 0.02
    again = open_engine(
        'nano',
        'tensorrt',
        WIDTH,
        HEIGHT,
        report=lambda phase, fraction: pytest.fail('there was a plan'),
    )
    assert again.spec.notes == ()
    beside = open_engine('nano', 'tensorrt', WIDTH, HEIGHT)
    assert beside._plan is again._plan  # its weights are on the device once
    beside.close()
    again.close()


@pytest.mark.usefixtures('fake_gpu')
def test_a_session_hands_the_bytes_over_and_gets_the_depth_of_the_cpu():
    pictures = [
        np.ascontiguousarray(np.kron(image, np.ones((2, 2, 1), np.uint8)))
        for image in reference_frames(WIDTH, HEIGHT)
    ]
    found = {}
    for name in ('tensorrt', 'torch'):
        session = DepthSession(
            card('nano'),
            partial(open_engine, 'nano', name),
            SessionSettings(max_pixels=WIDTH * HEIGHT, edge_ratio=1.0),
        )
        depths = [
            session.step(Frame(k * 10**8, 'camera', picture)).depth.depth_m
            for k, picture in enumerate(pictures)
        ]
        assert session.spec.engine == name
        assert (session.spec.width, session.spec.height) == (WIDTH, HEIGHT)
        session.close()
        found[name] = np.stack(depths)
    near = np.isfinite(found['torch']) & (found['torch'] < 50)
    errors = np.abs(found['tensorrt'][near] / found['torch'][near] - 1)
    assert np.median(errors) < 5e-3


@pytest.mark.usefixtures('fake_gpu')
def test_a_silently_wrong_plan_is_found_once_and_the_next_precision_taken(monkeypatch):
    monkeypatch.setenv('FAKE_TENSORRT_VERSION', '10.16.1.11')
    monkeypatch.setenv('FAKE_TENSORRT_WRONG', 'fp16')
    engine = open_tensorrt(card('nano'), WIDTH, HEIGHT)
    assert engine.spec.precision == 'fp32'
    assert any(
        'computes nano inaccurately in fp16: relative error 3.3e-01' in note
        for note in engine.spec.notes
    )
    engine.close()
    monkeypatch.setattr(plans, 'compile_plan', None)  # nothing is built a second time
    again = open_tensorrt(card('nano'), WIDTH, HEIGHT)
    assert again.spec.precision == 'fp32'
    assert any('inaccurately in fp16' in note for note in again.spec.notes)
    again.close()


@pytest.mark.usefixtures('fake_gpu')
def test_where_no_precision_is_right_it_is_refused(monkeypatch):
    monkeypatch.setenv('FAKE_TENSORRT_VERSION', '11.4.0.106')
    monkeypatch.setenv('FAKE_TENSORRT_WRONG', 'fp16 fp32')
    with pytest.raises(
        ModelError, match=r'inaccurately in fp16.*inaccurately in fp32.*another version'
    ):
        open_tensorrt(card('nano'), WIDTH, HEIGHT)


@pytest.mark.usefixtures('fake_gpu')
def test_a_build_that_fails_says_why_and_stores_nothing(monkeypatch, tmp_path):
    monkeypatch.setenv('FAKE_TENSORRT_FAILS', '1')
    (tmp_path / 'graph.onnx').write_bytes(b'')
    with pytest.raises(DeviceError, match='out of memory in tactic 7'):
        compile_plan(
            'fp16',
            tmp_path / 'graph.onnx',
            tmp_path / 'answers',
            tmp_path / 'plan',
            tmp_path / 'timing',
            ignore_progress,
        )
    assert not (tmp_path / 'plan').exists()


@pytest.mark.usefixtures('fake_gpu')
def test_a_build_can_be_cancelled(tmp_path):
    class Cancelled(Exception):  # noqa: N818
        pass

    def cancel(phase: str, fraction: float) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        compile_plan(
            'fp16',
            tmp_path / 'graph.onnx',
            tmp_path / 'answers',
            tmp_path / 'plan',
            tmp_path / 'timing',
            cancel,
        )
    assert not (tmp_path / 'plan').exists()


@pytest.mark.usefixtures('fake_gpu')
def test_key_names_everything_that_a_plan_depends_on(tmp_path, monkeypatch):
    graph = tmp_path / 'graph.onnx'
    graph.write_bytes(b'graph')
    key = plan_key(find_tensorrt(), open_cuda(), KEY, graph)
    assert key.kind == 'plan'
    words = ' '.join(key.toolchain)
    for part in (
        'tensorrt 10.3.0',
        'NVIDIA Fake 9000 sm_90',
        '24576 MB',
        'CUDA 13010',
        'driver',
        'tf32 True, workspace 0 MB, 0 auxiliary streams',
    ):
        assert part in words
    graph.write_bytes(b'another graph')
    assert plan_key(find_tensorrt(), open_cuda(), KEY, graph) != key
    assert plan_key(find_tensorrt(), open_cuda(), replace(KEY, precision='fp32'), graph) != key
    driver = tmp_path / 'version'
    driver.write_text('NVRM version: 580.1\nGCC')
    monkeypatch.setattr(plans, 'DRIVER_FILES', (tmp_path / 'none', driver))
    assert 'NVRM version: 580.1' in plan_key(find_tensorrt(), open_cuda(), KEY, graph).toolchain


def test_a_finding_with_nan_is_not_sound():
    sound = PlanAccuracy(0.002, 0.02, 0.003, 1e-6)
    assert sound.sound
    for harm in ('median', 'p99', 'state', 'depth'):
        assert not replace(sound, **{harm: float('nan')}).sound
        assert not replace(sound, **{harm: 0.2}).sound


@pytest.mark.usefixtures('fake_gpu')
def test_a_plan_that_forgets_its_state_does_not_pass():
    engine = open_tensorrt(card('nano'), WIDTH, HEIGHT)
    answers = load_reference_outputs(fetch_artefact(card('nano'), WIDTH, HEIGHT, REFERENCE).path)
    assert measure_accuracy(engine, answers).sound
    forgot = ReferenceOutputs(answers.inverse_depth, 0.9 * answers.state)
    assert not measure_accuracy(engine, forgot).sound
    engine.close()


def test_reference_frames_follow_from_their_size():
    first, second = (np.stack(list(reference_frames(64, 48))) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first.shape == (4, 48, 64, 3)
    assert np.abs(np.diff(first.astype(int), axis=0)).max() > 20


def test_answers_survive_the_file_and_others_are_refused(tmp_path):
    answers = ReferenceOutputs(np.ones((4, 2, 2), np.float32), np.zeros((1, 1), np.float32))
    answers.save(tmp_path / 'answers.npz')
    np.testing.assert_array_equal(
        load_reference_outputs(tmp_path / 'answers.npz').inverse_depth, answers.inverse_depth
    )
    (tmp_path / 'bad.npz').write_bytes(b'bad')
    with pytest.raises(ModelError, match='holds no reference outputs'):
        load_reference_outputs(tmp_path / 'bad.npz')


# Which engine 'auto' is.


def test_without_a_gpu_auto_is_onnx_and_looks_no_further(monkeypatch):
    monkeypatch.setattr('videodepth_ros.engines.open.GPU_DEVICES', ())
    monkeypatch.setattr('videodepth_ros.engines.open.tensorrt_is_available', None)
    notes = []
    assert select_engine(notes) == 'onnx'
    assert notes == []


@pytest.mark.usefixtures('fake_gpu')
def test_with_a_gpu_and_tensorrt_auto_is_tensorrt(monkeypatch):
    monkeypatch.setattr('videodepth_ros.engines.open.GPU_DEVICES', (Path('/dev/null'),))
    assert select_engine([]) == 'tensorrt'


@pytest.mark.skipif(any(device.exists() for device in GPU_DEVICES), reason='there is a GPU')
def test_with_a_gpu_that_nothing_can_use_auto_is_onnx_and_says_why(monkeypatch):
    monkeypatch.setattr('videodepth_ros.engines.open.GPU_DEVICES', (Path('/dev/null'),))
    for name in ('tensorrt', 'tensorrt_rtx', 'tensorrt_rtx_bindings'):
        monkeypatch.setitem(sys.modules, name, None)
    notes = []
    assert select_engine(notes) == 'onnx'
    assert 'TensorRT is not installed' in notes[0]
    assert 'finds no GPU' in notes[1]


@pytest.mark.usefixtures('first_build')
def test_the_store_of_the_plans_is_bounded(cache):
    folder = EngineStore(cache / 'videodepth').folder
    assert {path.suffix for path in folder.iterdir()} <= {
        '.onnx',
        '.npz',
        '.plan',
        '.json',
        '.lock',
        '.timing',
    }
    assert os.environ.get('FAKE_TENSORRT_WRONG') is None
