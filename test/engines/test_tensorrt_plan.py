# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import ast
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from test.support.fake_tensorrt import API, VERSIONS
from test.support.toy_plan import Rig
from videodepth_ros.core.errors import DeviceError, ModelError
from videodepth_ros.engines import tensorrt_plan
from videodepth_ros.engines.tensorrt_plan import (
    BuildOptions,
    TensorRt,
    build_plan,
    find_tensorrt,
    load_plan,
)

pytestmark = pytest.mark.slow

SHARED_API = Path(__file__).parents[3] / 'shared' / 'research' / 'tensorrt_api.json'


@pytest.fixture(params=VERSIONS)
def rig(request, tmp_path, fused) -> Rig:
    rig = Rig(request.param, tmp_path)
    rig.graph = fused('nano').path
    return rig


def silent(phase: str, fraction: float) -> None:
    pass


def build(rig: Rig, options: BuildOptions | None = None, report=silent) -> Path:
    plan = rig.folder / 'nano.plan'
    build_plan(rig.tensorrt, rig.graph, plan, options or BuildOptions(), report)
    return plan


def test_a_plan_is_built_and_loads_with_its_tensors(rig):
    plan = load_plan(rig.tensorrt, build(rig))
    shapes = {tensor.name: (tensor.shape, tensor.dtype) for tensor in plan.tensors}
    assert shapes['image'] == ((112, 160, 3), 'uint8')
    assert shapes['cloud'] == ((112, 160, 4), 'float32')
    assert [tensor.name for tensor in plan.tensors if tensor.is_input] == [
        'image',
        'state_in',
        'parameters',
    ]
    assert plan.version == rig.fake_tensorrt.__version__


def test_progress_is_told(rig):
    told = []
    build(rig, report=lambda phase, fraction: told.append((phase, fraction)))
    assert told == [('Building Engine', 0.0), ('Building Engine', 0.5), ('Building Engine', 1.0)]


def test_options_reach_the_builder(rig):
    build(rig, BuildOptions(tf32=False, workspace_mb=512))
    build(rig)
    careful, plain = rig.fake_tensorrt.configs
    assert careful.cleared == ['TF32']
    assert careful.limits == {'WORKSPACE': 512 << 20}
    assert careful.max_aux_streams == 0
    assert (plain.cleared, plain.limits) == ([], {})


def test_measured_times_are_kept_between_builds(rig, tmp_path):
    cache = tmp_path / 'timing'
    build(rig, BuildOptions(timing_cache=cache))
    assert cache.read_bytes() == b'+'
    build(rig, BuildOptions(timing_cache=cache))
    assert cache.read_bytes() == b'++'
    cache.write_bytes(b'foreign')
    build(rig, BuildOptions(timing_cache=cache))
    assert cache.read_bytes() == b'+'


def test_tensorrt_rtx_keeps_no_times(rig, tmp_path):
    rig.tensorrt = TensorRt(rig.fake_tensorrt, 'tensorrt-rtx')
    build(rig, BuildOptions(timing_cache=tmp_path / 'timing'))
    assert not (tmp_path / 'timing').exists()


def test_a_graph_that_is_refused_is_a_model_error_with_the_words(rig):
    rig.fake_tensorrt.graph_refused = 'Transpose: first input has type UInt8'
    with pytest.raises(ModelError, match='first input has type UInt8'):
        build(rig)


def test_a_build_that_fails_is_a_device_error_with_the_words(rig):
    rig.fake_tensorrt.builds = False
    with pytest.raises(DeviceError, match='out of memory in tactic 7'):
        build(rig)
    assert not (rig.folder / 'nano.plan').exists()


def test_a_plan_of_another_version_is_refused_with_the_words(rig):
    (rig.folder / 'old.plan').write_bytes(b'old')
    with pytest.raises(DeviceError, match='serialized by another version'):
        load_plan(rig.tensorrt, rig.folder / 'old.plan')


def module(name: str, version: str) -> ModuleType:
    made = ModuleType(name)
    made.__version__ = version
    return made


@pytest.fixture
def none_installed(monkeypatch):
    for name in tensorrt_plan._MODULES:
        monkeypatch.setitem(sys.modules, name, None)


@pytest.mark.usefixtures('none_installed')
def test_the_installed_one_is_found(monkeypatch):
    with pytest.raises(DeviceError, match='pip install tensorrt'):
        find_tensorrt()
    monkeypatch.setitem(sys.modules, 'tensorrt_rtx', module('tensorrt_rtx', '1.7.1'))
    assert find_tensorrt().flavour == 'tensorrt-rtx'
    monkeypatch.setitem(sys.modules, 'tensorrt', module('tensorrt', '10.3.0'))
    assert (find_tensorrt().flavour, find_tensorrt().version) == ('tensorrt', '10.3.0')
    monkeypatch.setitem(sys.modules, 'tensorrt', module('tensorrt', '8.6.1'))
    with pytest.raises(DeviceError, match=r'8\.6\.1 is older than 10\.3'):
        find_tensorrt()
    monkeypatch.setitem(sys.modules, 'tensorrt', ModuleType('tensorrt'))  # an empty stub
    assert find_tensorrt().flavour == 'tensorrt-rtx'


def touched() -> set[tuple[str, str]]:
    """Return what the code names as ``trt.CLASS.MEMBER`` or ``trt.CLASS``."""
    names = set()
    for node in ast.walk(ast.parse(Path(tensorrt_plan.__file__).read_text())):
        if isinstance(node, ast.Attribute):
            if isinstance(node.value, ast.Attribute) and is_trt(node.value.value):
                names.add((node.value.attr, node.attr))
            elif is_trt(node.value):
                names.add((node.attr, ''))
    return names


def is_trt(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == 'trt'


@pytest.mark.parametrize('version', VERSIONS)
def test_every_name_that_the_code_touches_is_in_the_bindings(version):
    """What it calls on objects is held by the fakes, which have nothing else."""
    assert len(touched()) > 10
    missing = [
        (kind, member)
        for kind, member in touched()
        if kind not in API[version]
        or (member and member not in API[version][kind] and member != '__init__')
    ]
    assert not missing


@pytest.mark.skipif(not SHARED_API.exists(), reason='../shared/research is not beside the tree')
def test_lists_of_the_bindings_are_those_that_were_read_from_them():
    whole = json.loads(SHARED_API.read_text())
    for version, kinds in API.items():
        for kind, members in kinds.items():
            assert members == [name for name in whole[version][kind] if not name.startswith('__')]
