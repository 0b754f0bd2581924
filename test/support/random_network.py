# SPDX-License-Identifier: Apache-2.0
"""Networks of any configuration with random weights."""

from __future__ import annotations

import torch

from videodepth_ros.models.flashdepth import FlashDepth, FlashDepthConfig


def random_model(config: FlashDepthConfig, seed: int = 2) -> FlashDepth:
    """Return a network whose every layer does something, also those that start at zero."""
    torch.manual_seed(seed)
    model = FlashDepth(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=parameter[0].numel() ** -0.5)
        model.depth_head.scratch['output_conv2'][2].bias.fill_(2.0)  # above the last ReLU
    return model
