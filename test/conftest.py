# SPDX-License-Identifier: Apache-2.0
"""What every test may use."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

try:
    from hypothesis import HealthCheck, settings
except ImportError:  # a bare machine with a GPU, where test/gpu runs alone
    pass
else:
    # The verdict is of the code alone: not of how busy the machine is, nor of the day's examples.
    settings.register_profile(
        'patient', deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.load_profile('patient')


@pytest.fixture(autouse=True)
def same_numbers() -> None:
    """Let what a test draws with torch not depend on the tests that ran before it."""
    if 'torch' in sys.modules:
        sys.modules['torch'].manual_seed(0)


@pytest.fixture
def root() -> Path:
    """Return the root of the source tree."""
    return Path(__file__).parents[1]
