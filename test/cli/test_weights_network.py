# SPDX-License-Identifier: Apache-2.0
"""`videodepth weights import NET.onnx`, and a run over a recording with its card."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from test.support.small_network import MULTIPLE, export_network, write_graph
from videodepth_ros.cli import main
from videodepth_ros.models.network_import import imported_networks

pytestmark = pytest.mark.slow

LICENSED = ('--set', 'licence=MIT')
METRIC = ('--set', 'output=depth in metres', *LICENSED)


@pytest.fixture(scope='module')
def network(tmp_path_factory) -> Path:
    return export_network(tmp_path_factory.mktemp('network') / 'mine.onnx', dynamic=True)


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv('VIDEODEPTH_WEIGHTS', str(tmp_path / 'weights'))
    monkeypatch.setattr('sys.stdin.isatty', lambda: False, raising=False)
    return tmp_path / 'weights'


def test_imported_and_run_over_a_recording(run, scene, network, store, tmp_path, capsys):
    code, facts = run('weights', 'import', network, *METRIC, '--set', f'multiple={MULTIPLE}')
    assert code == 0
    card = facts['models'][0]['name']
    assert card == str(store / 'networks' / 'mine' / 'mine.yaml')
    assert yaml.safe_load(Path(card).read_text()) == {
        'output': 'depth in metres',
        'licence': 'MIT',
        'multiple': MULTIPLE,
        'file': 'mine.onnx',
    }
    printed = capsys.readouterr().out
    assert f'--model {card}' in printed
    assert 'depth in metres at 518x' not in printed
    assert 'm, the median at' in printed
    code, facts = run('run-bag', scene, tmp_path / 'out', '--model', card, '--engine', 'onnx')
    assert code == 0
    assert (facts['frames'], facts['rejected'], facts['model']) == (5, 0, card)
    assert main(['weights']) == 0
    assert f'{card}  network of your own' in capsys.readouterr().out


def test_entries_are_asked_for_at_a_terminal(network, store, monkeypatch):
    answers = {'output': 'relative inverse depth', 'licence': 'MIT', 'multiple': '16'}
    asked = []

    def answer(question: str) -> str:
        asked.append(question.partition(':')[0])
        return answers.get(asked[-1], '')

    monkeypatch.setattr(sys.stdin, 'isatty', lambda: True, raising=False)
    monkeypatch.setattr('builtins.input', answer)
    assert main(['weights', 'import', str(network)]) == 0
    assert asked == ['output', 'licence', 'mean', 'std', 'colours', 'multiple']
    (card,) = imported_networks()
    written = yaml.safe_load(card.read_text())
    assert (written['multiple'], written['std'], written['colours']) == (16, [1, 1, 1], 'rgb')


def test_a_card_of_the_package_gives_the_entries(tmp_path, store):
    zipdepth = export_network(tmp_path / 'zipdepth.onnx')
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    cv2.imwrite(str(tmp_path / 'picture.png'), image)
    command = ['weights', 'import', str(zipdepth), '--card', 'zipdepth']
    assert main([*command, '--picture', str(tmp_path / 'picture.png')]) == 0
    (card,) = imported_networks()
    assert card == store / 'networks' / 'zipdepth' / 'zipdepth.yaml'
    assert yaml.safe_load(card.read_text())['licence'] == 'MIT'


def test_external_weights_are_copied(tmp_path, store):
    network = export_network(tmp_path / 'large.onnx', external=True)
    assert main(['weights', 'import', str(network), *METRIC]) == 0
    assert (store / 'networks' / 'large' / 'large.onnx.data').is_file()


@pytest.mark.parametrize(
    ('flags', 'words'),
    [
        ((), 'lacks output, licence'),
        ((*METRIC,), 'needs either size'),
        ((*METRIC, '--set', 'multiple'), '--set multiple has no value'),
        ((*METRIC, '--set', 'size=[1'), 'is not a value of YAML'),
        (('--card', 'midas'), "there is no card 'midas': choose one of depth-anything-3"),
        ((*METRIC, '--set', 'multiple=16', '--as', '../x'), 'cannot be the name of a network'),
        ((*METRIC, '--set', 'multiple=16', '--set', f'sha256={"a" * 64}'), 'has the SHA-256'),
        ((*METRIC, '--set', 'multiple=16', '--picture', 'none.png'), 'cannot be read'),
    ],
)
def test_what_cannot_be_imported_is_refused_in_words(network, store, capsys, flags, words):
    assert main(['weights', 'import', str(network), *flags]) != 0
    assert words in capsys.readouterr().err


def test_a_network_of_another_kind_is_refused(tmp_path, capsys):
    write_graph(tmp_path / 'net.onnx', out=(1, 1000))
    assert main(['weights', 'import', str(tmp_path / 'net.onnx'), *METRIC]) == 1
    assert 'is not a map' in capsys.readouterr().err
    assert imported_networks() == ()
