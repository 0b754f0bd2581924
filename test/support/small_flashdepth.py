# SPDX-License-Identifier: Apache-2.0
"""Networks small enough for a test, of the shape of each released variant."""

from __future__ import annotations

import torch

from videodepth_ros.models.dpt import DPTConfig
from videodepth_ros.models.flashdepth import FlashDepth, FlashDepthConfig
from videodepth_ros.models.fusion import HybridConfig
from videodepth_ros.models.mamba import MambaConfig
from videodepth_ros.models.vit import ViTConfig

ENCODER = ViTConfig(dim=24, depth=4, heads=2, taps=(0, 1, 2, 3), grid=5)
DECODER = DPTConfig(dim=16, channels=(8, 8, 12, 12), head_dim=8)
MAMBA = MambaConfig(expand=2, head_dim=8, d_state=16, layers=2)
SMALL_S = FlashDepthConfig(ENCODER, DECODER, MAMBA, mamba_stage=3)
SMALL_L = FlashDepthConfig(ENCODER, DECODER, MAMBA, mamba_stage=1)
SMALL_HYBRID = FlashDepthConfig(
    ENCODER,
    DECODER,
    MAMBA,
    mamba_stage=3,
    hybrid=HybridConfig(ENCODER, DECODER, height=70, layers=3),
)
EACH = {'S': SMALL_S, 'L': SMALL_L, 'hybrid': SMALL_HYBRID}


def small_model(config: FlashDepthConfig, seed: int = 0) -> FlashDepth:
    """Return a network whose every part has an effect on its output, which is seldom zero."""
    torch.manual_seed(seed)
    model = FlashDepth(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:
                gain = 4 if 'final_layer' in name else 1.2
                parameter.normal_(std=gain * parameter[0].numel() ** -0.5)
            elif name.endswith(('dt_bias', 'A_log')):  # steps near one: the past is felt
                parameter.normal_(std=0.3)
            else:
                parameter += 0.1 * torch.randn_like(parameter)
        model.depth_head.scratch['output_conv2'][2].weight.abs_()
    return model


def relmax(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """Return the largest difference as a fraction of the largest value."""
    return ((found - wanted).abs().max() / wanted.abs().max()).item()


def clip(
    frames: int = 3, height: int = 84, width: int = 112, batch: int = 1, seed: int = 1
) -> torch.Tensor:
    """Return normalised images (B, T, 3, H, W)."""
    return torch.randn(
        batch, frames, 3, height, width, generator=torch.Generator().manual_seed(seed)
    )
