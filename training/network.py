# SPDX-License-Identifier: Apache-2.0
"""The network while it learns: how it starts, its output before rectification, its average."""

from __future__ import annotations

import copy
import ctypes
from dataclasses import replace

import torch
from torch import Tensor, nn

from training.pretrained import imagenet_weights
from videodepth_ros.models.efficientnet_lite import SameConv2d
from videodepth_ros.models.flashdepth import FlashDepth, FlashDepthConfig
from videodepth_ros.models.imagenet import MEAN, STD
from videodepth_ros.models.nano import Residual

START_U = 2.3
"""The first prediction everywhere: log(1 + 9), 9 m away in a camera of fx = 0.9 width."""


class LastLayer(nn.Conv2d):
    """A 1x1 convolution to one channel in single precision: bfloat16 steps are 2 % of depth.

    Written as a product: on a CPU the gradient of the convolution takes six times as long.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, h, w) to (B, 1, h, w) float32."""
        assert self.bias is not None
        with torch.autocast(x.device.type, enabled=False):
            return (x.float().movedim(1, -1) @ self.weight[0, :, 0, 0] + self.bias)[:, None]


class PreciseDepthwise(SameConv2d):
    """A depthwise convolution in single precision.

    On a CPU the gradient of a large or strided one takes two to seven times as long in bfloat16.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, h, w) to a float32 one."""
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.float())


def new_network(config: FlashDepthConfig, seed: int, imagenet: bool) -> FlashDepth:
    """Return an untrained network whose output is u = log(1 + v), not rectified.

    imagenet  start the backbone, which then has to be EfficientNet-Lite0, from ImageNet

    Where a rectifier is shut nothing is learnt; u < 0 just says sky.
    Names and shapes of its weights are those of the network that is shipped.
    """
    torch.manual_seed(seed)
    model = FlashDepth(replace(config, log_output=False))
    for module in model.modules():
        if isinstance(module, Residual):  # residual branches start as nothing
            nn.init.zeros_(module.conv2[1].weight)
    if imagenet:
        model.pretrained.backbone.load_state_dict(imagenet_weights())
    _replace_slow_depthwise(model)
    head = model.depth_head.scratch['output_conv2']
    head[2] = LastLayer(head[2].in_channels, 1, 1)
    nn.init.constant_(head[2].bias, START_U)
    head[3] = nn.Identity()
    return model.to(memory_format=torch.channels_last)


def _replace_slow_depthwise(model: nn.Module) -> None:
    for name, module in list(model.named_modules()):
        if isinstance(module, SameConv2d) and _is_slow_depthwise(module):
            channels, kernel, stride = module.in_channels, module.kernel_size, module.stride
            precise = PreciseDepthwise(
                channels, channels, kernel, stride, groups=channels, bias=False
            )
            precise.load_state_dict(module.state_dict())
            model.set_submodule(name, precise)


def _is_slow_depthwise(conv: nn.Conv2d) -> bool:
    return conv.groups > 1 and (conv.kernel_size[0] > 3 or conv.stride[0] > 1)


def network_input(images: Tensor) -> Tensor:
    """Images (B, T, H, W, 3) uint8 to (B, T, 3, H, W) float32 normalised, channels last."""
    mean, std = (torch.tensor(values) for values in (MEAN, STD))
    return ((images.float() / 255 - mean) / std).movedim(-1, 2)


def predict(
    model: FlashDepth, images: Tensor, state: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Images (B, T, H, W, 3) uint8 to u = log(1 + v) (B, T, H, W) float32, and the state."""
    with torch.autocast(images.device.type, torch.bfloat16):
        return model.sequence(network_input(images), state)


def freeze(model: FlashDepth, norms: bool, stages: int) -> None:
    """Prepare a network for training: what is frozen gets no gradient, the rest does.

    norms   whether batch norms keep their statistics
    stages  of the backbone, behind its stem, that are not trained, and then the stem is not
            either; 0 trains everything
    """
    model.train().requires_grad_(True)
    if norms:
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
    if stages:
        backbone = model.pretrained.backbone
        for part in (backbone.stem, *backbone.stages[:stages]):
            part.requires_grad_(False)


class Average:
    """Exponential moving average of a network's weights and batch statistics."""

    def __init__(self, model: FlashDepth) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, model: FlashDepth, decay: float, step: int) -> None:
        """Take in the network after ``step`` steps; the window grows with them at first."""
        share = 1 - min(decay, (1 + step) / (10 + step))
        pairs = zip(self.model.state_dict().values(), model.state_dict().values(), strict=True)
        for kept, new in pairs:
            if kept.is_floating_point():
                kept.lerp_(new, share)
            else:
                kept.copy_(new)


def keep_memory() -> None:
    """Have glibc keep freed memory: returning it to the system each step costs half the speed."""
    M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
    libc = ctypes.CDLL(None)
    for option, value in ((M_TRIM_THRESHOLD, 2**31 - 1), (M_TOP_PAD, 1 << 28), (M_MMAP_MAX, 0)):
        libc.mallopt(option, value)
