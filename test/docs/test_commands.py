# SPDX-License-Identifier: Apache-2.0
"""Every command of the README and the documentation runs, or is at least one that exists."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from test.support.documents import DOCUMENTS, ROOT, Block, blocks
from videodepth_ros.cli import main

BLOCKS = [block for document in DOCUMENTS for block in blocks(document)]
SHELL = [block for block in BLOCKS if block.language == 'bash']
RUN = sorted({block.document for block in SHELL if not block.reason})
COMMANDS = [(block, command) for block in SHELL for command in block.commands()]

PROGRAM = f"""#!{sys.executable}
import sys
from videodepth_ros.cli import main

if __name__ == '__main__':
    sys.exit(main())
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Return an environment in which ``videodepth`` is the program of this tree."""
    program = tmp_path / 'bin' / 'videodepth'
    program.parent.mkdir()
    program.write_text(PROGRAM)
    program.chmod(0o755)
    path = f'{program.parent}{os.pathsep}{os.environ["PATH"]}'
    return {**os.environ, 'PATH': path, 'PYTHONPATH': str(ROOT)}


@pytest.mark.slow
@pytest.mark.parametrize('document', RUN, ids=lambda document: document.name)
def test_commands_run(document: Path, environment, tmp_path):
    """Blocks of one document run in its order, in one folder; of `make` the recipe is read."""
    folder = tmp_path / 'work'
    folder.mkdir()
    for block in (block for block in SHELL if block.document == document and not block.reason):
        for command in block.commands():
            if command.startswith('make '):
                command = command.replace('make ', f'make --dry-run --directory {ROOT} ')
            done = subprocess.run(
                ['bash', '-euo', 'pipefail', '-c', command],
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            # doctor exits with 1 where something is not installed
            accepted = (0, 1) if command.endswith('doctor') else (0,)
            assert done.returncode in accepted, f'{block.name}: {command}\n{done.stderr[-2000:]}'


def videodepth_calls() -> list[tuple[Block, list[str]]]:
    words = [(block, shlex.split(command.partition('&&')[0])) for block, command in COMMANDS]
    return [(block, call[1:]) for block, call in words if Path(call[0]).name == 'videodepth']


@pytest.mark.parametrize(
    ('block', 'arguments'),
    [pytest.param(*call, id=' '.join(call[1])) for call in videodepth_calls()],
)
def test_flags_exist(block: Block, arguments: list[str], capsys):
    flags = {word.partition('=')[0] for word in arguments if word.startswith('--')}
    words = arguments[: 2 if arguments[0] == 'fleet' else 1]
    command = [word for word in words if not word.startswith('--')]
    with pytest.raises(SystemExit) as ended:
        main([*command, '--help'])
    assert ended.value.code in (0, None)
    known = set(re.findall(r'--[a-z][\w-]*', capsys.readouterr().out))
    assert flags <= known, f'{block.name}: unknown flags {sorted(flags - known)}'


@pytest.mark.parametrize('document', DOCUMENTS, ids=lambda document: document.name)
def test_modules_and_files_exist(document: Path):
    text = document.read_text()
    for module in re.findall(r'python -m ((?:bench|training|videodepth_ros)[\w.]*)', text):
        path = ROOT / module.replace('.', '/')
        assert path.with_suffix('.py').exists() or path.is_dir(), module
    for file in re.findall(r'python ((?:bench|training|tools)/[\w/]+\.py)', text):
        assert (ROOT / file).exists(), file
    for launch in re.findall(r'(?<!_launch )\b\w+\.launch\.py', text):
        assert (ROOT / 'launch' / launch).exists(), launch
    for preset in re.findall(r'config/[\w/]+\.\w+', text):
        assert (ROOT / preset).exists(), preset
    for module in re.findall(r'(?<![\w/])(?:videodepth_ros/)?([a-z]+(?:/\w+)+\.py)\b', text):
        places = (ROOT / module, ROOT / 'videodepth_ros' / module, ROOT / 'training' / module)
        assert 'NAME' in module or any(place.exists() for place in places), module


@pytest.mark.slow
@pytest.mark.parametrize(
    'block',
    [
        pytest.param(block, id=block.name)
        for block in BLOCKS
        if block.language == 'python' and not block.reason
    ],
)
def test_python_examples_run(block: Block, environment, tmp_path):
    subprocess.run([sys.executable, '-c', block.text], cwd=tmp_path, env=environment, check=True)


def test_every_block_has_a_language_and_every_skipped_one_a_reason():
    for document in DOCUMENTS:
        fences = len(re.findall(r'^```', document.read_text(), re.MULTILINE))
        assert fences == 2 * len(blocks(document)), document
    assert all(len(block.reason.split()) >= 3 for block in BLOCKS if block.reason)
