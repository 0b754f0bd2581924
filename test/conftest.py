# SPDX-License-Identifier: Apache-2.0
"""What every test may use."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / 'shared'


@pytest.fixture
def root() -> Path:
    """Return the root of the source tree."""
    return ROOT


def shared(relative: str) -> Path:
    """Return a file or folder of the reference data; skips the test where it is not at hand."""
    path = SHARED / relative
    if not path.exists():
        pytest.skip(f'reference data ../shared/{relative} is not beside the tree')
    return path
