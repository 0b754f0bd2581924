# SPDX-License-Identifier: Apache-2.0
"""The bundled small networks: FlashDepth's decoder and temporal module, encoders of their own.

Both encoders are hybrids (as DPT-Hybrid, Ranftl et al. 2021, arXiv 2103.13413): convolutions,
which are cheap where the map is large, then a small transformer on patches of 16 pixels, which
sees the whole image, for scale is a matter of the whole scene. In the first generation a plain
stem convolves, trained from scratch; in the second EfficientNet-Lite0, which starts from
ImageNet. Batch norms follow convolutions only, so that engines fold them away.
Trained by training/; the output is canonical inverse depth 100 fx / (width Z) of 4:3
images, of others by area (``InverseDepthUnit.CANONICAL_AREA``).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from videodepth_ros.models.conv_norm import ConvNorm
from videodepth_ros.models.dpt import DPTConfig, resize
from videodepth_ros.models.efficientnet_lite import TAP_CHANNELS, EfficientNetLite
from videodepth_ros.models.flashdepth import FlashDepthConfig
from videodepth_ros.models.mamba import MambaConfig
from videodepth_ros.models.vit import Four, Mlp


@dataclass(frozen=True)
class MixerConfig:
    """Sizes of the transformer at 1/16 of the image's size.

    dim    width of its tokens
    depth  its blocks; the third map is taken after half of them, the fourth after all
    grid   rows and columns of the learned positional embedding
    """

    dim: int = 160
    heads: int = 5
    depth: int = 6
    mlp_ratio: int = 2
    grid: tuple[int, int] = (12, 16)


@dataclass(frozen=True)
class StemEncoderConfig:
    """Sizes of the encoder of the first generation.

    stem   channels at 1/2, 1/4 and 1/8 of the image's size
    """

    stem: tuple[int, int, int] = (16, 32, 64)
    mixer: MixerConfig = MixerConfig()

    @property
    def channels(self) -> Four:
        """Channels of the four maps."""
        return self.stem[1], self.stem[2], self.mixer.dim, self.mixer.dim

    @property
    def strides(self) -> Four:
        """Pixels of the image for each cell of the four maps."""
        return STRIDES

    @property
    def patch(self) -> int:
        """Height and width of the image are multiples of this."""
        return PATCH

    def build(self) -> StemEncoder:
        """Return a new encoder of these sizes."""
        return StemEncoder(self)


@dataclass(frozen=True)
class HybridEncoderConfig:
    """Sizes of the encoder of the second generation; its backbone has one size."""

    mixer: MixerConfig = MixerConfig()

    @property
    def channels(self) -> Four:
        """Channels of the four maps."""
        return TAP_CHANNELS[0], TAP_CHANNELS[1], self.mixer.dim, self.mixer.dim

    @property
    def strides(self) -> Four:
        """Pixels of the image for each cell of the four maps."""
        return STRIDES

    @property
    def patch(self) -> int:
        """Height and width of the image are multiples of this."""
        return PATCH

    def build(self) -> HybridEncoder:
        """Return a new encoder of these sizes."""
        return HybridEncoder(self)


PATCH = 16
STRIDES: Four = (4, 8, 16, 16)

_DECODER = DPTConfig(dim=32, channels=(32, 64, 160, 160), head_dim=16)
_MAMBA = MambaConfig(expand=4, head_dim=32, d_state=64, layers=2, pool=0.25)
NANO_1 = FlashDepthConfig(StemEncoderConfig(), _DECODER, _MAMBA, mamba_stage=3, log_output=True)
NANO = FlashDepthConfig(HybridEncoderConfig(), _DECODER, _MAMBA, mamba_stage=3, log_output=True)


class NanoEncoder(nn.Module):
    """An image (B, 3, H, W) to four maps, at 1/4, 1/8, 1/16 and 1/16 of its size.

    What convolves the image is of the subclass, which gives ``convolve``.
    """

    def __init__(self, config: MixerConfig) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.zeros(1, config.dim, *config.grid))
        self.blocks = nn.ModuleList(
            MixerBlock(config.dim, config.heads, config.mlp_ratio) for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(config.dim)
        self.fixed_positions: Tensor | None
        self.register_buffer('fixed_positions', None, persistent=False)
        nn.init.trunc_normal_(self.positions, std=0.02)

    def convolve(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Image (B, 3, H, W) to maps at 1/4 and 1/8, and to tokens (B, dim, H / 16, W / 16)."""
        raise NotImplementedError

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Image (B, 3, H, W) to the four maps."""
        quarter, eighth, x = self.convolve(image)
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


class StemEncoder(NanoEncoder):
    """The encoder of the first generation: strided and residual convolutions."""

    def __init__(self, config: StemEncoderConfig) -> None:
        super().__init__(config.mixer)
        half, quarter, eighth = config.stem
        self.stage_4 = nn.Sequential(
            conv_norm(3, half, stride=2),
            nn.ReLU(),
            conv_norm(half, quarter, stride=2),
            nn.ReLU(),
            Residual(quarter),
        )
        self.stage_8 = nn.Sequential(
            conv_norm(quarter, eighth, stride=2), nn.ReLU(), Residual(eighth), Residual(eighth)
        )
        self.embed = conv_norm(eighth, config.mixer.dim, stride=2)

    def convolve(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Image (B, 3, H, W) to maps at 1/4 and 1/8, and to tokens (B, dim, H / 16, W / 16)."""
        quarter = self.stage_4(image)
        eighth = self.stage_8(quarter)
        return quarter, eighth, self.embed(eighth)


class HybridEncoder(NanoEncoder):
    """The encoder of the second generation: EfficientNet-Lite0 convolves.

    Its maps at 1/16 and, enlarged, at 1/32 together make the tokens.
    """

    def __init__(self, config: HybridEncoderConfig) -> None:
        super().__init__(config.mixer)
        self.backbone = EfficientNetLite()
        self.embed = nn.Conv2d(TAP_CHANNELS[2], config.mixer.dim, 1)
        self.embed_coarse = nn.Conv2d(TAP_CHANNELS[3], config.mixer.dim, 1)

    def convolve(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Image (B, 3, H, W) to maps at 1/4 and 1/8, and to tokens (B, dim, H / 16, W / 16)."""
        quarter, eighth, sixteenth, coarse = self.backbone(image)
        tokens = self.embed(sixteenth)
        return quarter, eighth, tokens + resize(self.embed_coarse(coarse), tokens.shape[-2:])


def conv_norm(width_in: int, width_out: int, stride: int = 1) -> ConvNorm:
    """Return a 3x3 convolution without bias and its batch norm."""
    return ConvNorm(nn.Conv2d(width_in, width_out, 3, stride, padding=1, bias=False))


class Residual(nn.Module):
    """Two 3x3 convolutions beside an identity (He et al. 2016, arXiv 1512.03385)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = conv_norm(width, width)
        self.conv2 = conv_norm(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, h, w) to the same."""
        return F.relu(x + self.conv2(F.relu(self.conv1(x))))


class MixerBlock(nn.Module):
    """A depthwise convolution, attention and a perceptron, each beside an identity.

    The convolution encodes the position of tokens among their neighbours (conditional positional
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
