# SPDX-License-Identifier: Apache-2.0
"""A small Align3R network with weights at random, and frames for it."""

from __future__ import annotations

import torch

from videodepth_ros.models.align3r import Align3R, Align3RConfig, StackConfig
from videodepth_ros.models.dpt import DPTConfig

SMALL = Align3RConfig(
    StackConfig(dim=32, depth=2, heads=2, mlp_ratio=2),
    StackConfig(dim=24, depth=8, heads=2, mlp_ratio=2),
    DPTConfig(dim=8, channels=(4, 6, 8, 10), head_dim=6),
)


def small_align3r(seed: int = 0) -> Align3R:
    """Return a network; no branch is silent in it, as the injections are when training starts."""
    torch.manual_seed(seed)
    model = Align3R(SMALL)
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return model.eval()


def frames(count: int, height: int = 48, width: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    """Return images (count, 3, H, W) and point maps (count, H, W, 3)."""
    generator = torch.Generator().manual_seed(count)
    return (
        torch.rand(count, 3, height, width, generator=generator) * 2 - 1,
        torch.rand(count, height, width, 3, generator=generator),
    )
