# SPDX-License-Identifier: Apache-2.0
"""Progress on a terminal, in a pipe and with --quiet."""

from __future__ import annotations

import io
import re

import pytest

from videodepth_ros.cli import console, main
from videodepth_ros.core.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def open_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Let standard error be a terminal, on which every item is drawn."""
    stream = Terminal()
    monkeypatch.setattr('sys.stderr', stream)
    monkeypatch.setenv('TQDM_MININTERVAL', '0')
    return stream


@pytest.fixture
def clock(monkeypatch):
    """Clock of the console that a test sets [s]."""
    time_s = [0.0]
    monkeypatch.setattr(console.time, 'monotonic', lambda: time_s[0])
    return time_s


def shown(screen: str) -> list[str]:
    """Return the lines of a terminal as they are when the program has ended."""
    lines = []
    for line in screen.split('\n'):
        text = ''
        for part in line.split('\r'):
            text = part + text[len(part) :]
        lines.append(text.rstrip())
    return lines


def test_a_pipe_has_a_line_every_ten_seconds_with_stage_share_rate_and_time_left(capsys, clock):
    console.configure(quiet=False)
    for _ in console.progress(range(100), 100, 'depth'):
        clock[0] += 0.5
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        'depth 20%: 20/100, 2/s, 40 s left',
        'depth 40%: 40/100, 2/s, 30 s left',
        'depth 60%: 60/100, 2/s, 20 s left',
        'depth 80%: 80/100, 2/s, 10 s left',
        'depth 100%: 100/100, 2/s, 0 s left',
    ]


def test_an_unknown_number_of_items_has_no_share(capsys, clock):
    console.configure(quiet=False)
    for _ in console.progress(range(12), None, 'import'):
        clock[0] += 1
    assert capsys.readouterr().err.splitlines() == ['import: 10/?, 1/s']


def test_quiet_shows_nothing(monkeypatch, capsys, clock):
    terminal = open_terminal(monkeypatch)
    console.configure(quiet=True)
    for _ in console.progress(range(100), 100, 'depth'):
        clock[0] += 5
    assert terminal.getvalue() == ''


def test_a_terminal_has_a_bar_with_the_same_facts_and_none_at_the_end(monkeypatch, clock):
    terminal = open_terminal(monkeypatch)
    console.configure(quiet=False)
    for _ in console.progress(range(4), 4, 'depth'):
        clock[0] += 1
    drawn = terminal.getvalue()
    assert re.search(r'depth +25 % \|.*\| 1/4, 3 s left', drawn)
    assert shown(drawn)[-1] == ''


def test_a_log_line_is_written_above_the_bar(monkeypatch):
    terminal = open_terminal(monkeypatch)
    console.configure(quiet=False)
    with console.ProgressDisplay() as display:
        display.show(Progress('align', 0.5, 3.0))
        console.log.info('opening the engine')
        display.show(Progress('align', 0.6, 2.0))
        assert shown(terminal.getvalue())[0] == 'opening the engine'
    assert shown(terminal.getvalue()) == ['opening the engine', '']


def test_an_error_before_the_first_item_comes_without_a_bar(monkeypatch, tmp_path):
    terminal = open_terminal(monkeypatch)
    code = main(['run-bag', str(tmp_path / 'nothing'), str(tmp_path / 'out')])
    assert code == 1
    assert shown(terminal.getvalue())[0].startswith('videodepth: error: ')
    assert '%' not in terminal.getvalue()


def test_an_error_in_a_loop_replaces_its_bar(monkeypatch, tmp_path):
    terminal = open_terminal(monkeypatch)

    def fail(_args):
        for _ in console.progress(range(4), 4, 'depth'):
            if '25 %' in terminal.getvalue():
                raise OSError('no space left on device')

    monkeypatch.setattr('videodepth_ros.cli.sample.run', fail)
    assert main(['sample', str(tmp_path / 'scene')]) == 1
    assert '25 %' in terminal.getvalue()
    assert shown(terminal.getvalue()) == ['videodepth: error: no space left on device', '']


def test_run_bag_tells_its_progress_in_a_pipe_and_not_if_quiet(
    scene, instant, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(console, 'LINE_PERIOD_S', 0.0)
    assert main(['run-bag', str(scene), str(tmp_path / 'out')]) == 0
    assert re.search(r'^depth 100%: \d+/\d+', capsys.readouterr().err, re.MULTILINE)
    assert main(['run-bag', str(scene), str(tmp_path / 'again'), '--quiet']) == 0
    assert 'depth 100%' not in capsys.readouterr().err
