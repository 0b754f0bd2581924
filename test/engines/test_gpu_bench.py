# SPDX-License-Identifier: Apache-2.0
"""The benchmark for GPUs, rehearsed on a machine that has torch and numpy and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]

BARE = """
import runpy, sys
from importlib.abc import MetaPathFinder
from importlib import metadata

# What this environment has, and a bare machine with torch has not.
brought = {'torch', 'numpy', 'triton', 'sympy', 'mpmath', 'networkx', 'jinja2', 'markupsafe',
           'filelock', 'fsspec', 'typing_extensions', 'setuptools', 'nvidia', 'functorch',
           'torchgen', 'cuda'}
lacking = set(metadata.packages_distributions()) - brought - {'videodepth_ros', 'videodepth'}


class Bare(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition('.')[0] in lacking:
            raise ModuleNotFoundError(f'{name} is not on a bare machine', name=name)


sys.meta_path.insert(0, Bare())
assert {'cv2', 'onnx', 'onnxruntime', 'safetensors'} <= lacking
sys.argv = ['gpu.py', '--cpu', '--case', 'nano@96x80', '--seconds', '0.1', '--drift-frames', '2',
            '--precision', 'fp32']
runpy.run_path('bench/gpu.py', run_name='__main__')
"""


@pytest.mark.timeout(1200)
def test_it_runs_on_a_bare_machine():
    # One thread: two that wait for each other crawl where another program has one of their cores.
    done = subprocess.run(
        [sys.executable, '-c', BARE],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=1100,
        check=False,
        env={**os.environ, 'OMP_NUM_THREADS': '1'},
    )
    assert done.returncode == 0, done.stderr
    found = {}
    for line in done.stdout.splitlines():
        found |= json.loads(line)
    assert found['failed'] == {}
    assert set(found['engines']) == {'eager', 'graph'}
    assert found['steady']['passed']
    assert set(found['cameras']['ms_per_frame']) == {
        'batch_of_1',
        'batch_of_2',
        'batch_of_4',
        'in_turn',
    }
    assert set(found['payloads']['step_ms']) == {'inverse_depth', 'depth', 'depth and cloud'}
    assert found['drift']['finite']
