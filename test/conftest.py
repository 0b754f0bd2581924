# SPDX-License-Identifier: Apache-2.0
"""What every test may use."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def root() -> Path:
    """Return the root of the source tree."""
    return Path(__file__).parents[1]
