# SPDX-License-Identifier: Apache-2.0
"""Examples in docstrings."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = [
    '.'.join(path.relative_to(ROOT).with_suffix('').parts).removesuffix('.__init__')
    for path in sorted((ROOT / 'videodepth_ros').rglob('*.py'))
    if '>>> ' in path.read_text()
]


@pytest.mark.parametrize('module', MODULES)
def test_examples_give_what_they_show(module):
    result = doctest.testmod(
        importlib.import_module(module),
        optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS,
    )
    assert result.attempted
    assert not result.failed


@pytest.mark.parametrize(
    'package',
    [
        'alignment',
        'bags',
        'coalign',
        'core',
        'evaluation',
        'geometry',
        'refine',
        'rollingdepth',
        'sfm',
    ],
)
def test_every_export_is_there(package):
    module = importlib.import_module(f'videodepth_ros.{package}')
    assert module.__all__ == sorted(module.__all__)
    assert all(hasattr(module, name) for name in module.__all__)
