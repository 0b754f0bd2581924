# SPDX-License-Identifier: Apache-2.0
"""The container: its recipe, its targets, its entry point. Images are not built here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

STUBS = {
    'ros2': 'if [ "$1" = topic ]; then printf "%s\\n" $STATE; else echo "ros2 $*"; fi',
    'videodepth': 'echo "videodepth $*"',
}


@pytest.fixture
def dockerfile(root):
    return (root / 'containers/Dockerfile').read_text().replace('\\\n', ' ')


@pytest.fixture
def bake(root):
    return (root / 'containers/docker-bake.hcl').read_text()


def copied_sources(dockerfile):
    """Return the paths that the recipe copies from the build context."""
    lines = re.findall(r'^COPY (?!--from)(.+)$', dockerfile, re.MULTILINE)
    return [word for line in lines for word in line.split()[:-1] if not word.startswith('--')]


def test_every_copied_path_is_in_the_context(root, dockerfile):
    ignored = (root / '.dockerignore').read_text().split()
    for source in copied_sources(dockerfile):
        assert (root / source).exists(), source
        assert f'/{source}/' not in ignored


def test_the_image_runs_without_root_and_checks_itself(dockerfile):
    final_stage = dockerfile.split('FROM ')[-1]
    assert re.findall(r'^USER (\S+)', final_stage, re.MULTILINE) == ['1001']
    assert re.search(r'^HEALTHCHECK .*"entrypoint.sh", "health"', final_stage, re.MULTILINE)
    assert re.search(r'^STOPSIGNAL SIGINT$', final_stage, re.MULTILINE)


def test_each_target_gives_arguments_that_the_recipe_has(dockerfile, bake):
    declared = set(re.findall(r'^ARG (\w+)', dockerfile, re.MULTILINE))
    given = set(re.findall(r'^    (\w+) +=', bake, re.MULTILINE))
    assert given
    assert given <= declared
    assert set(re.findall(r'^target "(\w+)"', bake, re.MULTILINE)) == {
        'common', 'cpu', 'cuda', 'jetpack6', 'jetpack7',
    }  # fmt: skip


def test_base_images_have_a_version(dockerfile, bake):
    bases = re.findall(r'BASE\s*=\s*"?([^"\s]+)', dockerfile + bake)
    assert len(bases) == 4
    for base in bases:
        assert re.search(r':[a-z]*\d', base), base


def test_compose_shares_memory_under_the_user_of_the_image(root, dockerfile):
    services = yaml.safe_load((root / 'containers/compose.yaml').read_text())['services']
    user = re.search(r'--uid (\d+)', dockerfile)[1]
    assert set(services) == {'camera', 'depth', 'job'}
    for service in services.values():
        assert (service['network_mode'], service['ipc']) == ('host', 'host')
        assert service['user'] == user


def run_entrypoint(root, folder, *arguments, state='', main='', node=None):
    """Run the entry point where ``ros2`` and ``videodepth`` print their arguments."""
    for name, body in STUBS.items():
        stub = folder / name
        stub.write_text(f'#!/bin/bash\n{body}\n')
        stub.chmod(0o755)
    (folder / 'cmdline').write_bytes(main.replace(' ', '\0').encode())
    environment = {
        'PATH': f'{folder}{os.pathsep}/usr/bin{os.pathsep}/bin',
        'ROS_DISTRO': 'none',
        'STATE': state,
        'VIDEODEPTH_MAIN_PROCESS': str(folder),
        **({'VIDEODEPTH_NODE': node} if node else {}),
    }
    return subprocess.run(
        ['bash', root / 'containers/entrypoint.sh', *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
    )


@pytest.mark.parametrize(
    'arguments, expected',
    [
        (['live', 'image_topic:=/a b'], 'ros2 launch videodepth live.launch.py image_topic:=/a b'),
        (['offline'], 'ros2 launch videodepth offline.launch.py'),
        (['refine', 'bag', 'out', '--prior', 'nano'], 'videodepth refine bag out --prior nano'),
        (['fleet', 'refine', '*.mcap'], 'videodepth fleet refine *.mcap'),
        ([], 'videodepth doctor'),
        (['bash', '-c', 'echo shell'], 'shell'),
    ],
)
def test_the_entry_point_starts(root, tmp_path, arguments, expected):
    done = run_entrypoint(root, tmp_path, *arguments)
    assert (done.returncode, done.stdout.strip()) == (0, expected)


LIVE = 'python3 ros2 launch videodepth live.launch.py'


@pytest.mark.parametrize(
    'main, state, healthy, words',
    [
        (LIVE, 'running', True, 'running'),
        (LIVE, 'waiting', True, 'waiting'),
        (LIVE, 'failed', False, '/cameras/front has failed'),
        (LIVE, '', False, 'no status on /cameras/front/status'),
        ('python videodepth refine bag out', '', True, ''),
    ],
)
def test_the_health_check(root, tmp_path, main, state, healthy, words):
    done = run_entrypoint(root, tmp_path, 'health', state=state, main=main, node='/cameras/front')
    assert (done.returncode == 0) == healthy
    assert words in done.stdout + done.stderr


@pytest.mark.parametrize(
    'linter, file',
    [('hadolint', 'containers/Dockerfile'), ('shellcheck', 'containers/entrypoint.sh')],
)
def test_linters_find_nothing(root, linter, file):
    program = shutil.which(linter)
    if program is None:
        pytest.skip(f'{linter} is not installed')
    done = subprocess.run([program, root / file], capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
@pytest.mark.ros
def test_cmake_configures_with_what_is_copied(root, tmp_path, dockerfile):
    prefixes = os.environ.get('AMENT_PREFIX_PATH')
    if not prefixes or not shutil.which('cmake'):
        pytest.skip('ROS 2 and cmake are needed')
    for source in copied_sources(dockerfile):
        target = tmp_path / 'src' / source
        target.parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (root / source).is_dir() else shutil.copy
        copy(root / source, target)
    environment = {
        **os.environ,
        'PATH': f'{Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}',
        'CMAKE_PREFIX_PATH': prefixes,
    }
    done = subprocess.run(
        ['cmake', '-S', tmp_path / 'src', '-B', tmp_path / 'build', '-Wno-dev',
         '-DBUILD_TESTING=OFF', f'-DPython3_EXECUTABLE={sys.executable}'],
        env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
