# SPDX-License-Identifier: Apache-2.0
"""OpenVINO beside ONNX Runtime, the check of its reduced precision, and the choice of `auto`."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from videodepth_ros.core.errors import DeviceError, InputError, ModelError
from videodepth_ros.engines import open as opening
from videodepth_ros.engines.artefacts import graph_key
from videodepth_ros.engines.check import rollout_difference
from videodepth_ros.engines.onnx_engine import OnnxEngine
from videodepth_ros.models.catalogue import card, weights_path

pytest.importorskip(
    'videodepth_ros.engines.openvino_runtime',
    reason='openvino is not installed: pip install openvino',
    exc_type=ImportError,
)

from videodepth_ros.engines import openvino_engine, openvino_plans
from videodepth_ros.engines.openvino_engine import OpenVinoEngine, measure_precision


@pytest.fixture
def engine(exported):
    opened = OpenVinoEngine(exported('tiny-s').path, 'tiny-s', threads=1)
    yield opened
    opened.close()


def image(seed: int, engine: OpenVinoEngine) -> np.ndarray:
    shape = (3, engine.spec.height, engine.spec.width)
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def test_it_computes_what_onnx_runtime_does(engine, exported):
    reference = OnnxEngine(exported('tiny-s').path, threads=1)
    assert engine.spec.inputs == reference.spec.inputs
    assert engine.spec.outputs == reference.spec.outputs
    difference = rollout_difference(engine, reference, frames=5)
    assert difference.inverse_depth < 2e-4
    assert difference.state < 2e-4
    assert (engine.spec.engine, engine.spec.precision) == ('openvino', 'fp32')
    assert 'OpenVINO' in engine.spec.device


def test_older_states_and_depths_stay_valid(engine):
    first, after = engine.step(image(0, engine), engine.zero_state())
    kept = first.copy(), np.array(after)
    engine.step(image(1, engine), after)
    np.testing.assert_array_equal(first, kept[0])
    np.testing.assert_array_equal(after, kept[1])
    again, _ = engine.step(image(0, engine), engine.zero_state())
    np.testing.assert_array_equal(again, first)


@pytest.mark.slow
def test_nano_is_not_accurate_in_bf16(shared_cache):
    """Its scale differs from that in float32, and drifts, by more than the check allows."""
    from videodepth_ros.engines.export import export_onnx
    from videodepth_ros.models.flashdepth import load_flashdepth
    from videodepth_ros.models.nano import NANO

    if openvino_engine.reduced_precision('CPU') != 'bf16':
        pytest.skip('this processor has no bf16')
    model = load_flashdepth(NANO, weights_path(card('nano')))
    path = shared_cache.path('nano-256x192.onnx', lambda path: export_onnx(model, path, 256, 192))
    reduced = OpenVinoEngine(path, 'nano', precision='bf16', threads=1)
    reference = OpenVinoEngine(path, 'nano', threads=1)
    reason = measure_precision(reduced, reference)
    assert reason is not None
    assert 'scale' in reason
    assert measure_precision(reference, reference) is None


def test_what_it_does_not_take_is_named(engine, tmp_path):
    with pytest.raises(InputError, match='float32 image'):
        engine.step(np.zeros((3, 4, 4), np.float32), engine.zero_state())
    (tmp_path / 'graph.onnx').write_bytes(b'no graph')
    with pytest.raises(ModelError, match='cannot load'):
        OpenVinoEngine(tmp_path / 'graph.onnx', 'tiny-s')
    with pytest.raises(DeviceError, match=r'no device X.*VIDEODEPTH_OPENVINO_DEVICE'):
        openvino_engine.reduced_precision('X')


@pytest.fixture
def key(monkeypatch, tmp_path):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    monkeypatch.setattr(openvino_plans, 'reduced_precision', lambda device: 'bf16')
    return graph_key(card('nano'), 256, 192)


def test_reduced_precision_is_checked_once(key, exported, monkeypatch):
    path = exported('tiny-s').path
    monkeypatch.setattr(openvino_plans, 'measure_precision', lambda *_: None)
    first = openvino_plans.open_checked(path, key, threads=1)
    assert first.spec.precision == 'bf16'
    assert 'accurate' in first.spec.notes[-1]
    monkeypatch.setattr(openvino_plans, 'measure_precision', None)  # is not run again
    again = openvino_plans.open_checked(path, key, threads=1)
    assert (again.spec.precision, again.spec.notes) == ('bf16', ())
    assert openvino_plans.open_checked(path, key, precision='fp32').spec.precision == 'fp32'


def test_inaccurate_precision_is_not_used(key, exported, monkeypatch):
    monkeypatch.setattr(openvino_plans, 'measure_precision', lambda *_: 'state 5.0e-01')
    for _ in range(2):
        opened = openvino_plans.open_checked(exported('tiny-s').path, key, threads=1)
        assert opened.spec.precision == 'fp32'
        assert 'inaccurately in bf16: state 5.0e-01' in opened.spec.notes[-1]


def test_auto_takes_it_where_the_processor_is_fast_with_it(monkeypatch):
    monkeypatch.setattr(opening, 'GPU_DEVICES', ())
    for precision, chosen in (('bf16', 'openvino'), (None, 'onnx')):
        monkeypatch.setattr(openvino_engine, 'reduced_precision', lambda _, found=precision: found)
        assert opening.select_engine([]) == chosen


def test_nothing_is_reported_over_the_network():
    """The telemetry of OpenVINO would start a thread and a connection at its import."""
    script = (
        'import sys, threading\n'
        'import videodepth_ros.engines.openvino_plans\n'
        'assert not [name for name in sys.modules if name.startswith("openvino_telemetry.")]\n'
        'assert threading.active_count() == 1, threading.enumerate()\n'
    )
    subprocess.run([sys.executable, '-c', script], check=True)
