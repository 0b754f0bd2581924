# SPDX-License-Identifier: Apache-2.0
"""Constant matrices of networks, without a copy per frame."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def device_constant(
    make: Callable[..., NDArray[np.generic]],
    *arguments: int,
    like: Tensor,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Return ``make(*arguments)`` as a tensor on the device of ``like``.

    On a GPU it is copied once and kept: a copy synchronises, and captured graphs need fixed
    addresses. On the CPU it shares the array's memory.
    """
    if like.device.type == 'cuda':
        return _kept(make, arguments, dtype, like.device)
    return torch.as_tensor(make(*arguments), dtype=dtype, device=like.device)


@cache
def _kept(
    make: Callable[..., NDArray[np.generic]],
    arguments: tuple[int, ...],
    dtype: torch.dtype | None,
    device: torch.device,
) -> Tensor:
    with torch.inference_mode(False):  # a network that is trained may read it too
        return torch.as_tensor(make(*arguments), dtype=dtype, device=device)
