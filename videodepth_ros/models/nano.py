# SPDX-License-Identifier: Apache-2.0
"""The bundled small network: FlashDepth's decoder and temporal module, an encoder of its own.

The encoder is a convolutional stem, which learns from few images and is cheap where the map is
large, and a small transformer on patches of 16 pixels, which sees the whole image, for scale is a
matter of the whole scene. Batch norms follow convolutions only, so that engines fold them away.
Trained from scratch by training/; the output is canonical inverse depth 100 fx / (width Z).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from videodepth_ros.models.dpt import DPTConfig
from videodepth_ros.models.flashdepth import FlashDepthConfig
from videodepth_ros.models.mamba import MambaConfig
from videodepth_ros.models.vit import Four, Mlp


@dataclass(frozen=True)
class NanoEncoderConfig:
    """Sizes of the encoder.

    stem   channels at 1/2, 1/4 and 1/8 of the image's size
    dim    width of the transformer, at 1/16
    depth  its blocks; the third map is taken after half of them, the fourth after all
    grid   rows and columns of the learned positional embedding
    """

    stem: tuple[int, int, int] = (16, 32, 64)
    dim: int = 160
    heads: int = 5
    depth: int = 6
    mlp_ratio: int = 2
    grid: tuple[int, int] = (12, 16)

    @property
    def channels(self) -> Four:
        """Channels of the four maps."""
        return self.stem[1], self.stem[2], self.dim, self.dim

    @property
    def strides(self) -> Four:
        """Pixels of the image for each cell of the four maps."""
        return 4, 8, 16, 16

    @property
    def patch(self) -> int:
        """Height and width of the image are multiples of this."""
        return 16

    def build(self) -> NanoEncoder:
        """Return a new encoder of these sizes."""
        return NanoEncoder(self)


NANO = FlashDepthConfig(
    NanoEncoderConfig(),
    DPTConfig(dim=32, channels=(32, 64, 160, 160), head_dim=16),
    MambaConfig(expand=4, head_dim=32, d_state=64, layers=2, pool=0.25),
    mamba_stage=3,
    log_output=True,
)


class NanoEncoder(nn.Module):
    """An image (B, 3, H, W) to four maps, at 1/4, 1/8, 1/16 and 1/16 of its size."""

    def __init__(self, config: NanoEncoderConfig) -> None:
        super().__init__()
        half, quarter, eighth = config.stem
        self.stage_4 = nn.Sequential(
            ConvNorm(3, half, stride=2),
            nn.ReLU(),
            ConvNorm(half, quarter, stride=2),
            nn.ReLU(),
            Residual(quarter),
        )
        self.stage_8 = nn.Sequential(
            ConvNorm(quarter, eighth, stride=2), nn.ReLU(), Residual(eighth), Residual(eighth)
        )
        self.embed = ConvNorm(eighth, config.dim, stride=2)
        self.positions = nn.Parameter(torch.zeros(1, config.dim, *config.grid))
        self.blocks = nn.ModuleList(
            MixerBlock(config.dim, config.heads, config.mlp_ratio) for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(config.dim)
        self.fixed_positions: Tensor | None
        self.register_buffer('fixed_positions', None, persistent=False)
        nn.init.trunc_normal_(self.positions, std=0.02)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Image (B, 3, H, W) to the four maps."""
        quarter = self.stage_4(image)
        eighth = self.stage_8(quarter)
        x = self.embed(eighth)
        x = x + (
            self.positions_at(*x.shape[-2:])
            if self.fixed_positions is None
            else self.fixed_positions
        )
        maps = [quarter, eighth]
        for i, block in enumerate(self.blocks, start=1):
            x = block(x)
            if i in (len(self.blocks) // 2, len(self.blocks)):
                maps.append(self.norm(x.movedim(1, -1)).movedim(-1, 1))
        return tuple(maps)

    def fix_grid(self, rows: int, columns: int) -> None:
        """Compute the positional embedding of one grid now, for every image to come."""
        self.fixed_positions = self.positions_at(rows, columns).detach()

    def positions_at(self, rows: int, columns: int) -> Tensor:
        """Positional embedding (1, C, rows, columns) of a grid of cells at 1/16."""
        return F.interpolate(self.positions, (rows, columns), mode='bilinear', align_corners=False)


class ConvNorm(nn.Sequential):
    """A 3x3 convolution and a batch norm, which at inference is part of it."""

    def __init__(self, width_in: int, width_out: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(width_in, width_out, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(width_out),
        )


class Residual(nn.Module):
    """Two 3x3 convolutions beside an identity (He et al. 2016, arXiv 1512.03385)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(width, width)
        self.conv2 = ConvNorm(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, h, w) to the same."""
        return F.relu(x + self.conv2(F.relu(self.conv1(x))))


class MixerBlock(nn.Module):
    """A depthwise convolution, attention and a perceptron, each beside an identity.

    The convolution tells tokens where they are among their neighbours (conditional positional
    encoding, Chu et al. 2021, arXiv 2102.10882), at any size.
    """

    def __init__(self, dim: int, heads: int, mlp_ratio: int) -> None:
        super().__init__()
        self.heads = heads
        self.local = nn.Conv2d(dim, dim, 3, padding=1, groups=dim)
        self.norm1 = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, mlp_ratio * dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, h, w) to the same."""
        x = x + self.local(x)
        tokens = x.flatten(2).transpose(1, 2)
        tokens = tokens + self._attend(self.norm1(tokens))
        tokens = tokens + self.mlp(self.norm2(tokens))
        return tokens.transpose(1, 2).unflatten(2, x.shape[-2:])

    def _attend(self, tokens: Tensor) -> Tensor:
        """Attention of tokens (B, N, C) to each other.

        Written out: with a few hundred tokens that trains faster on a CPU than the fused one.
        """
        q, k, v = self.qkv(tokens).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        weights = (q * q.shape[-1] ** -0.5 @ k.transpose(-2, -1)).softmax(dim=-1)
        return self.proj((weights @ v).transpose(1, 2).flatten(2))
