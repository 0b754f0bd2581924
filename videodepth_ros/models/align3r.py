# SPDX-License-Identifier: Apache-2.0
"""Align3R's network: two images and their depth priors to point maps in the first camera.

Lu et al. 2024 (arXiv 2412.03079): the transformer of DUSt3R (Wang et al. 2024, arXiv 2312.14132)
with a second branch that injects the point map of the depth prior into the decoder, in the manner
of a ControlNet. Encoder and branch process single images, so that a frame is encoded once for all
of its pairs. Attributes are named as in the published checkpoints, whose state dicts load
unchanged.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from videodepth_ros.core.errors import InputError
from videodepth_ros.models.checkpoint import load_strict
from videodepth_ros.models.croco import Block, DecoderBlock, rotary_table
from videodepth_ros.models.dpt import DPTConfig
from videodepth_ros.models.point_head import PointHead
from videodepth_ros.models.vit import PatchEmbed

PATCH = 16
"""Height and width of the images are multiples of this."""

Tokens = tuple[Tensor, ...]


@dataclass(frozen=True)
class StackConfig:
    """Sizes of a stack of transformer blocks."""

    dim: int
    depth: int
    heads: int
    mlp_ratio: int = 4


@dataclass(frozen=True)
class Align3RConfig:
    """Sizes of the network."""

    encoder: StackConfig
    decoder: StackConfig
    head: DPTConfig

    @property
    def point_depth(self) -> int:
        """Blocks of the point-map branch; it enters before and after as many decoder steps."""
        return self.decoder.depth // 2 - 2

    @property
    def taps(self) -> tuple[int, int, int]:
        """Decoder steps, counted from one, whose tokens the heads read."""
        depth = self.decoder.depth
        return depth // 2, depth * 3 // 4, depth


ALIGN3R = Align3RConfig(
    StackConfig(dim=1024, depth=24, heads=16),
    StackConfig(dim=768, depth=12, heads=12),
    DPTConfig(dim=256, channels=(96, 192, 384, 768), head_dim=128),
)


@dataclass(frozen=True)
class Features:
    """Features of B frames, shared by all of their pairs.

    embedded    (B, N, D) float32, input of the decoder: image and point map, N patches
    injections  of the point map, (B, N, D) each, added after the first decoder steps
    finest      of the image, (B, C, 4 rows, 4 columns) float32, for the head of either view
    grid        rows and columns, N = rows * columns
    """

    embedded: Tensor
    injections: tuple[Tensor, ...]
    finest: tuple[Tensor, ...]
    grid: tuple[int, int]

    @property
    def frames(self) -> int:
        """B."""
        return len(self.embedded)

    def take(self, frames: Sequence[int]) -> Features:
        """Return the features of some of the B frames, in the given order, repeats allowed."""
        chosen = torch.as_tensor(frames, device=self.embedded.device)
        return Features(
            self.embedded[chosen],
            tuple(each[chosen] for each in self.injections),
            tuple(each[chosen] for each in self.finest),
            self.grid,
        )

    @staticmethod
    def join(parts: Sequence[Features]) -> Features:
        """Concatenate features along the batch.

        raises  InputError where images differ in size
        """
        grid = parts[0].grid
        for part in parts:
            _check_grids(grid, part.grid)
        injections = zip(*(part.injections for part in parts), strict=True)
        finest = zip(*(part.finest for part in parts), strict=True)
        return Features(
            torch.cat([part.embedded for part in parts]),
            tuple(map(torch.cat, injections)),
            tuple(map(torch.cat, finest)),
            grid,
        )


@dataclass(frozen=True)
class PairPoints:
    """Point maps of B pairs, both views in the camera of the first, up to scale.

    points_1, points_2          (B, H, W, 3) float32
    confidence_1, confidence_2  (B, H, W) float32, from 1 up
    """

    points_1: Tensor
    confidence_1: Tensor
    points_2: Tensor
    confidence_2: Tensor


class Align3R(nn.Module):
    """The network: ``encode`` each frame once, then ``pair`` any two of them."""

    def __init__(self, config: Align3RConfig) -> None:
        super().__init__()
        self.config = config
        self.precision = torch.float32
        encoder, decoder = config.encoder, config.decoder
        self.mask_token = nn.Parameter(torch.zeros(1, 1, decoder.dim))  # of pre-training; unused
        self.patch_embed = PatchEmbed(encoder.dim, PATCH)
        self.enc_blocks = _blocks(Block, encoder, encoder.depth)
        self.enc_norm = nn.LayerNorm(encoder.dim, eps=1e-6)
        self.decoder_embed = nn.Linear(encoder.dim, decoder.dim)
        self.dec_blocks = _blocks(DecoderBlock, decoder, decoder.depth)
        self.dec_blocks2 = _blocks(DecoderBlock, decoder, decoder.depth)
        self.dec_norm = nn.LayerNorm(decoder.dim, eps=1e-6)
        self.patch_embed_point_cloud = PatchEmbed(decoder.dim, PATCH)
        self.dec_blocks_pc = _blocks(Block, decoder, config.point_depth)
        self.zero_convs = nn.ModuleList(
            _zero_conv(decoder.dim) for _ in range(config.point_depth + 1)
        )
        channels = encoder.dim, decoder.dim, decoder.dim, decoder.dim
        self.downstream_head1 = nn.ModuleDict({'dpt': PointHead(channels, config.head)})
        self.downstream_head2 = nn.ModuleDict({'dpt': PointHead(channels, config.head)})

    def in_precision(self, precision: torch.dtype) -> Align3R:
        """Convert the matrices to ``precision`` in place and return the network.

        Norms, sums and heads stay float32: the exponential amplifies rounding of the raw distance.
        """
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d) and 'head' not in name:
                module.to(precision)
        self.precision = precision
        return self

    def encode(self, image: Tensor, point_map: Tensor) -> Features:
        """Compute the features of B frames.

        image      (B, 3, H, W) float32, -1 black to 1 white, H and W multiples of 16
        point_map  (B, H, W, 3) float32, of the depth prior, each axis from 0 to 1
        raises     InputError where sizes do not fit
        """
        batch, _, height, width = image.shape
        if height % PATCH or width % PATCH:
            raise InputError(
                f'an image of {width}x{height} is not made of whole patches: both '
                f'sides must be multiples of {PATCH}'
            )
        if point_map.shape != (batch, height, width, 3):
            raise InputError(
                f'point maps {tuple(point_map.shape)} do not fit images '
                f'{tuple(image.shape)}: give {(batch, height, width, 3)}'
            )
        grid = height // PATCH, width // PATCH
        with self._mixed_precision():
            tokens = self._encode_image(image, grid)
            first, *injections = self._encode_points(point_map.movedim(-1, 1), grid)
            embedded = self.decoder_embed(tokens).float() + first
        encoded = _as_map(tokens, grid)
        finest = tuple(head.finest(encoded) for head in self._heads())
        return Features(embedded, tuple(injections), finest, grid)

    def pair(self, first: Features, second: Features) -> PairPoints:
        """Compute the point maps of B pairs of frames.

        raises  InputError where the two differ in number or size
        """
        _check_grids(first.grid, second.grid)
        if first.frames != second.frames:
            raise InputError(
                f'{first.frames} first frames and {second.frames} second ones are not pairs'
            )
        with self._mixed_precision():
            decoded = self._decode(first, second)
        points: list[Tensor] = []
        for view, (head, tapped) in enumerate(zip(self._heads(), decoded, strict=True)):
            finest = (first, second)[view].finest[view]
            points += head(finest, [_as_map(tokens, first.grid) for tokens in tapped])
        return PairPoints(*points)

    def forward(
        self, image_1: Tensor, point_map_1: Tensor, image_2: Tensor, point_map_2: Tensor
    ) -> PairPoints:
        """Compute B pairs from images and point maps."""
        return self.pair(self.encode(image_1, point_map_1), self.encode(image_2, point_map_2))

    def _encode_image(self, image: Tensor, grid: tuple[int, int]) -> Tensor:
        """Image (B, 3, H, W) to tokens (B, N, C) float32."""
        rotary = self._rotary(self.config.encoder, grid)
        tokens = self.patch_embed(image).float()
        for block in self.enc_blocks:
            tokens = block(tokens, rotary)
        return self.enc_norm(tokens)

    def _encode_points(self, point_map: Tensor, grid: tuple[int, int]) -> list[Tensor]:
        """Point map (B, 3, H, W) to what enters before and behind the first decoder steps."""
        rotary = self._rotary(self.config.decoder, grid)
        tokens = self.patch_embed_point_cloud(point_map).float()
        injections = [_inject(self.zero_convs[0], tokens)]
        for block, zero_conv in zip(self.dec_blocks_pc, self.zero_convs[1:], strict=True):
            tokens = block(tokens, rotary)
            injections.append(_inject(zero_conv, tokens))
        return injections

    def _decode(self, first: Features, second: Features) -> tuple[Tokens, Tokens]:
        """Tokens (B, N, D) float32 of either view behind the tapped steps."""
        rotary = self._rotary(self.config.decoder, first.grid)
        x, y = first.embedded, second.embedded
        steps: list[tuple[Tensor, Tensor]] = []
        for blocks in zip(self.dec_blocks, self.dec_blocks2, strict=True):
            x, y = blocks[0](x, y, rotary), blocks[1](y, x, rotary)  # both of the step before
            if len(steps) < len(first.injections):
                x = x + first.injections[len(steps)]
                y = y + second.injections[len(steps)]
            steps.append((x, y))
        steps[-1] = self.dec_norm(x), self.dec_norm(y)
        of_first, of_second = zip(*(steps[i - 1] for i in self.config.taps), strict=True)
        return of_first, of_second

    def _heads(self) -> tuple[PointHead, PointHead]:
        """Return the heads of the first and of the second view."""
        return (
            cast(PointHead, self.downstream_head1['dpt']),
            cast(PointHead, self.downstream_head2['dpt']),
        )

    def _rotary(self, stack: StackConfig, grid: tuple[int, int]) -> Tensor:
        return rotary_table(grid, stack.dim // stack.heads, self.mask_token.device)

    def _mixed_precision(self) -> AbstractContextManager[None]:
        if self.precision == torch.float32:
            return nullcontext()
        return torch.autocast(self.mask_token.device.type, self.precision)


def load_align3r(path: Path | str, config: Align3RConfig = ALIGN3R) -> Align3R:
    """Return the network with the weights of a checkpoint, in float32, on the CPU, in eval mode.

    path    a published ``.pth`` or ``.safetensors``
    raises  ModelError where the file cannot be read or is not exactly of this network
    """
    return load_strict(lambda: Align3R(config), Path(path))


def _blocks(kind: type[Block | DecoderBlock], stack: StackConfig, depth: int) -> nn.ModuleList:
    return nn.ModuleList(kind(stack.dim, stack.heads, stack.mlp_ratio) for _ in range(depth))


def _zero_conv(dim: int) -> nn.Sequential:
    """Return a linear layer that starts as zero; in the checkpoints it is a convolution."""
    layer = nn.Conv1d(dim, dim, 1)
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return nn.Sequential(layer)


def _inject(zero_conv: nn.Module, tokens: Tensor) -> Tensor:
    """Tokens (B, N, D) to the same."""
    return zero_conv(tokens.transpose(1, 2)).transpose(1, 2)


def _as_map(tokens: Tensor, grid: tuple[int, int]) -> Tensor:
    """Tokens (B, N, C) to a map (B, C, rows, columns)."""
    return tokens.transpose(1, 2).unflatten(2, grid)


def _check_grids(a: tuple[int, int], b: tuple[int, int]) -> None:
    """Raise InputError where two images differ in size."""
    if a != b:
        raise InputError(
            f'images of {PATCH * a[1]}x{PATCH * a[0]} and {PATCH * b[1]}x'
            f'{PATCH * b[0]} are no pair: bring all frames to one size'
        )
