# SPDX-License-Identifier: Apache-2.0
"""The documentation builds without warnings, its links lead somewhere, its picture is current."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from test.support.documents import DOCUMENTS

WORDS_OF_PERSONS = re.compile(
    r'\b(tells?|told|says?|said|nobody|somebody|whoever|believes?|believed)\b', re.IGNORECASE
)


@pytest.mark.slow
def test_the_site_builds_without_warnings(root, tmp_path):
    pytest.importorskip('mkdocs', reason='pip install -r requirements/dev.txt')
    command = ['-m', 'mkdocs', 'build', '--strict', '--quiet', '--site-dir', str(tmp_path)]
    done = subprocess.run(
        [sys.executable, *command], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / 'index.html').exists()


def test_the_readme_is_short(root):
    assert len((root / 'README.md').read_bytes()) <= 8000


@pytest.mark.parametrize('document', DOCUMENTS, ids=lambda document: document.name)
def test_links_lead_to_files(document: Path):
    for target in re.findall(r'\]\((?!https?:|#)([^)#\s]+)', document.read_text()):
        assert (document.parent / target).exists(), target


@pytest.mark.parametrize('document', DOCUMENTS, ids=lambda document: document.name)
def test_code_is_not_a_person(document: Path):
    assert not WORDS_OF_PERSONS.findall(document.read_text())


def test_the_picture_of_the_architecture_is_that_of_the_imports(root):
    subprocess.run([sys.executable, root / 'tools/draw_architecture.py', '--check'], check=True)
