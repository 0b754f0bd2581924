# SPDX-License-Identifier: Apache-2.0
"""The dense prediction transformer's decoder: four encoder maps to one map at the image's size.

Ranftl et al. 2021 (arXiv 2103.13413), in the shape that Depth Anything V2 gave it. Every resize
aligns corners. Attribute names are those of the published checkpoints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from videodepth_ros.models.vit import EncoderConfig, Four


@dataclass(frozen=True)
class DPTConfig:
    """Sizes of the decoder.

    dim       channels of every path of the decoder
    channels  channels of the four maps after projection, fine to coarse
    head_dim  channels at the image's size, before the last 1x1 convolution
    """

    dim: int
    channels: Four
    head_dim: int = 32


def resize(x: Tensor, size: Sequence[int]) -> Tensor:
    """Resize (B, C, h, w) to (B, C, *size) bilinearly, corners aligned."""
    return F.interpolate(x, tuple(size), mode='bilinear', align_corners=True)


class DPT(nn.Module):
    """The decoder, called stage by stage so that time and fusion can enter between the stages.

    Level i in 1..4 is an encoder map at patch / 4 * 2**(i - 1) pixels a cell. Stage 4 starts from
    level 4, and stages 3, 2 and 1 each merge the next finer level; ``path_i`` is what stage i
    returns, at the size of level i - 1 (path_1: twice that of level 1).
    """

    def __init__(self, encoder: EncoderConfig, config: DPTConfig) -> None:
        super().__init__()
        strides = [encoder.patch / 4 * 2**i for i in range(4)]
        self.projects = nn.ModuleList(
            nn.Conv2d(c, d, 1) for c, d in zip(encoder.channels, config.channels, strict=True)
        )
        self.resize_layers = nn.ModuleList(
            resize_layer(channels, given / wanted)
            for channels, given, wanted in zip(
                config.channels, encoder.strides, strides, strict=True
            )
        )
        dim = config.dim
        self.scratch = nn.ModuleDict()
        for i, channels in enumerate(config.channels, start=1):
            self.scratch[f'layer{i}_rn'] = nn.Conv2d(channels, dim, 3, padding=1, bias=False)
            self.scratch[f'refinenet{i}'] = FeatureFusion(dim)
        self.scratch['output_conv1'] = nn.Conv2d(dim, dim // 2, 3, padding=1)
        self.scratch['output_conv2'] = nn.Sequential(
            nn.Conv2d(dim // 2, config.head_dim, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(config.head_dim, 1, 1),
            nn.ReLU(),
        )

    def level(self, i: int, encoded: Tensor) -> Tensor:
        """Bring the i-th encoder map (B, C_i, h_i, w_i) to the decoder's width and level i."""
        return self.scratch[f'layer{i}_rn'](
            self.resize_layers[i - 1](self.projects[i - 1](encoded))
        )

    def levels(self, encoded: Sequence[Tensor]) -> list[Tensor]:
        """Levels 1 to 4 of the four encoder maps."""
        return [self.level(i, x) for i, x in enumerate(encoded, start=1)]

    def stage_4(self, level_4: Tensor, size: Sequence[int]) -> Tensor:
        """path_4 at ``size`` (h, w), that of level 3."""
        return self.scratch['refinenet4'](level_4, None, size)

    def stage(self, i: int, path: Tensor, levels: Sequence[Tensor]) -> Tensor:
        """path_i of path_{i+1} and level i, for i in 3, 2, 1."""
        skip = levels[i - 1]
        size = levels[i - 2].shape[-2:] if i > 1 else [2 * n for n in skip.shape[-2:]]
        return self.scratch[f'refinenet{i}'](path, skip, size)

    def head(self, path_1: Tensor, size: Sequence[int]) -> Tensor:
        """Prediction (B, H, W) >= 0 at ``size`` (H, W) from path_1."""
        x = resize(self.scratch['output_conv1'](path_1), size)
        return self.scratch['output_conv2'](x).squeeze(1)


class FeatureFusion(nn.Module):
    """Add a skip connection to a path, refine, resize and mix the channels."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.resConfUnit1 = ResidualConv(dim)  # in stage 4 there is no skip: its weights idle
        self.resConfUnit2 = ResidualConv(dim)
        self.out_conv = nn.Conv2d(dim, dim, 1)

    def forward(self, path: Tensor, skip: Tensor | None, size: Sequence[int]) -> Tensor:
        """Path and skip (B, C, h, w) to (B, C, *size)."""
        if skip is not None:
            path = path + self.resConfUnit1(skip)
        return self.out_conv(resize(self.resConfUnit2(path), size))


class ResidualConv(nn.Module):
    """Two pre-activated 3x3 convolutions beside an identity."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(dim, dim, 3, padding=1)
        self.conv2 = nn.Conv2d(dim, dim, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, h, w) to the same."""
        return x + self.conv2(F.relu(self.conv1(F.relu(x))))


def resize_layer(channels: int, factor: float) -> nn.Module:
    """Return the learned resize by a factor: 4 and 2 enlarge, 1 does nothing, 1/2 halves."""
    if factor in (2, 4):
        side = int(factor)
        return nn.ConvTranspose2d(channels, channels, side, stride=side)
    if factor == 1:
        return nn.Identity()
    if factor == 0.5:
        return nn.Conv2d(channels, channels, 3, stride=2, padding=1)
    raise ValueError(
        f'no learned resize by {factor}: encoder strides must be 1/2, 1, 2 or 4 '
        f'times those of the decoder'
    )
