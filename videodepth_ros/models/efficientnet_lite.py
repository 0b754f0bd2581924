# SPDX-License-Identifier: Apache-2.0
"""EfficientNet-Lite0 without its classifier: a convolutional backbone that engines run fast.

Tan and Le 2019 (arXiv 1905.11946) in the variant for mobile devices of the official TensorFlow
release: no squeeze and excitation, and ReLU6 for every activation. Convolutions pad as
TensorFlow's SAME does, so that the weights of the release compute here what they compute there.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from videodepth_ros.models.conv_norm import ConvNorm

BATCH_NORM_EPS = 1e-3
"""Of the release; that of PyTorch is 1e-5."""


@dataclass(frozen=True)
class Stage:
    """Some blocks of one width.

    blocks    inverted residual blocks in a row
    channels  of their outputs
    kernel    side of the depthwise convolution
    stride    of the first block; the others keep the size
    expand    inner width of a block as a multiple of its input's
    """

    blocks: int
    channels: int
    kernel: int
    stride: int
    expand: int = 6


STEM_CHANNELS = 32
LITE0 = (
    Stage(1, 16, 3, 1, expand=1),
    Stage(2, 24, 3, 2),
    Stage(2, 40, 5, 2),
    Stage(3, 80, 3, 2),
    Stage(3, 112, 5, 1),
    Stage(4, 192, 5, 2),
    Stage(1, 320, 3, 1),
)
"""The stages of EfficientNet-Lite0: table 1 of the paper, as the release scales them."""

TAPS = (1, 2, 4, 6)
"""Stages whose outputs are the maps at 1/4, 1/8, 1/16 and 1/32 of the image's size."""

TAP_CHANNELS = tuple(LITE0[i].channels for i in TAPS)


class EfficientNetLite(nn.Module):
    """An image (B, 3, H, W) to four maps, at 1/4, 1/8, 1/16 and 1/32 of its size, rounded up."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv_norm(3, STEM_CHANNELS, 3, stride=2)
        self.stages = nn.ModuleList()
        width = STEM_CHANNELS
        for stage in LITE0:
            blocks = []
            for i in range(stage.blocks):
                stride = stage.stride if i == 0 else 1
                blocks.append(
                    InvertedResidual(width, stage.channels, stage.kernel, stride, stage.expand)
                )
                width = stage.channels
            self.stages.append(nn.Sequential(*blocks))

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Image (B, 3, H, W) to the four maps."""
        x = F.relu6(self.stem(image))
        maps = []
        for i, stage in enumerate(self.stages):
            x = stage(x)
            if i in TAPS:
                maps.append(x)
        return tuple(maps)


class InvertedResidual(nn.Module):
    """Expand by a 1x1 convolution, filter each channel, project back (arXiv 1801.04381).

    An identity stands beside it where size and width stay.
    """

    def __init__(
        self, width_in: int, width_out: int, kernel: int, stride: int, expand: int
    ) -> None:
        super().__init__()
        inner = width_in * expand
        self.expand = conv_norm(width_in, inner, 1) if expand > 1 else None
        self.depthwise = conv_norm(inner, inner, kernel, stride, groups=inner)
        self.project = conv_norm(inner, width_out, 1)
        self.residual = stride == 1 and width_in == width_out

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, h, w) to (B, C', h / stride, w / stride), rounded up."""
        y = x if self.expand is None else F.relu6(self.expand(x))
        y = self.project(F.relu6(self.depthwise(y)))
        return x + y if self.residual else y


def conv_norm(
    width_in: int, width_out: int, kernel: int, stride: int = 1, groups: int = 1
) -> ConvNorm:
    """Return a convolution without bias, padded as SAME, and its batch norm."""
    return ConvNorm(
        SameConv2d(width_in, width_out, kernel, stride, groups=groups, bias=False),
        eps=BATCH_NORM_EPS,
    )


class SameConv2d(nn.Conv2d):
    """A convolution padded as TensorFlow's SAME: the odd row and column go below and right."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, h, w) to (B, C', h / stride, w / stride), rounded up."""
        (rows, top), (columns, left) = (
            same_padding(n, k, s)
            for n, k, s in zip(x.shape[-2:], self.kernel_size, self.stride, strict=True)
        )
        if (rows, columns) == (2 * top, 2 * left):
            return F.conv2d(
                x, self.weight, self.bias, self.stride, (top, left), groups=self.groups
            )
        padded = F.pad(x, (left, columns - left, top, rows - top))
        return F.conv2d(padded, self.weight, self.bias, self.stride, groups=self.groups)


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return the cells to add along one side, in all and before the first of ``size`` cells."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total, total // 2
