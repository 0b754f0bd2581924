# SPDX-License-Identifier: Apache-2.0
"""Transformer blocks with rotary positions, for one image and for pairs of images.

The blocks of CroCo v2 (Weinzaepfel et al. 2023, arXiv 2211.10408) as DUSt3R uses them. Attribute
names are those of the published checkpoints.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from videodepth_ros.models.vit import Mlp

BASE = 100.0
"""Ratio of the longest to the shortest wavelength of the rotary positions: CroCo's RoPE100."""


def rotary_table(grid: tuple[int, int], width: int, device: torch.device) -> Tensor:
    """Cosine and sine (2, N, width) float32 by which attention heads are rotated.

    grid   rows and columns, N = rows * columns
    width  of a head: the first half turns with the row, the second with the column

    RoFormer (Su et al. 2021, arXiv 2104.09864, equation 34), once for each axis.
    """
    quarter = width // 4
    frequency = BASE ** (-torch.arange(quarter, device=device) / quarter)
    rows, columns = (torch.arange(n, dtype=torch.float32, device=device) for n in grid)
    cells = torch.cartesian_prod(rows, columns)
    angle = (cells[:, :, None] * frequency).repeat(1, 1, 2).flatten(1)
    return torch.stack((angle.cos(), angle.sin()))


def rotate(x: Tensor, rotary: Tensor) -> Tensor:
    """Turn queries or keys (B, heads, N, width) by the angles of their places."""
    cos, sin = rotary
    real, imaginary = x.unflatten(-1, (2, 2, -1)).unbind(dim=-2)  # by axis
    quadrature = torch.stack((-imaginary, real), dim=-2).flatten(-3)
    return (x * cos + quadrature * sin).to(x.dtype)


class SelfAttention(nn.Module):
    """Multi-head attention of tokens to each other, with rotary positions."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, rotary: Tensor) -> Tensor:
        """Tokens (B, N, C) to the same."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.proj(_attend(q, k, v, rotary))


class CrossAttention(nn.Module):
    """Multi-head attention of one view's tokens to those of the other."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.projq = nn.Linear(dim, dim)
        self.projk = nn.Linear(dim, dim)
        self.projv = nn.Linear(dim, dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, other: Tensor, rotary: Tensor) -> Tensor:
        """Tokens (B, N, C) of the two views to (B, N, C) of the first."""
        q, k, v = (
            tokens.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for tokens in (self.projq(x), self.projk(other), self.projv(other))
        )
        return self.proj(_attend(q, k, v, rotary))


def _attend(q: Tensor, k: Tensor, v: Tensor, rotary: Tensor) -> Tensor:
    """Heads (B, heads, N, width) to tokens (B, N, C)."""
    mixed = F.scaled_dot_product_attention(rotate(q, rotary), rotate(k, rotary), v)
    return mixed.transpose(1, 2).flatten(2)


class Block(nn.Module):
    """Self-attention and a perceptron, each behind a norm and beside an identity."""

    def __init__(self, dim: int, heads: int, mlp_ratio: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = SelfAttention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim, mlp_ratio * dim)

    def forward(self, x: Tensor, rotary: Tensor) -> Tensor:
        """Tokens (B, N, C) to the same."""
        x = x + self.attn(self.norm1(x), rotary)
        return x + self.mlp(self.norm2(x))


class DecoderBlock(nn.Module):
    """Self-attention, cross-attention to the other view, and a perceptron."""

    def __init__(self, dim: int, heads: int, mlp_ratio: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = SelfAttention(dim, heads)
        self.norm_y = nn.LayerNorm(dim, eps=1e-6)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.cross_attn = CrossAttention(dim, heads)
        self.norm3 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim, mlp_ratio * dim)

    def forward(self, x: Tensor, other: Tensor, rotary: Tensor) -> Tensor:
        """Tokens (B, N, C) of the two views to (B, N, C) of the first."""
        x = x + self.attn(self.norm1(x), rotary)
        x = x + self.cross_attn(self.norm2(x), self.norm_y(other), rotary)
        return x + self.mlp(self.norm3(x))
