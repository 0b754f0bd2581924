# SPDX-License-Identifier: Apache-2.0
"""The rules of the house that a machine can hold: floors of imports, sizes, types, style."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / 'videodepth_ros'

STOREYS = [
    ('core',),
    ('geometry',),
    ('frames',),
    ('models', 'messages', 'synthetic', 'pictures'),
    ('engines', 'bags'),
    ('stream',),
    ('evaluation',),
    ('mvs',),
    ('sfm',),
    ('alignment', 'coalign'),
    ('rollingdepth', 'results'),
    ('refine',),
    ('offline',),
    ('nodes', 'cli', 'demo'),
]
FLOORS = {name: height for height, names in enumerate(STOREYS) for name in names}

ONLY_IN = {
    'torch': {'models', 'engines', 'alignment', 'rollingdepth', 'refine', 'synthetic'},
    'rclpy': {'nodes', 'demo'},
    'tensorrt': {'engines'},
}
LONGEST_FILE, LONGEST_FUNCTION = 450, 100


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob('*.py'))


def floor_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix('.py')


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{path}: imports within the package are written in full'
            yield from (f'{node.module}.{alias.name}' for alias in node.names)


def test_every_module_has_a_floor():
    homeless = {floor_of(path) for path in sources()} - set(FLOORS) - {'__init__'}
    assert not homeless, f'say in FLOORS where {sorted(homeless)} stand'


@pytest.mark.parametrize('path', sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_never_go_up_a_floor(path):
    here = floor_of(path)
    for name in imports(path):
        top, _, rest = name.partition('.')
        there = rest.partition('.')[0]
        if top == 'videodepth_ros' and here in FLOORS and there in FLOORS:
            assert FLOORS[there] <= FLOORS[here], f'{path.name} on floor {here} imports {name}'
        if top in ONLY_IN:
            assert here in ONLY_IN[top], f'{top} is imported only in {ONLY_IN[top]}'


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix('').parts
    return '.'.join(parts).removesuffix('.__init__')


def module_graph() -> dict[str, set[str]]:
    modules = {module_name(path): path for path in sources()}

    def needs(name: str) -> set[str]:
        imported = set(imports(modules[name]))
        wanted = imported | {full.rpartition('.')[0] for full in imported}
        return (wanted & set(modules)) - {name, 'videodepth_ros'}

    return {name: needs(name) for name in modules}


def test_no_circles():
    graph = module_graph()
    while leaves := {name for name, needs in graph.items() if not needs}:
        graph = {name: needs - leaves for name, needs in graph.items() if name not in leaves}
    assert not graph, f'imported in circles: {graph}'


@pytest.mark.parametrize('path', sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_rooms_are_small(path):
    text = path.read_text()
    assert text.startswith('# SPDX-License-Identifier: Apache-2.0\n')
    assert text.count('\n') <= LONGEST_FILE
    lengths = {
        node.name: node.end_lineno - node.lineno + 1
        for node in ast.walk(ast.parse(text))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }
    assert not {name: lines for name, lines in lengths.items() if lines > LONGEST_FUNCTION}


def check(*command: str) -> None:
    result = subprocess.run(
        [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-2000:]


@pytest.mark.slow
def test_style():
    check('-m', 'ruff', 'check')
    check('-m', 'ruff', 'format', '--check')


@pytest.mark.slow
def test_types():
    check('-m', 'mypy')


LIGHT = [
    'frames',
    'geometry.camera',
    'messages.image',
    'messages.cloud',
    'bags.reader',
    'bags.writer',
    'stream.session',
    'evaluation.depth',
    'models.catalogue',
    'models.preprocess',
    'engines.open',
    'refine.job',
    'alignment.parallel',
    'cli',
]


def test_imports_without_ros_and_without_torch():
    code = 'import sys; sys.modules.update(dict.fromkeys(["rclpy", "torch", "onnxruntime"])); '
    check('-c', code + '; '.join(f'import videodepth_ros.{name}' for name in LIGHT))
