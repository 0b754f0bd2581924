# SPDX-License-Identifier: Apache-2.0
"""Frames in Rerun, read back with its own program."""

from __future__ import annotations

import subprocess
import sys

import pytest

from test.support.results_bag import write_recording, write_results
from videodepth_ros.cli import main
from videodepth_ros.core.errors import ConfigError
from videodepth_ros.view.rerun_log import RerunLog, check_target, log_recording

pytestmark = pytest.mark.slow


def rerun_program(*arguments: str) -> str:
    """Return what the program of Rerun prints."""
    code = 'import sys; from rerun_cli.__main__ import main; sys.exit(main())'
    done = subprocess.run(
        [sys.executable, '-c', code, *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout + done.stderr


@pytest.fixture
def rerun():
    return pytest.importorskip('rerun', reason='the extra rerun is not installed')


def test_a_recording_becomes_a_file_of_rerun(rerun, tmp_path):
    results, images = write_results(tmp_path / 'out', 3), write_recording(tmp_path / 'in', 3)
    target = tmp_path / 'out.rrd'
    assert log_recording(results, images, str(target), lambda progress: None) == 3
    text = rerun_program('rrd', 'print', str(target))
    for entity in ('/world/path', '/world/camera/image', '/world/camera/depth', '/scalars/'):
        assert entity in text
    stats = rerun_program('rrd', 'stats', str(target))
    for component in ('Pinhole:image_from_camera', 'DepthImage:meter', 'Transform3D:translation'):
        assert component in stats
    assert 'stamp' in stats


def test_the_command_logs_what_it_has_computed(rerun, tmp_path):
    results, images = write_results(tmp_path / 'out', 2), write_recording(tmp_path / 'in', 2)
    target = tmp_path / 'out.rrd'
    assert main(['view', str(results), '--images', str(images), '--rerun', str(target)]) == 0
    assert target.stat().st_size > 1000


def test_wrong_targets_are_refused(rerun, tmp_path):
    with pytest.raises(ConfigError, match=r'ends in \.rrd'):
        check_target(str(tmp_path / 'out.mcap'))
    (tmp_path / 'old.rrd').touch()
    with pytest.raises(ConfigError, match='exists'):
        RerunLog(str(tmp_path / 'old.rrd'))


def test_a_refined_bag_opens_in_rerun(rerun, tmp_path):
    results, target = write_results(tmp_path / 'out', 3), tmp_path / 'loaded.rrd'
    rerun_program('mcap', 'convert', str(next(results.glob('*.mcap'))), '-o', str(target))
    stats = rerun_program('rrd', 'stats', str(target))
    for entity in ('/tf', '/videodepth/depth/image', '/videodepth/depth/camera_info'):
        assert f'{entity}: ' in stats
    assert 'DepthImage' in stats
    assert 'Pinhole' in stats


def test_without_the_extra_it_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, 'rerun', None)
    with pytest.raises(ConfigError, match=r'videodepth\[rerun\]'):
        check_target(str(tmp_path / 'out.rrd'))
