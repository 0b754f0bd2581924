# SPDX-License-Identifier: Apache-2.0
"""The example of docs/fleet.md runs, and what it passes on can be pickled."""

from __future__ import annotations

import os
import pickle
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from test.support.documents import ROOT, blocks
from videodepth_ros.cli.sample import make_sample
from videodepth_ros.refine import RefineFacts, RefineSettings, refine_bag

pytestmark = pytest.mark.slow


def test_a_call_of_refine_bag_and_its_facts_can_be_pickled():
    call = partial(refine_bag, Path('a'), Path('b'), RefineSettings(stride=2))
    again = pickle.loads(pickle.dumps(call))
    assert again.func is refine_bag
    assert again.args == call.args
    facts = RefineFacts(1, 0, 0.1, 'a', 'b', 'c', 'depth', None, None, None, (), ())
    assert pickle.loads(pickle.dumps(facts)) == facts


def test_the_example_of_ray_data_runs(tmp_path, monkeypatch):
    pytest.importorskip('ray.data', reason="pip install 'videodepth[fleet]' and pandas")
    (tmp_path / 'drives').mkdir()
    make_sample(str(tmp_path / 'drives' / 'monday'), 'studios', 1, 0.3, 10.0, (160, 120))
    (example,) = (one for one in blocks(ROOT / 'docs/fleet.md') if one.language == 'python')
    text = example.text
    for name in ('drives', 'refined'):  # workers have another folder
        text = re.sub(rf"'{name}/", f"'{tmp_path}/{name}/", text)
    monkeypatch.setenv('PYTHONPATH', str(ROOT), prepend=os.pathsep)
    monkeypatch.setenv('RAY_worker_niceness', '0')
    monkeypatch.setenv('RAY_USAGE_STATS_ENABLED', '0')
    done = subprocess.run(
        [sys.executable, '-c', text], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "'frames': 3, 'scale_source': 'depth'" in done.stdout
    assert (tmp_path / 'refined' / 'monday' / 'trajectory.tum').exists()
