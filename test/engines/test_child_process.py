# SPDX-License-Identifier: Apache-2.0
"""Builders in processes of their own: progress, cancelling, and how they end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from videodepth_ros.core.errors import Cancelled
from videodepth_ros.engines.child_process import child_environment, ignore_progress, run_module

BUILDER = """
import sys, time
from pathlib import Path
from videodepth_ros.engines.child_process import exit_with_parent, report_progress
exit_with_parent()
Path(sys.argv[1]).write_text(str(__import__('os').getpid()))
{does}
"""


@pytest.fixture
def builder(tmp_path, monkeypatch):
    """Return what makes a module that notes its process, and does something."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(does: str) -> Path:
        (tmp_path / 'toy_builder.py').write_text(BUILDER.format(does=does))
        return tmp_path / 'pid'

    return make


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_progress_is_handed_on_and_the_last_line_is_kept(builder):
    pid = builder(
        "report_progress('Halving', 0.5); print('chatter'); print('found it'); "
        "print('oh', file=sys.stderr); sys.exit(3)"
    )
    told = []
    result = run_module('toy_builder', (pid,), 'Starting', lambda *progress: told.append(progress))
    assert (result.exit_code, result.last_line, result.stderr) == (3, 'found it', 'oh\n')
    assert told[0] == ('Starting', 0.0)
    assert ('Halving', 0.5) in told


def test_a_silent_builder_can_be_cancelled(builder):
    """Somebody who waits is asked all the time, also while the child has nothing to tell."""
    pid = builder('time.sleep(600)')

    def cancel(phase: str, fraction: float) -> None:
        if pid.exists() and pid.read_text():
            raise Cancelled('enough')

    with pytest.raises(Cancelled):
        run_module('toy_builder', (pid,), 'Starting', cancel)
    assert not lives(int(pid.read_text()))


def test_much_output_does_not_stop_a_builder(builder):
    pid = builder("sys.stderr.write('x' * 300_000); print('y' * 300_000); print('done')")
    assert run_module('toy_builder', (pid,), 'Starting', ignore_progress).last_line == 'done'


def test_a_builder_may_say_what_is_no_text(builder):
    pid = builder("sys.stdout.buffer.write(b'\\xff\\n'); print('y' * 300_000); print('done')")
    assert run_module('toy_builder', (pid,), 'Starting', ignore_progress).last_line == 'done'


def test_a_builder_ends_when_nobody_waits_for_it(builder):
    """Its standard input closes with whoever has started it."""
    pid = builder('print("runs", flush=True); time.sleep(600)')
    child = subprocess.Popen(
        [sys.executable, '-m', 'toy_builder', str(pid)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=child_environment(),
    )
    assert child.stdout.readline() == 'runs\n'
    child.stdin.close()
    assert child.wait(60) == 1
    child.stdout.close()
