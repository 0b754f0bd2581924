# SPDX-License-Identifier: Apache-2.0
"""What a ROS user meets: the package's manifest, its messages and its programs."""

from __future__ import annotations

import configparser
import functools
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

RIHS_TFMESSAGE = 'RIHS01_e369d0f05a23ae52508854b66f6aa0437f3449d652e8cbf22d5abe85d020f087'


def package_prefix() -> str:
    packages = pytest.importorskip('ament_index_python.packages', reason='ROS 2 is not installed')
    try:
        return packages.get_package_prefix('videodepth')
    except packages.PackageNotFoundError:
        pytest.skip('the package is not built: run make setup')


def test_one_version_everywhere(root):
    manifest = ET.parse(root / 'package.xml').getroot()
    setup = configparser.ConfigParser()
    setup.read(root / 'setup.cfg')
    newest = re.search(r'^(\d+\.\d+\.\d+)', (root / 'CHANGELOG.rst').read_text(), re.MULTILINE)
    assert newest
    cited = re.search(r'^version: (\S+)', (root / 'CITATION.cff').read_text(), re.MULTILINE)
    assert cited
    version = setup['metadata']['version']
    assert {manifest.findtext('version'), newest.group(1), cited.group(1)} == {version}


def test_the_manifest_is_valid(root):
    catkin = pytest.importorskip('catkin_pkg.package', reason='catkin_pkg is not installed')
    warnings: list[str] = []
    package = catkin.parse_package(str(root / 'package.xml'), warnings=warnings)
    package.validate(warnings=warnings)
    assert package.name == 'videodepth'
    assert package.package_format == 3
    assert not [one.name for one in package.exec_depends if one.name.endswith('-pip')], (
        'package.xml states why'
    )
    assert not warnings


def test_messages_are_built():
    package_prefix()
    from videodepth.msg import Status

    assert Status.RUNNING == 'running'


def test_actions_are_built():
    package_prefix()
    from videodepth.action import Refine

    assert Refine.Goal().play
    assert Refine.Feedback().preview.height == 0


def test_tf2_msgs_is_the_interface_that_ros_knows():
    packages = pytest.importorskip('ament_index_python.packages', reason='ROS 2 is not installed')
    share = Path(packages.get_package_share_directory('tf2_msgs'))
    described = json.loads((share / 'msg' / 'TFMessage.json').read_text())['type_hashes']
    hashes = {entry['type_name']: entry['hash_string'] for entry in described}
    assert hashes['tf2_msgs/msg/TFMessage'] == RIHS_TFMESSAGE


@pytest.mark.parametrize(
    'program',
    [
        'bin/videodepth',
        'lib/videodepth/live_node',
        'lib/videodepth/cameras_node',
        'lib/videodepth/offline_node',
    ],
)
def test_programs_are_installed_and_start(program):
    path = os.path.join(package_prefix(), program)
    assert os.access(path, os.X_OK)
    if program.endswith('videodepth'):
        subprocess.run([path, '--help'], check=True, stdout=subprocess.DEVNULL)


WITHOUT_ROS = """import sys
class NoRos:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in ('rclpy', 'sensor_msgs', 'videodepth'):
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)
sys.meta_path.insert(0, NoRos())
"""


@pytest.fixture
def wheel_environment(root, tmp_path):
    """Return a virtual environment with the wheel of the sdist, its dependencies and no ROS."""
    tracked = subprocess.run(['git', 'ls-files', '-z'], cwd=root, capture_output=True, text=True)
    if tracked.returncode:
        pytest.skip('the tree is not a git checkout: the files of the sdist are not known')
    source = tmp_path / 'source'
    for name in filter(None, tracked.stdout.split('\0')):
        if (root / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / name, source / name)
    run = functools.partial(subprocess.run, check=True, stdout=subprocess.DEVNULL)
    run([sys.executable, 'setup.py', '-q', 'sdist', '--dist-dir', tmp_path], cwd=source)
    (sdist,) = tmp_path.glob('*.tar.gz')
    run([sys.executable, '-m', 'venv', '--without-pip', tmp_path / 'venv'])
    (site,) = (tmp_path / 'venv').glob('lib/python*/site-packages')
    (site / 'dependencies.pth').write_text(sysconfig.get_path('purelib'))  # after the wheel
    python = tmp_path / 'venv/bin/python'
    run([sys.executable, '-m', 'pip', '--python', python, 'install', '--quiet', '--no-deps',
         '--ignore-installed', '--no-build-isolation', sdist])  # fmt: skip
    (site / 'sitecustomize.py').write_text(WITHOUT_ROS)
    return tmp_path / 'venv/bin'


@pytest.mark.slow
def test_the_wheel_works_without_ros(wheel_environment, tmp_path):
    environment = {'HOME': str(tmp_path), 'PATH': f'{wheel_environment}:/usr/bin:/bin'}
    run = functools.partial(
        subprocess.run, env=environment, cwd=tmp_path / 'work', capture_output=True, text=True
    )
    (tmp_path / 'work').mkdir()
    for command in (
        'sample scene --scene living_room --seconds 1 --size 160x120',
        'refine scene refined --no-stereo',
        'eval refined scene --align scale --json eval.json',
    ):
        done = run(['videodepth', *command.split()])
        assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / 'work/eval.json').read_text())
    assert figures['depth']['frames'] == 15
    code = 'import videodepth_ros; print(videodepth_ros.__file__)'
    done = run(['python', '-c', code])
    assert str(wheel_environment.parent) in done.stdout
