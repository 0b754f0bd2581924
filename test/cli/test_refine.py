# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from videodepth_ros.bags.reader import open_bag
from videodepth_ros.bags.writer import BagWriter
from videodepth_ros.cli.sample import make_sample
from videodepth_ros.evaluation.tum import read_tum

STAGES = ('recording-', 'estimates-', 'geometry-', 'keyframes-', 'clip00000-', 'clip00001-')
PATIENCE_S = 120.0


@pytest.fixture(scope='module')
def bag(tmp_path_factory):
    path = tmp_path_factory.mktemp('refine') / 'scene'
    make_sample(str(path), 'studios', 5, 1.6, 10.0, (160, 120))
    return path


def command(*args):
    return [sys.executable, '-m', 'videodepth_ros.cli', 'refine', *map(str, args)]


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_the_command_says_what_it_does_and_did(run, bag, tmp_path, capfd):
    code, facts = run('refine', bag, tmp_path / 'refined', '--prior', 'bag', '--processes', 1)
    said = capfd.readouterr()
    assert code == 0
    assert '16 frames of 160x120' in said.err
    assert 'scale from depth' in said.out
    assert facts['frames'] == 16
    assert facts['seconds'] > 0
    assert str(tmp_path / 'refined' / 'trajectory.tum') in facts['outputs']
    assert len(read_tum(tmp_path / 'refined' / 'trajectory.tum').stamp_ns) == 16


def test_killed_at_every_stage_it_ends_with_the_same_bytes(bag, tmp_path):
    whole, killed = tmp_path / 'whole' / 'refined', tmp_path / 'killed' / 'refined'
    options = ('--prior', 'bag', '--clip', 5, '--processes', 2)
    for folder in (whole.parent, killed.parent):
        folder.mkdir()
    subprocess.run(command(bag, whole, *options), check=True, capture_output=True)
    work = killed.with_name('refined.work')
    for name in STAGES:
        process = subprocess.Popen(command(bag, killed, *options), start_new_session=True,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda name=name: any(path.name.startswith(name) and path.suffix != '.part'
                                       for path in work.glob('*')))
        os.killpg(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert not killed.exists()
    subprocess.run(command(bag, killed, *options), check=True, capture_output=True)
    expected, found = contents(whole), contents(killed)
    assert found.keys() == expected.keys()
    assert [name for name in found if found[name] != expected[name]] == []
    assert [path.name for path in killed.parent.iterdir()] == ['refined']


def wait_for(condition):
    end_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end_s, 'what was waited for did not come'
        time.sleep(0.005)


def test_ctrl_c_keeps_what_is_done(bag, tmp_path):
    process = subprocess.Popen(command(bag, tmp_path / 'refined', '--prior', 'bag'),
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    work = tmp_path / 'refined.work'
    wait_for(lambda: any(path.name.startswith('recording-') for path in work.glob('*.npz')))
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    assert 'the same call goes on from there' in said
    assert work.exists()
    assert not (tmp_path / 'refined').exists()


def test_several_cameras_have_folders_of_their_own(run, bag, tmp_path):
    with open_bag(bag) as one, BagWriter(tmp_path / 'two') as two:
        for topic, recorded_ns, message in one.messages():
            two.write(topic, recorded_ns, message)
            if topic.startswith('/camera/'):
                two.write(topic.replace('/camera/', '/rear/', 1), recorded_ns, message)
    code, facts = run('refine', tmp_path / 'two', tmp_path / 'refined', '--prior', 'bag',
                      '--frames', 3, '--image-topic', '/camera/image_raw',
                      '--image-topic', '/rear/image_raw')
    assert code == 0
    assert facts['frames'] == 6
    assert sorted(facts['cameras']) == ['/camera/image_raw', '/rear/image_raw']
    for name in ('camera_image_raw', 'rear_image_raw'):
        assert (tmp_path / 'refined' / name / 'trajectory.tum').exists()


@pytest.mark.parametrize(('args', 'mend'), [
    (['--prior', 'guess'], 'choose one of'),
    (['--image-topic', '/none'], 'is not in the recording'),
    (['--start-s', '50'], 'no frame of the recording is chosen'),
    (['--pairs', 'align3r', '--prior', 'bag', '--frames', '2'], 'videodepth weights import')])
def test_what_cannot_be_done_is_said(bag, tmp_path, args, mend, monkeypatch):
    monkeypatch.setenv('VIDEODEPTH_WEIGHTS', str(tmp_path / 'weights'))
    done = subprocess.run([*command(bag, tmp_path / 'refined', *args), '--json',
                           tmp_path / 'facts.json'], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert mend in done.stderr
    assert mend in json.loads((tmp_path / 'facts.json').read_text())['error']
    assert not (tmp_path / 'refined').exists()
