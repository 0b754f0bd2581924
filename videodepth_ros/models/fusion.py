# SPDX-License-Identifier: Apache-2.0
"""The hybrid of FlashDepth: a large still-image teacher informs the small full-resolution network.

The coarsest decoder path of the student looks up that of the teacher by cross-attention
(FlashDepth, arXiv 2504.07093, section 3.3). Attribute names are those of the published checkpoint.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from videodepth_ros.models.dpt import DPT, DPTConfig, resize
from videodepth_ros.models.vit import EncoderConfig, zero_linear


@dataclass(frozen=True)
class HybridConfig:
    """The teacher, and the cross-attention that brings it in.

    encoder, decoder  of the teacher
    height            rows of the image that the teacher sees, where the student sees more
    """

    encoder: EncoderConfig
    decoder: DPTConfig
    height: int = 490
    layers: int = 4
    heads: int = 2
    mlp_ratio: int = 2


class Teacher(nn.Module):
    """A still-image network of which only the coarsest decoder path is wanted."""

    def __init__(self, config: HybridConfig) -> None:
        super().__init__()
        self.config = config
        self.pretrained = config.encoder.build()
        # Whole, as in the checkpoint, though the stages after the first one never run.
        self.depth_head = DPT(config.encoder, config.decoder)

    def forward(self, image: Tensor) -> Tensor:
        """path_4 (B, C, h, w) of the image (B, 3, H, W), made smaller where it is too large."""
        height, width = image.shape[-2:]
        small = teacher_size(width, height, self.config.height, self.config.encoder.patch)
        if small != (width, height):
            image = resize(image, small[::-1])
        encoded = self.pretrained(image)
        return self.depth_head.stage_4(self.depth_head.level(4, encoded[3]), encoded[2].shape[-2:])


def teacher_size(width: int, height: int, limit: int, patch: int) -> tuple[int, int]:
    """Return width and height of the teacher's input for an image of ``width`` x ``height``.

    Only the height is limited, also for upright images, as in training. The width is rounded down
    to whole patches, which changes the aspect slightly.
    """
    if height <= limit:
        return width, height
    return int(limit / height * width) // patch * patch, limit


class HybridFusion(nn.Module):
    """Blocks of cross-attention from the student's path_4 to the teacher's."""

    def __init__(self, dim: int, config: HybridConfig) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            [nn.ModuleList(FusionBlock(dim, config) for _ in range(config.layers))]
        )

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Student (B, C, h, w) and teacher (B, D, g, v) to the informed student (B, C, h, w)."""
        tokens = student.flatten(2).transpose(1, 2)
        blocks = cast('list[FusionBlock]', self.blocks[0])
        # Projected once, by the first block; the other blocks' own projections never run.
        context = blocks[0].context_proj(teacher.flatten(2).transpose(1, 2))
        for block in blocks:
            tokens = block(tokens, context)
        return tokens.transpose(1, 2).unflatten(2, student.shape[-2:])


class FusionBlock(nn.Module):
    """Cross-attention and a two-layer perceptron, each behind a norm and beside an identity."""

    def __init__(self, dim: int, config: HybridConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.norm2 = nn.LayerNorm(dim)
        self.context_norm = nn.LayerNorm(dim)
        self.context_proj = nn.Linear(config.decoder.dim, dim)
        self.attention = CrossAttention(dim, config.heads)
        hidden = config.mlp_ratio * dim
        self.mlp = nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), zero_linear(hidden, dim))

    def forward(self, tokens: Tensor, context: Tensor) -> Tensor:
        """Tokens (B, N, C) and context (B, M, C) to tokens (B, N, C)."""
        tokens = tokens + self.attention(self.norm1(tokens), self.context_norm(context))
        return tokens + self.mlp(self.norm2(tokens))


class CrossAttention(nn.Module):
    """Multi-head attention of tokens to a context."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.scale = (dim // heads) ** -0.5
        self.q = nn.Linear(dim, dim, bias=False)
        self.kv = nn.Linear(dim, 2 * dim, bias=False)
        self.proj = zero_linear(dim, dim)

    def forward(self, tokens: Tensor, context: Tensor) -> Tensor:
        """Tokens (B, N, C) and context (B, M, C) to tokens (B, N, C)."""
        q = self.q(tokens).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        k, v = self.kv(context).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, scale=self.scale)
        return self.proj(mixed.transpose(1, 2).flatten(2))
