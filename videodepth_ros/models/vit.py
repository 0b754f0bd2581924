# SPDX-License-Identifier: Apache-2.0
"""The vision transformer that encodes an image: a plain DINOv2 without registers.

Dosovitskiy et al. 2021 (arXiv 2010.11929) with the LayerScale of Touvron et al. 2021 (arXiv
2103.17239), as trained by Oquab et al. 2023 (arXiv 2304.07193). Attribute names are those of the
published checkpoints, so that a state dict loads unchanged.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

Four = tuple[int, int, int, int]


class EncoderConfig(Protocol):
    """Sizes of an encoder, and its constructor.

    The module of ``build`` maps an image (B, 3, H, W) to four maps (B, channels[i], H /
    strides[i], W / strides[i]). All of its tensors are in its state dict or computed in
    ``forward``: it is built without storage.
    """

    @property
    def channels(self) -> Four:
        """Channels of the four maps."""

    @property
    def strides(self) -> Four:
        """Pixels of the image for each cell of the four maps."""

    @property
    def patch(self) -> int:
        """Height and width of the image are multiples of this."""

    def build(self) -> nn.Module:
        """Return a new encoder."""


@dataclass(frozen=True)
class ViTConfig:
    """Sizes of a vision transformer.

    taps  the four blocks, counted from zero, whose outputs are the encoder's maps
    grid  side of the square patch grid that the positional embedding was trained at
    """

    dim: int
    depth: int
    heads: int
    taps: Four
    patch: int = 14
    grid: int = 37
    mlp_ratio: int = 4

    @property
    def channels(self) -> Four:
        """Channels of the four maps: all of the transformer's width."""
        return (self.dim,) * 4

    @property
    def strides(self) -> Four:
        """Strides of the four maps: all of one patch."""
        return (self.patch,) * 4

    def build(self) -> VisionTransformer:
        """Return a new encoder of these sizes."""
        return VisionTransformer(self)


VIT_S = ViTConfig(dim=384, depth=12, heads=6, taps=(2, 5, 8, 11))
VIT_L = ViTConfig(dim=1024, depth=24, heads=16, taps=(4, 11, 17, 23))


class SelfAttention(nn.Module):
    """Multi-head attention of tokens to each other."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.scale = (dim // heads) ** -0.5
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (B, N, C) to the same."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, scale=self.scale)
        return self.proj(mixed.transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    """Two linear layers with an exact (erf) GELU between."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (..., C) to the same."""
        return self.fc2(F.gelu(self.fc1(x)))


class LayerScale(nn.Module):
    """A learned factor for each channel of a residual branch."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (..., C) to the same."""
        return x * self.gamma


class Block(nn.Module):
    """Attention and a perceptron, each behind a norm and beside an identity."""

    def __init__(self, dim: int, heads: int, mlp_ratio: int = 4) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = SelfAttention(dim, heads)
        self.ls1 = LayerScale(dim)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim, mlp_ratio * dim)
        self.ls2 = LayerScale(dim)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (B, N, C) to the same."""
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.ls2(self.mlp(self.norm2(x)))


class PatchEmbed(nn.Module):
    """Cut an image into patches and project each to a token, row by row."""

    def __init__(self, dim: int, patch: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, patch, stride=patch)

    def forward(self, image: Tensor) -> Tensor:
        """Image (B, 3, H, W) to tokens (B, N, C)."""
        return self.proj(image).flatten(2).transpose(1, 2)


class VisionTransformer(nn.Module):
    """The encoder: an image to four maps of its patches."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.config = config
        self.patch_embed = PatchEmbed(config.dim, config.patch)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + config.grid**2, config.dim))
        self.mask_token = nn.Parameter(torch.zeros(1, config.dim))  # of pre-training; never used
        self.blocks = nn.ModuleList(
            Block(config.dim, config.heads, config.mlp_ratio) for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(config.dim, eps=1e-6)
        self.fixed_positions: Tensor | None
        self.register_buffer('fixed_positions', None, persistent=False)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Image (B, 3, H, W) to the four maps."""
        rows, columns = (n // self.config.patch for n in image.shape[-2:])
        tokens = self.patch_embed(image)
        tokens = torch.cat((self.cls_token.expand(len(tokens), -1, -1), tokens), dim=1)
        tokens = tokens + (
            self.positions(rows, columns) if self.fixed_positions is None else self.fixed_positions
        )
        maps = []
        for i, block in enumerate(self.blocks):
            tokens = block(tokens)
            if i in self.config.taps:  # one final norm serves all four; the class token goes
                kept = self.norm(tokens)[:, 1:].transpose(1, 2)
                maps.append(kept.unflatten(2, (rows, columns)))
        return tuple(maps)

    def fix_grid(self, rows: int, columns: int) -> None:
        """Compute the positional embedding of one patch grid now, for every image to come."""
        self.fixed_positions = self.positions(rows, columns).detach()

    def positions(self, rows: int, columns: int) -> Tensor:
        """Positional embedding (1, 1 + rows * columns, C) of a patch grid.

        Resampling is linear, hence two constant matrices.
        """
        side = self.config.grid
        if rows == columns == side:
            return self.pos_embed
        of_class, of_grid = self.pos_embed.float().split((1, side * side), dim=1)
        grid = of_grid.unflatten(1, (side, side)).permute(0, 3, 1, 2)
        vertical, horizontal = (
            torch.as_tensor(cubic_matrix(side, n), device=grid.device) for n in (rows, columns)
        )
        grid = (vertical @ grid @ horizontal.T).flatten(2).transpose(1, 2)
        return torch.cat((of_class, grid), dim=1).to(self.pos_embed.dtype)


def zero_linear(width_in: int, width_out: int) -> nn.Linear:
    """Return a linear layer that starts as zero, so that its branch starts without effect."""
    layer = nn.Linear(width_in, width_out)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


@lru_cache(maxsize=32)
def cubic_matrix(source: int, target: int) -> NDArray[np.float32]:
    """Cubic resampling of ``source`` samples to ``target`` as a matrix (target, source) float32.

    The kernel of Keys 1981 with a = -0.75 and repeated borders. Samples are 1 / scale apart with
    scale = (target + 0.1) / source: DINOv2 adds the 0.1 against rounding, and its weights expect
    the resulting grid, which is not the one that a resize to ``target`` samples uses.
    """
    centre = (np.arange(target) + 0.5) * source / (target + 0.1) - 0.5
    first = np.floor(centre).astype(int)
    matrix = np.zeros((target, source))
    for offset in (-1, 0, 1, 2):
        index = first + offset
        weight = keys_kernel(np.abs(centre - index))
        np.add.at(matrix, (np.arange(target), index.clip(0, source - 1)), weight)
    return matrix.astype(np.float32)


def keys_kernel(x: NDArray[np.float64], a: float = -0.75) -> NDArray[np.float64]:
    """Cubic convolution kernel at distances ``x`` >= 0 (Keys 1981, equation 4)."""
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * (x**3 - 5 * x**2 + 8 * x - 4)
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))
