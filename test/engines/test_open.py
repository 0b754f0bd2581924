# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import save_file

from test.support.random_network import random_model
from videodepth_ros.core.errors import ConfigError, DeviceError, ModelError
from videodepth_ros.engines import artefacts, build
from videodepth_ros.engines.artefacts import export_graph, graph_key
from videodepth_ros.engines.check import max_relative_error
from videodepth_ros.engines.engine import Engine
from videodepth_ros.engines.open import open_engine
from videodepth_ros.models import catalogue
from videodepth_ros.models.nano import NANO

pytestmark = pytest.mark.slow

WIDTH, HEIGHT = 96, 80


@pytest.fixture(scope='session')
def random_weights(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('weights')
    save_file(random_model(NANO).state_dict(), folder / catalogue.card('nano').weights_file)
    return folder


@pytest.fixture(scope='session')
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp('cache')


@pytest.fixture
def nano(monkeypatch, random_weights, cache):
    """Random weights in place of the bundled ones, built in this process, which alone has them.

    There is no GPU, for ``auto`` is to be the same on every machine.
    """
    monkeypatch.setattr('videodepth_ros.engines.open.GPU_DEVICES', ())
    monkeypatch.setattr(catalogue, 'BUNDLED', random_weights)
    monkeypatch.setenv('XDG_CACHE_HOME', str(cache))
    monkeypatch.setattr(
        artefacts,
        'export_graph',
        lambda model, path, width, height, kind, report: build.build_graph(
            catalogue.card(model), path, width, height, kind
        ),
    )


def first_depth(engine: Engine) -> np.ndarray:
    image = np.random.default_rng(0).standard_normal((3, HEIGHT, WIDTH), np.float32)
    return engine.step(image, engine.zero_state())[0]


@pytest.mark.usefixtures('nano')
def test_every_engine_opens_and_they_agree():
    names = ('auto', 'onnx', 'torch')  # those that run on the CPU
    engines = {name: open_engine('nano', name, WIDTH, HEIGHT, threads=1) for name in names}
    ran = {name: engine.spec.engine for name, engine in engines.items()}
    assert ran == {'auto': 'onnx', 'onnx': 'onnx', 'torch': 'torch'}
    depths = {name: first_depth(engine) for name, engine in engines.items()}
    np.testing.assert_array_equal(depths['auto'], depths['onnx'])
    assert max_relative_error(depths['onnx'], depths['torch']) < 2e-4


@pytest.mark.usefixtures('nano')
def test_second_opening_builds_nothing(monkeypatch):
    open_engine('nano', 'onnx', WIDTH, HEIGHT)
    monkeypatch.setattr(artefacts, 'export_graph', None)
    assert open_engine('nano', 'onnx', WIDTH, HEIGHT).spec.notes == ()


def cached_graph(cache: Path) -> Path:
    open_engine('nano', 'onnx', WIDTH, HEIGHT, threads=1)
    (path,) = (cache / 'videodepth').glob(f'nano-{WIDTH}x{HEIGHT}-*.onnx')
    return path


@pytest.mark.usefixtures('nano')
def test_broken_graph_is_built_anew_and_the_spec_tells(monkeypatch, cache):
    path = cached_graph(cache)
    whole = path.read_bytes()

    def export_again(model, target, width, height, kind, report) -> str:
        target.write_bytes(whole)
        return 'relmax 1e-06'

    monkeypatch.setattr(artefacts, 'export_graph', export_again)
    path.write_bytes(whole[:-100])
    notes = open_engine('nano', 'onnx', WIDTH, HEIGHT).spec.notes
    assert 'damaged' in notes[0]
    assert 'relmax' in notes[1]


@pytest.mark.usefixtures('nano')
def test_a_graph_that_computes_something_else_is_not_stored(monkeypatch, cache, tmp_path):
    other = random_model(NANO, seed=3)
    monkeypatch.setattr(build, 'load_flashdepth', lambda config, path: other)
    whole = cached_graph(cache).read_bytes()
    monkeypatch.setattr(build, 'export_onnx', lambda model, path, *_: path.write_bytes(whole))
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    with pytest.raises(ModelError, match='differs from the model'):
        open_engine('nano', 'onnx', WIDTH, HEIGHT)
    assert not list((tmp_path / 'videodepth').glob('*.onnx'))


@pytest.mark.usefixtures('nano')
def test_key_follows_weights_size_and_tools(monkeypatch, tmp_path):
    card = catalogue.card('nano')
    key = graph_key(card, WIDTH, HEIGHT)
    assert graph_key(card, WIDTH, HEIGHT) == key
    assert graph_key(card, HEIGHT, WIDTH) != key
    (tmp_path / card.weights_file).write_bytes(b'other weights')
    with monkeypatch.context() as patch:
        patch.setattr(catalogue, 'BUNDLED', tmp_path)
        assert graph_key(card, WIDTH, HEIGHT) != key
    monkeypatch.setattr(metadata, 'version', lambda tool: '0')
    assert graph_key(card, WIDTH, HEIGHT).toolchain[0] == 'torch 0'


def test_a_cached_graph_opens_without_torch(nano, random_weights, cache):
    """A robot has ONNX Runtime and the store: no torch, no onnx, no exporter."""
    expected = first_depth(open_engine('nano', 'onnx', WIDTH, HEIGHT, threads=1))
    code = f"""
import sys
from importlib import metadata
sys.modules.update(dict.fromkeys(['torch', 'onnx', 'onnxscript', 'onnx_ir']))
def version(name): raise metadata.PackageNotFoundError(name)
metadata.version = version
from pathlib import Path
import numpy as np
from videodepth_ros.engines.open import open_engine
from videodepth_ros.models import catalogue
catalogue.BUNDLED = Path({str(random_weights)!r})
engine = open_engine('nano', 'auto', {WIDTH}, {HEIGHT}, threads=1)
image = np.random.default_rng(0).standard_normal((3, {HEIGHT}, {WIDTH}), np.float32)
print(engine.step(image, engine.zero_state())[0].tobytes().hex())
"""
    done = subprocess.run(
        [sys.executable, '-c', code],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    depth = np.frombuffer(bytes.fromhex(done.stdout.strip()), np.float32)
    np.testing.assert_array_equal(depth.reshape(HEIGHT, WIDTH), expected)


def test_a_graph_is_built_in_a_process_of_its_own(tmp_path):
    """The one test that goes all the way, with the bundled weights whatever they are."""
    try:
        catalogue.weights_path(catalogue.card('nano'))
    except ModelError as error:
        pytest.skip(str(error))
    finding = export_graph('nano', tmp_path / 'nano.onnx', WIDTH, HEIGHT)
    assert finding.startswith('relmax')
    assert (tmp_path / 'nano.onnx').stat().st_size > 1e5


def test_failure_of_that_process_comes_back_as_an_error(monkeypatch, tmp_path):
    monkeypatch.setenv('VIDEODEPTH_WEIGHTS', str(tmp_path))
    (tmp_path / 'flashdepth-s.safetensors').write_bytes(b'not weights')
    with pytest.raises(ModelError, match=r'no graph of flashdepth-s at 70x70.*cannot be read'):
        export_graph('flashdepth-s', tmp_path / 'graph.onnx', 70, 70)


@pytest.mark.parametrize(
    ('model', 'engine', 'size', 'words'),
    [
        ('giant', 'auto', (320, 240), 'no model .giant.'),
        ('nano', 'warp', (320, 240), 'unknown engine .warp.; choose one of auto, tensorrt'),
        ('nano', 'auto', (321, 240), 'nano does not support 321x240.*multiples of 16'),
        ('nano', 'torch', (64, 64), 'at least 80'),
    ],
)
def test_wrong_names_and_sizes_are_named(model, engine, size, words):
    with pytest.raises(ConfigError, match=words):
        open_engine(model, engine, *size)


@pytest.mark.parametrize('engine', ['onnx', 'torch'])
def test_missing_weights_are_a_model_error(monkeypatch, tmp_path, engine):
    monkeypatch.setattr(catalogue, 'BUNDLED', tmp_path)
    with pytest.raises(ModelError, match='weights of nano'):
        open_engine('nano', engine, WIDTH, HEIGHT)


@pytest.mark.usefixtures('nano')
@pytest.mark.parametrize(('engine', 'package'), [('onnx', 'onnxruntime'), ('torch', 'torch')])
def test_an_engine_that_is_not_installed_is_never_replaced(monkeypatch, engine, package):
    monkeypatch.delitem(sys.modules, f'videodepth_ros.engines.{engine}_engine')
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(DeviceError, match=f'pip install {package}'):
        open_engine('nano', engine, WIDTH, HEIGHT)


def test_export_without_exporter_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(artefacts, 'exporter_versions', lambda: ())
    with pytest.raises(DeviceError, match='pip install torch onnx onnxscript'):
        export_graph('nano', tmp_path / 'graph.onnx', 320, 240)
