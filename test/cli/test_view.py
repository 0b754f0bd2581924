# SPDX-License-Identifier: Apache-2.0
"""The command `videodepth view`, as a process."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from test.support.results_bag import write_results
from videodepth_ros.cli import main

pytest.importorskip('websockets', reason='the page needs the extra view: pip install websockets')

from test.support.view_rig import Browser, get

pytestmark = pytest.mark.slow


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, '-m', 'videodepth_ros.cli', 'view', '--port', '0', *arguments],
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    ('options', 'warning'), [([], ''), (['--host', '0.0.0.0'], 'see the images')]
)
def test_a_recording_is_served_until_an_interruption(tmp_path, options, warning):
    process = start(str(write_results(tmp_path / 'out', 3)), *options)
    with process:
        lines = []
        for line in process.stderr:
            lines.append(line)
            if 'Ctrl-C' in line:
                break
        address = next(word for word in lines[-1].split() if 'http' in word).rstrip(';')
        address = address.replace('0.0.0.0', '127.0.0.1')
        assert get(address)[0] == 200
        with Browser(address) as browser:
            assert len(browser.until('facts')['stamps']) == 3
            header, blobs = browser.ask(2)
            assert header['number'] == 2
            assert len(blobs['depth']) == 2 * 24 * 32
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        assert process.wait() == 0
    assert warning in rest
    assert bool(warning) == ('who reaches port' in rest)


def test_a_missing_recording_is_an_error(tmp_path, capsys):
    assert main(['view', str(tmp_path / 'none')]) == 1
    assert 'does not exist' in capsys.readouterr().err


def test_without_the_extra_it_is_named(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, 'websockets.asyncio.server', None)
    monkeypatch.delitem(sys.modules, 'videodepth_ros.view.server', raising=False)
    assert main(['view', 'somewhere']) == 1
    assert 'videodepth[view]' in capsys.readouterr().err
