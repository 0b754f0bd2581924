# SPDX-License-Identifier: Apache-2.0
"""A convolution with its batch norm, which engines fold into it."""

from __future__ import annotations

from torch import nn


class ConvNorm(nn.Sequential):
    """A convolution without bias and a batch norm, which at inference is part of it."""

    def __init__(self, convolution: nn.Conv2d, eps: float = 1e-5) -> None:
        super().__init__(convolution, nn.BatchNorm2d(convolution.out_channels, eps=eps))
