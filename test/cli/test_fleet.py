# SPDX-License-Identifier: Apache-2.0
"""The command on real bags, in processes of this machine."""

from __future__ import annotations

import json
import subprocess
import sys

import cv2
import numpy as np
import pytest

from videodepth_ros.bags.reader import open_bag
from videodepth_ros.cli import main
from videodepth_ros.cli.evaluate import EvaluateOptions
from videodepth_ros.cli.fleet_jobs import eval_job, preview_jpeg, refine_job, run_bag_job
from videodepth_ros.cli.run_bag import RunBagOptions
from videodepth_ros.cli.sample import make_sample
from videodepth_ros.fleet.memory import refine_memory_mb
from videodepth_ros.fleet.place import Place
from videodepth_ros.refine.job import refine_bag
from videodepth_ros.refine.settings import RefineSettings

pytestmark = pytest.mark.slow

QUICK = RefineSettings(prior='bag', stereo=False)


@pytest.fixture(scope='module')
def drives(tmp_path_factory):
    folder = tmp_path_factory.mktemp('fleet') / 'drives'
    for seed, name in enumerate(('montag', 'Dienstag früh')):
        make_sample(str(folder / name), 'studios', seed, 0.4, 10.0, (160, 120))
    return folder


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_fleet_writes_the_bytes_of_the_command(run, drives, tmp_path, capfd):
    (drives / 'broken.mcap').write_bytes(b'nothing')
    flags = ('--prior', 'bag', '--no-stereo', '--engine', 'local', '--truth', 'self')
    code, facts = run('fleet', 'refine', drives / '*', '--out', tmp_path / 'out', *flags)
    (drives / 'broken.mcap').unlink()
    printed = capfd.readouterr()
    assert code == 1
    assert (facts['done'], facts['failed']) == (2, 1)
    assert printed.err.count('broken: nothing of') == 1
    assert 'broken' not in printed.out.partition('{')[0]
    assert '3 bags, 0 of them done before' in printed.err
    refine_bag(drives / 'montag', tmp_path / 'one' / 'montag', QUICK)
    assert contents(tmp_path / 'out' / 'montag') == contents(tmp_path / 'one' / 'montag')
    lines = (tmp_path / 'out' / 'manifest.jsonl').read_text().splitlines()
    rows = {row['name']: row for row in map(json.loads, lines)}
    assert rows['montag']['settings'] == {'prior': 'bag', 'stereo': False}
    assert rows['montag']['scale_source'] == 'depth'
    assert rows['montag']['figures']['ate_rmse_m'] < 0.05
    assert 0.2 < rows['Dienstag früh']['figures']['duration_s'] < 0.4
    page = (tmp_path / 'out' / 'summary.html').read_text()
    assert 'ATE rmse' in page
    assert page.count('data:image/jpeg') == 2


def test_jobs_return_errors_against_a_truth_and_a_preview(drives, tmp_path, instant):
    bag = drives / 'montag'
    refined = refine_job(bag, tmp_path / 'refined', QUICK, None)
    assert 'abs_rel' not in refined.figures
    picture = cv2.imdecode(np.frombuffer(refined.preview, np.uint8), cv2.IMREAD_COLOR)
    assert picture.std() > 10
    streamed = run_bag_job(bag, tmp_path / 'depth', RunBagOptions(), bag)
    assert streamed.figures['frames'] == 4
    assert streamed.figures['abs_rel'] > 0
    picture = cv2.imdecode(np.frombuffer(streamed.preview, np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (180, 480, 3)
    errors = eval_job(tmp_path / 'refined', tmp_path / 'errors', EvaluateOptions(), bag)
    assert errors.figures['ate_rmse_m'] < 0.05
    assert json.loads((tmp_path / 'errors' / 'errors.json').read_text())['depth']


def test_a_bag_without_truth_has_a_note(drives, tmp_path):
    from videodepth_ros.bags.writer import BagWriter

    with open_bag(drives / 'montag') as bag, BagWriter(tmp_path / 'bare') as bare:
        for topic, recorded_ns, message in bag.messages():
            topic = topic.replace('/ground_truth/depth/', '/camera/depth/')
            if topic.startswith('/camera/'):
                bare.write(topic, recorded_ns, message)
    settings = RefineSettings(prior='bag', frames=2, stereo=False)
    facts = refine_job(tmp_path / 'bare', tmp_path / 'refined', settings, tmp_path / 'bare')
    assert 'not evaluated: nothing to compare' in facts.notes[-1]
    assert preview_jpeg(tmp_path / 'bare', tmp_path / 'bare') == b''


def test_memory_is_that_of_the_plan(drives, tmp_path):
    lines: list[str] = []
    refine_bag(drives / 'montag', tmp_path / 'out', QUICK, log=lines.append)
    planned = next(line for line in lines if line.startswith('plan:'))
    expected_mb = refine_memory_mb(Place.of(str(drives / 'montag')), QUICK, 1)
    assert f'about {expected_mb:.0f} MB of memory' in planned
    assert refine_memory_mb(Place.of('memory://a/b.mcap'), QUICK, 1) > expected_mb


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['refine'], 'the following arguments are required: BAG, --out'),
        (['refine', 'x', '--out', 'y', '--sride', '2'], 'did you mean --stride?'),
        (['eval', 'x', '--out', 'y', '--stereo'], 'unrecognized arguments: --stereo'),
        (['refine', 'x', '--out', 'y', '--gpus', '-1'], '0 to 64'),
        (['paint', 'x', '--out', 'y'], 'invalid choice'),
    ],
)
def test_wrong_usage_exits_with_2_and_the_usage_of_the_job(arguments, message, capsys):
    with pytest.raises(SystemExit) as ended:
        main(['fleet', *arguments])
    assert ended.value.code == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert 'usage: videodepth fleet' in printed


def test_a_glob_without_matches_is_one_line(tmp_path, capsys):
    assert main(['fleet', 'refine', f'{tmp_path}/*', '--out', str(tmp_path / 'out')]) == 1
    assert capsys.readouterr().err.count('\n') == 1
    assert not (tmp_path / 'out').exists()


def test_help_needs_neither_ray_nor_a_solver():
    code = (
        'import sys\nfrom videodepth_ros.cli import main\n'
        'try:\n    main(["fleet", "--help"])\nexcept SystemExit:\n    pass\n'
        'sys.exit(", ".join({"ray", "torch", "fsspec", "pyarrow"} & set(sys.modules)) or 0)'
    )
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert 'refine' in done.stdout
