# SPDX-License-Identifier: Apache-2.0
"""Whole fleets of instant jobs: skipping, failures, deaths, interruption, kill."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import fsspec
import pytest

from test.fleet import jobs
from videodepth_ros.core.errors import BagError, Cancelled, ConfigError
from videodepth_ros.fleet.manifest import DONE, FAILED, Manifest
from videodepth_ros.fleet.options import FleetOptions
from videodepth_ros.fleet.place import Place, find_recordings
from videodepth_ros.fleet.run import Fleet, FleetJob, open_engine
from videodepth_ros.fleet.schedule import Ended

NAMES = ['eins', 'überfahrt', '東京']


class Inline:
    """An engine that runs tasks in this process, as for file systems in memory."""

    name = 'inline'
    slots = 1

    def __init__(self):
        self.tasks = []

    def accepts(self, task):
        return not self.tasks

    def submit(self, task):
        self.tasks.append(task)

    def wait(self, timeout_s):
        ended = [Ended(task, task.run()) for task in self.tasks]
        self.tasks.clear()
        return ended

    def close(self):
        pass


@pytest.fixture
def bags(tmp_path):
    folder = tmp_path / 'bags'
    folder.mkdir()
    for name in NAMES:
        (folder / f'{name}.mcap').write_text(name)
    return folder


@pytest.fixture
def inline(monkeypatch):
    monkeypatch.setattr('videodepth_ros.fleet.run.open_engine', lambda options: Inline())


def fleet(bags, out, job=jobs.size_job, settings=None, command='refine', **options):
    found, _ = find_recordings([f'{bags}/*'])
    kept = {'cancelled': options.pop('cancelled')} if 'cancelled' in options else {}
    return Fleet(
        FleetJob(command, job, settings, settings or {}),
        found,
        Place.of(str(out)),
        FleetOptions(engine='local', workers=2, **options),
        **kept,
    )


def entries(out):
    return Manifest(Place.of(str(out))).entries


def test_every_bag_has_results_and_a_row(bags, tmp_path):
    facts = fleet(bags, tmp_path / 'out').run()
    assert (facts.bags, facts.done, facts.skipped, facts.failed) == (3, 3, 0, 0)
    found = entries(tmp_path / 'out')
    assert sorted(found) == sorted(NAMES)
    for name in NAMES:
        assert (tmp_path / 'out' / name / 'text').read_text() == name.upper()
        entry = found[name]
        assert entry.status == DONE
        assert entry.scale_source == 'lidar'
        assert entry.figures == {'frames': len(name), 'ate_rmse_m': len(name) / 10}
        assert entry.outputs[1] == str(tmp_path / 'out' / name / 'text')
        assert Path(entry.preview).read_bytes() == b'jpeg'
        assert len(entry.sha256) == 64
    page = (tmp_path / 'out' / 'summary.html').read_text()
    assert 'überfahrt' in page
    assert not (tmp_path / 'out' / 'fleet.work').exists()


def test_what_is_done_with_the_same_settings_and_bytes_is_skipped(bags, tmp_path, inline):
    out = tmp_path / 'out'
    fleet(bags, out).run()
    first = entries(out)
    assert fleet(bags, out).run().skipped == 3
    os.utime(bags / 'eins.mcap', ns=(1, 1))  # the same bytes: hashed, not computed
    facts = fleet(bags, out).run()
    assert (facts.skipped, facts.done) == (2, 1)
    again = entries(out)
    assert again['eins'].seconds == first['eins'].seconds
    assert fleet(bags, out).run().skipped == 3
    (bags / 'eins.mcap').write_text('other')
    assert fleet(bags, out).run().skipped == 2
    assert (out / 'eins' / 'text').read_text() == 'OTHER'
    assert fleet(bags, out, settings={'stride': 2}).run().skipped == 0
    assert fleet(bags, out, settings={'stride': 2, 'processes': 3}).run().skipped == 3


def test_a_broken_bag_does_not_stop_the_others(bags, tmp_path, inline):
    (bags / 'a.mcap').write_text('broken')
    (bags / 'b.mcap').write_text('bug')
    warned: list[str] = []
    job = fleet(bags, tmp_path / 'out')
    job.warn = warned.append
    facts = job.run()
    assert (facts.done, facts.failed) == (3, 2)
    assert facts.failures == {'a': 'a.mcap is broken', 'b': 'ZeroDivisionError: a bug'}
    assert warned == ['a: a.mcap is broken', 'b: ZeroDivisionError: a bug']
    assert entries(tmp_path / 'out')['a'].status == FAILED
    (bags / 'a.mcap').write_text('mended')
    facts = fleet(bags, tmp_path / 'out').run()
    assert (facts.skipped, facts.done, facts.failed) == (3, 1, 1)


def test_a_bag_that_vanishes_fails_with_its_name(bags, tmp_path, inline):
    job = fleet(bags, tmp_path / 'out')
    (bags / 'eins.mcap').unlink()
    assert 'eins.mcap' in job.run().failures['eins']


def test_a_worker_that_dies_resumes_from_its_work_folder(bags, tmp_path):
    (bags / 'd.mcap').write_text('deadly')
    warned: list[str] = []
    job = fleet(bags, tmp_path / 'out', jobs.mortal_job, retries=1)
    job.warn = warned.append
    facts = job.run()
    assert 'eins: its worker died; attempt 2' in warned
    found = entries(tmp_path / 'out')
    assert (facts.done, facts.failed) == (3, 1)
    assert [found[name].attempts for name in (*NAMES, 'd')] == [2, 2, 2, 2]
    assert 'SIGKILL' in facts.failures['d']
    assert '--memory-mb' in facts.failures['d']


def test_folders_of_others_and_results_of_other_commands_are_kept(bags, tmp_path, inline):
    out = tmp_path / 'out'
    (out / 'eins').mkdir(parents=True)
    with pytest.raises(BagError, match='is no result of this fleet'):
        fleet(bags, out).run()
    assert [path.name for path in out.iterdir()] == ['eins']
    (out / 'eins').rmdir()
    fleet(bags, out).run()
    with pytest.raises(BagError, match='has results of refine; give eval another --out'):
        fleet(bags, out, command='eval').run()


def test_two_calls_at_once_are_an_error(bags, tmp_path, inline):
    nested: list[str] = []

    def cancelled():
        with pytest.raises(ConfigError, match='another job is running') as error:
            fleet(bags, tmp_path / 'out').run()
        nested.append(str(error.value))
        return False

    fleet(bags, tmp_path / 'out', cancelled=cancelled).run()
    assert nested


def test_a_full_disk_is_an_error_and_the_manifest_stays_right(bags, tmp_path, inline, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, 'No space left on device')

    with monkeypatch.context() as patch:
        patch.setattr('videodepth_ros.fleet.place.Place.put', full)
        facts = fleet(bags, tmp_path / 'out').run()
        assert 'free space for' in facts.failures['eins']
        patch.setattr('videodepth_ros.fleet.manifest.Place.write', full)
        with pytest.raises(BagError, match='is full: free space, and run the same command'):
            fleet(bags, tmp_path / 'out2').run()
    assert [one.status for one in entries(tmp_path / 'out2').values()] == [FAILED] * 3
    assert fleet(bags, tmp_path / 'out').run().done == 3


def test_an_interrupted_fleet_resumes(bags, tmp_path, inline):
    with pytest.raises(Cancelled, match='1 bags are done; run the same command again'):
        fleet(bags, tmp_path / 'out', cancelled=lambda: True).run()
    assert fleet(bags, tmp_path / 'out').run().skipped == 1


def test_bags_and_results_in_a_store_of_objects(tmp_path, inline):
    fs = fsspec.filesystem('memory')
    fs.store.clear()
    fs.pipe({f'/bags/{name}.mcap': name.encode() for name in NAMES})
    for skipped in (0, 3):
        facts = fleet('memory://bags', 'memory://out', work=str(tmp_path / 'work')).run()
        assert (facts.skipped, facts.failed) == (skipped, 0)
    assert fs.cat_file('/out/東京/text') == '東京'.encode()
    assert entries('memory://out')['東京'].outputs[1] == 'memory:///out/東京/text'
    assert b'<svg' in fs.cat_file('/out/summary.html')
    assert not (tmp_path / 'work').exists()
    fs.store.clear()


CALL = """
import sys
from pathlib import Path
from test.fleet.test_run import fleet, jobs

if __name__ == '__main__':
    fleet(Path(sys.argv[1]), Path(sys.argv[2]), jobs.slow_job).run()
"""


@pytest.mark.parametrize('how', [signal.SIGKILL])
def test_a_killed_fleet_leaves_a_right_manifest_and_no_process(bags, tmp_path, how, root):
    out = tmp_path / 'out'
    fleet(bags, out).run()
    (bags / 'new.mcap').write_text('new')
    script = tmp_path / 'call.py'
    script.write_text(CALL)
    environment = {**os.environ, 'PYTHONPATH': str(root)}
    call = subprocess.Popen([sys.executable, script, bags, out], env=environment)
    while 'new' not in (out / 'manifest.jsonl').read_text():
        assert call.poll() is None
        time.sleep(0.05)
    call.send_signal(how)
    call.wait()
    lines = [json.loads(line) for line in (out / 'manifest.jsonl').read_text().splitlines()]
    assert {one['name']: one['status'] for one in lines} == {
        **dict.fromkeys(NAMES, DONE),
        'new': 'started',
    }
    facts = fleet(bags, out).run()
    assert (facts.skipped, facts.done) == (3, 1)


def test_engines_that_do_not_fit_are_errors(monkeypatch):
    with pytest.raises(ConfigError, match='--address is of a Ray cluster'):
        open_engine(FleetOptions(engine='local', address='host:6379'))
    with pytest.raises(ConfigError, match='--clips needs --engine ray'):
        open_engine(FleetOptions(engine='local', clips=True))
    monkeypatch.setitem(sys.modules, 'ray', None)
    with pytest.raises(ConfigError, match=r"pip install 'videodepth\[fleet\]'"):
        open_engine(FleetOptions(engine='ray'))


def test_ray_runs_the_same_fleet(bags, tmp_path, ray_of_two):
    job = fleet(bags, tmp_path / 'out', jobs.mortal_job, retries=1)
    job.options = FleetOptions(engine='ray', workers=2, retries=1)
    facts = job.run()
    assert (facts.done, facts.failed) == (3, 0)
    assert all(entry.attempts == 2 for entry in entries(tmp_path / 'out').values())
    assert (tmp_path / 'out' / '東京' / 'text').read_text() == '東京'
