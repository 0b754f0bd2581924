# SPDX-License-Identifier: Apache-2.0
"""Tests that need a GPU; they skip without one.

On a bare machine with torch: ``python -m pytest test/gpu -p no:cacheprovider`` in the tree.
"""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_collection_modifyitems(items):
    """Skip what stands here where torch sees no GPU."""
    import torch

    if torch.cuda.is_available():
        return
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=f'torch {torch.__version__} sees no GPU'))
