# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from test.support.instant_engine import InstantEngine
from videodepth_ros.cli import main


@pytest.fixture
def opened(monkeypatch):
    """Note what was asked for; the engine is there at once."""
    asked = []

    def open_engine(model, engine, width, height, *, precision, report):
        asked.append((model, engine, width, height, precision))
        report('Building Engine', 0.5)
        return InstantEngine(width, height)

    monkeypatch.setattr('videodepth_ros.engines.open.open_engine', open_engine)
    return asked


def test_the_engine_is_opened_at_the_size_that_the_node_would_use(run, opened, capsys):
    code, facts = run('build', 'nano', '--size', '1280x720', '--engine', 'tensorrt')
    assert code == 0
    (asked,) = opened
    assert asked == ('nano', 'tensorrt', facts['width'], facts['height'], 'fp16')
    assert facts['width'] * facts['height'] <= 256 * 192
    assert facts['engine'] == 'instant'
    assert 'nano runs on instant' in capsys.readouterr().out


def test_precision_and_budget_are_those_of_the_flags(run, opened):
    run('build', 'nano', '--precision', 'fp32', '--max-pixels', '76800')
    assert opened == [('nano', 'auto', 320, 240, 'fp32')]


def test_a_model_that_is_not_there_is_wrong_usage():
    with pytest.raises(SystemExit, match='2'):
        main(['build', 'giant'])
