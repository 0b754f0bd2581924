# SPDX-License-Identifier: Apache-2.0
"""Rules of the package: layers of imports, sizes, style, types, wording."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Generic

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / 'videodepth_ros'

LAYERS = [  # from the bottom
    ('core',),
    ('geometry',),
    ('frames',),
    ('models', 'messages', 'synthetic', 'pictures'),
    ('engines', 'bags', 'mvs'),
    ('stream',),
    ('scale', 'obstacles'),
    ('evaluation',),
    ('sfm',),
    ('alignment', 'coalign'),
    ('rollingdepth', 'results'),
    ('refine',),
    ('fleet',),
    ('offline',),  # deprecated import paths
    ('nodes', 'cli', 'demo', 'view'),
]
LAYER_OF = {name: layer for layer, names in enumerate(LAYERS) for name in names}

ONLY_IN = {
    'torch': {'models', 'engines', 'alignment', 'rollingdepth'},
    'rclpy': {'nodes', 'demo', 'view'},
    'tensorrt': {'engines'},
}
LONGEST_FILE, LONGEST_FUNCTION = 350, 45  # lines
LARGEST_PACKAGE = 0.14  # share of the lines of videodepth_ros
WORDS_OF_PERSONS = re.compile(
    r'(?<![^\W_])(tells?|told|says?|nobody|somebody|whoever|believ\w*)(?![^\W_])', re.IGNORECASE
)
MOST_WORDS_OF_PERSONS = 20  # in code and configuration


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob('*.py'))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def package_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix('.py')


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{path}: imports within the package are written in full'
            yield from (f'{node.module}.{alias.name}' for alias in node.names)


def test_every_package_has_a_layer():
    unlisted = {package_of(path) for path in sources()} - set(LAYER_OF) - {'__init__'}
    assert not unlisted, f'add {sorted(unlisted)} to LAYERS'


@pytest.mark.parametrize('path', sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down_only(path):
    here = package_of(path)
    for name in imports(path):
        top, _, rest = name.partition('.')
        there = rest.partition('.')[0]
        if top == 'videodepth_ros' and here in LAYER_OF and there in LAYER_OF:
            assert LAYER_OF[there] <= LAYER_OF[here], f'{path.name} of {here} imports {name}'
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
def test_files_and_functions_are_short(path):
    text = path.read_text()
    assert text.startswith('# SPDX-License-Identifier: Apache-2.0\n')
    assert text.count('\n') <= LONGEST_FILE
    lengths = {
        node.name: node.end_lineno - node.lineno + 1
        for node in ast.walk(tree(path))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }
    assert not {name: lines for name, lines in lengths.items() if lines > LONGEST_FUNCTION}


def test_no_package_is_large():
    lines = {path: path.read_text().count('\n') for path in sources()}
    shares = {
        package: sum(n for path, n in lines.items() if package_of(path) == package)
        / sum(lines.values())
        for package in LAYER_OF
    }
    assert not {name: share for name, share in shares.items() if share > LARGEST_PACKAGE}


def test_code_is_not_a_person():
    """Code returns, logs, raises and estimates; it does not tell, say or believe."""
    folders = (PACKAGE, ROOT / 'launch', ROOT / 'config')
    paths = [path for folder in folders for path in folder.rglob('*') if path.is_file()]
    texts = (p.read_text() for p in paths if p.suffix in ('.py', '.yaml', '.xml', '.rviz', '.md'))
    assert sum(len(WORDS_OF_PERSONS.findall(text)) for text in texts) <= MOST_WORDS_OF_PERSONS


def public_names(path: Path) -> Iterator[str]:
    for node in ast.walk(tree(path)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            name = node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            name = node.id
        elif isinstance(node, ast.arg):
            name = node.arg
        else:
            continue
        if not name.startswith('_'):
            yield name


def test_no_public_name_is_of_a_person():
    spelt = re.compile(r'(?<=[a-z])(?=[A-Z])')  # ToldNode: Told, Node
    names = {name for path in sources() for name in public_names(path)}
    found = {name for name in names if WORDS_OF_PERSONS.search(spelt.sub('_', name))}
    assert not found


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
@pytest.mark.timeout(900)  # without a cache, on a busy machine
def test_types():
    rclpy = pytest.importorskip('rclpy.subscription', reason='rclpy is not installed')
    if issubclass(rclpy.Subscription, Generic):
        pytest.skip("checked with Jazzy's rclpy: from Kilted on its classes are generic")
    check('-m', 'mypy')


LIGHT = [
    'frames',
    'geometry.camera',
    'messages.image',
    'messages.cloud',
    'bags',
    'bags.reader',
    'bags.writer',
    'stream.session',
    'evaluation.depth',
    'models.catalogue',
    'models.preprocess',
    'engines.open',
    'refine',
    'refine.job',
    'alignment.parallel',
    'coalign',
    'rollingdepth',
    'fleet.run',
    'cli',
]


def test_imports_without_ros_and_without_torch():
    code = 'import sys; sys.modules.update(dict.fromkeys(["rclpy", "torch", "onnxruntime"])); '
    check('-c', code + '; '.join(f'import videodepth_ros.{name}' for name in LIGHT))
