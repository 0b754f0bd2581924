# SPDX-License-Identifier: Apache-2.0
"""`videodepth weights`: fetch from a local hub, import, list, locate."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import torch

from test.support.local_hub import Hub, serve
from test.support.small_flashdepth import EACH, small_model
from videodepth_ros.cli import main
from videodepth_ros.models import variants

pytestmark = pytest.mark.slow

REPOSITORY, FILE = 'Eyeline-Labs/FlashDepth', 'flashdepth-s/iter_14001.pth'


@pytest.fixture(autouse=True)
def _store(tmp_path, monkeypatch):
    monkeypatch.setenv('VIDEODEPTH_WEIGHTS', str(tmp_path / 'weights'))
    monkeypatch.setenv('HF_HUB_DISABLE_PROGRESS_BARS', '1')
    monkeypatch.setitem(variants._CONFIGS, 'flashdepth-s', EACH['S'])


def checkpoint() -> bytes:
    buffer = io.BytesIO()
    torch.save({'model': small_model(EACH['S']).state_dict()}, buffer)
    return buffer.getvalue()


def test_one_command_from_an_empty_store_to_depth(run, scene, tmp_path, monkeypatch, capsys):
    """Fetch the tiny checkpoint, then run it over a recording."""
    with serve(Hub({REPOSITORY: {FILE: checkpoint()}})) as hub:
        monkeypatch.setenv('HF_ENDPOINT', hub.url)
        code, facts = run('weights', 'fetch', 'flashdepth-s')
    assert code == 0
    assert Path(facts['models'][0]['path']).is_file()
    assert 'licence Apache-2.0' in capsys.readouterr().out
    out = tmp_path / 'depth'
    command = ['run-bag', scene, out, '--model', 'flashdepth-s', '--engine', 'torch']
    code, facts = run(*command, '--max-pixels', 160 * 120)
    assert code == 0
    assert facts['frames'] > 0


def test_a_restrictive_licence_and_missing_names_are_errors(capsys):
    assert main(['weights', 'fetch', 'flashdepth']) == 1
    assert '--accept-licence' in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(['weights', 'fetch'])
    with pytest.raises(SystemExit):
        main(['weights', 'fetch', 'nano', '--all-free'])
    assert main(['weights', 'fetch', 'nano']) == 1
    assert 'cannot be fetched' in capsys.readouterr().err


def test_a_name_decides_where_the_file_does_not(tmp_path, run):
    file = tmp_path / 'iter.pth'
    file.write_bytes(checkpoint())
    assert run('weights', 'import', file, '--as', 'flashdepth-s')[0] == 0
    assert run('weights', 'import', file, '--as', 'flashdepth-l')[0] == 1
    assert run('weights', 'path', 'flashdepth-s')[1]['models'][0]['path']
