# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys

import pytest

from videodepth_ros.bags.reader import open_bag
from videodepth_ros.bags.writer import BagWriter
from videodepth_ros.cli.sample import make_sample
from videodepth_ros.evaluation.tum import read_tum

pytestmark = pytest.mark.slow

STAGES = ('recording-', 'estimates-', 'reconstruction-', 'corrected-', 'match', 'match')
"""Whose results a job is killed after; two processes store two of the three clips at once."""
STOPPER = """
import os

replace = os.replace

def stop(part, path):
    replace(part, path)
    if os.path.basename(path).startswith({name!r}):
        os.killpg(0, {signal:d})

os.replace = stop
"""
"""What Python runs first in every process of a command."""


@pytest.fixture(scope='module')
def bag(tmp_path_factory):
    path = tmp_path_factory.mktemp('refine') / 'scene'
    make_sample(str(path), 'studios', 5, 1.6, 10.0, (160, 120))
    return path


def command(*args):
    return [sys.executable, '-m', 'videodepth_ros.cli', 'refine', *map(str, args)]


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_the_command_prints_plan_and_results(run, bag, tmp_path, capfd):
    code, facts = run('refine', bag, tmp_path / 'refined', '--prior', 'bag', '--processes', 1)
    printed = capfd.readouterr()
    assert code == 0
    assert '16 frames of 160x120' in printed.err
    assert re.search(r'scale from depth, path [\d.]+ m\n', printed.out)
    assert facts['frames'] == 16
    assert facts['seconds'] > 0
    assert str(tmp_path / 'refined' / 'trajectory.tum') in facts['outputs']
    assert len(read_tum(tmp_path / 'refined' / 'trajectory.tum').stamp_ns) == 16


def stopped_after(command, name, how, folder):
    """Run a command until it has stored a result of that name, which sends it a signal."""
    (folder / 'sitecustomize.py').write_text(STOPPER.format(name=name, signal=how))
    path = os.pathsep.join([str(folder), *filter(None, [os.environ.get('PYTHONPATH')])])
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
        env={**os.environ, 'PYTHONPATH': path},
    )


@pytest.mark.timeout(1200)  # eight whole jobs, on a machine that may be busy
def test_killed_at_every_stage_it_ends_with_the_same_bytes(bag, tmp_path):
    whole, killed = tmp_path / 'whole' / 'refined', tmp_path / 'killed' / 'refined'
    options = ('--prior', 'bag', '--clip', 5, '--processes', 2)
    for folder in (whole.parent, killed.parent):
        folder.mkdir()
    subprocess.run(command(bag, whole, *options), check=True, capture_output=True)
    for name in STAGES:
        ended = stopped_after(command(bag, killed, *options), name, signal.SIGKILL, tmp_path)
        assert ended.returncode == -signal.SIGKILL, ended.stderr
        assert not killed.exists()
    subprocess.run(command(bag, killed, *options), check=True, capture_output=True)
    expected, found = contents(whole), contents(killed)
    assert found.keys() == expected.keys()
    assert [name for name in found if found[name] != expected[name]] == []
    assert [path.name for path in killed.parent.iterdir()] == ['refined']


@pytest.mark.parametrize('name', ['recording-', 'matched00000-'])
def test_ctrl_c_keeps_what_is_done(bag, tmp_path, name):
    options = ('--prior', 'bag', '--clip', 5, '--processes', 2)
    ended = stopped_after(
        command(bag, tmp_path / 'refined', *options), name, signal.SIGINT, tmp_path
    )
    assert ended.returncode == 1
    assert 'Traceback' not in ended.stderr
    assert 'run the same command again to resume' in ended.stderr
    assert (tmp_path / 'refined.work').exists()
    assert not (tmp_path / 'refined').exists()


def test_several_cameras_have_folders_of_their_own(run, bag, tmp_path):
    with open_bag(bag) as one, BagWriter(tmp_path / 'two') as two:
        for topic, recorded_ns, message in one.messages():
            two.write(topic, recorded_ns, message)
            if topic.startswith('/camera/'):
                two.write(topic.replace('/camera/', '/rear/', 1), recorded_ns, message)
    code, facts = run(
        'refine',
        tmp_path / 'two',
        tmp_path / 'refined',
        '--prior',
        'bag',
        '--frames',
        3,
        '--image-topic',
        '/camera/image_raw',
        '--image-topic',
        '/rear/image_raw',
    )
    assert code == 0
    assert facts['frames'] == 6
    assert sorted(facts['cameras']) == ['/camera/image_raw', '/rear/image_raw']
    for name in ('camera_image_raw', 'rear_image_raw'):
        assert (tmp_path / 'refined' / name / 'trajectory.tum').exists()


@pytest.mark.parametrize(
    ('args', 'mend'),
    [
        (['--prior', 'guess'], 'choose one of'),
        (['--image-topic', '/none'], 'is not in the recording'),
        (['--start-s', '50'], 'no frame of the recording is selected'),
        (['--pairs', 'align3r', '--prior', 'bag', '--frames', '2'], 'videodepth weights fetch'),
    ],
)
def test_an_impossible_request_is_an_error_with_a_fix(bag, tmp_path, args, mend, monkeypatch):
    monkeypatch.setenv('VIDEODEPTH_WEIGHTS', str(tmp_path / 'weights'))
    done = subprocess.run(
        [*command(bag, tmp_path / 'refined', *args), '--json', tmp_path / 'facts.json'],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert mend in done.stderr
    assert mend in json.loads((tmp_path / 'facts.json').read_text())['error']
    assert not (tmp_path / 'refined').exists()
