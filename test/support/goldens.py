# SPDX-License-Identifier: Apache-2.0
"""What the reference data of every system share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
import torch

GOLDENS = Path(__file__).parents[2].parent / 'shared' / 'goldens'
Network = TypeVar('Network', bound=torch.nn.Module)


def golden(system: str, name: str) -> Path:
    """Return a file of the reference data; skips the test where it is not at hand."""
    path = GOLDENS / system / name
    if not path.exists():
        pytest.skip(f'reference data ../shared/goldens/{system}/{name} is not beside the tree')
    return path


def by_rule(
    make: Callable[[], Network], weight: Callable[[str, tuple[int, ...]], np.ndarray]
) -> Network:
    """Return a network whose weights follow from their names and shapes."""
    with torch.device('meta'):
        model = make()
    weights = {
        key: torch.from_numpy(weight(key, tuple(value.shape)))
        for key, value in model.state_dict().items()
    }
    model.load_state_dict(weights, assign=True)  # of two names of one tensor the later one wins
    return model.eval()
