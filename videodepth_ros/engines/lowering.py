# SPDX-License-Identifier: Apache-2.0
"""Lower a network for GPU engines: the same function with constants and precision fixed.

Constant folding: positional embeddings, batch norms, layer scales and the scale of attention
become part of the weights before them. A transposed convolution with stride equal to its kernel
becomes a 1x1 convolution and a pixel shuffle, for which every engine has a fast kernel.

In half precision the matrix products (linear layers, convolutions, attention) are half. In float32
remain the residual sums of transformers, norms, the scan with its exponents and state, and the
last convolution, whose outputs reach hundreds.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any, cast

import torch
from torch import Tensor, nn

from videodepth_ros.models.conv_norm import ConvNorm
from videodepth_ros.models.flashdepth import FlashDepth
from videodepth_ros.models.fusion import CrossAttention, teacher_size
from videodepth_ros.models.nano import NanoEncoder
from videodepth_ros.models.vit import Block, SelfAttention, VisionTransformer

Encoder = VisionTransformer | NanoEncoder
PRECISIONS = {'fp32': torch.float32, 'fp16': torch.float16, 'bf16': torch.bfloat16}
"""dtype of the products in each precision."""

PRODUCT_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d)


def lower_network(
    model: FlashDepth, width: int, height: int, dtype: torch.dtype = torch.float32
) -> FlashDepth:
    """Return a copy of the network for images of one size, for inference only.

    dtype   of the products' weights and activations: float32, float16 or bfloat16
    """
    network = deepcopy(model).eval().requires_grad_(False)
    _fix_grids(network, width, height)
    for module in list(network.modules()):
        if isinstance(module, Block):
            _fold_layer_scales(module)
        elif isinstance(module, SelfAttention):
            _scale_rows(module.qkv, slice(module.qkv.in_features), module.scale)
            module.scale = 1.0
        elif isinstance(module, CrossAttention):
            _scale_rows(module.q, slice(None), module.scale)
            module.scale = 1.0
    _replace(network, nn.ConvTranspose2d, _as_pixel_shuffle)
    _replace(network, ConvNorm, _as_convolution)
    if dtype != torch.float32:
        _narrow(network, dtype)
    return network


class Float32Module(nn.Module):
    """A float32 module between half-precision ones; its output stays float32."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        """Apply the inner module to the input in float32."""
        return self.inner(x.float())


class Float32Norm(nn.Module):
    """A float32 layer norm whose output feeds products of another dtype."""

    def __init__(self, norm: nn.LayerNorm, dtype: torch.dtype) -> None:
        super().__init__()
        self.norm, self.dtype = norm, dtype

    @property
    def weight(self) -> Tensor:
        """Weight of the norm; its dtype is that of the residual sum."""
        return self.norm.weight

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (..., C) of any dtype to the same in the products' dtype."""
        return self.norm(x.float()).to(self.dtype)


def _fix_grids(network: FlashDepth, width: int, height: int) -> None:
    patch = network.config.encoder.patch
    cast(Encoder, network.pretrained).fix_grid(height // patch, width // patch)
    hybrid = network.config.hybrid
    if hybrid is not None:
        patch = hybrid.encoder.patch
        width, height = teacher_size(width, height, hybrid.height, patch)
        teacher = cast(Encoder, network.teacher_model.pretrained)
        teacher.fix_grid(height // patch, width // patch)


def _fold_layer_scales(block: Block) -> None:
    """Fold the layer scales of both residual branches into the linear layers before them."""
    for layer, name in ((block.attn.proj, 'ls1'), (block.mlp.fc2, 'ls2')):
        _scale_rows(layer, slice(None), getattr(block, name).gamma)
        setattr(block, name, nn.Identity())


def _scale_rows(layer: nn.Linear, rows: slice, factor: Tensor | float) -> None:
    layer.weight.data[rows] *= factor[:, None] if isinstance(factor, Tensor) else factor
    if layer.bias is not None:
        layer.bias.data[rows] *= factor


def _replace(root: nn.Module, kind: type[nn.Module], make: Callable[[Any], nn.Module]) -> None:
    """Replace every module of a kind by ``make(module)``."""
    for parent in list(root.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, kind):
                setattr(parent, name, make(child))


def _as_pixel_shuffle(convolution: nn.ConvTranspose2d) -> nn.Module:
    """Return a 1x1 convolution and a pixel shuffle equal to a stride = kernel transpose."""
    side = convolution.stride[0]
    weight = convolution.weight.detach()  # (C_in, C_out, side, side)
    channels = weight.shape[1] * side * side
    one = nn.Conv2d(weight.shape[0], channels, 1)
    one.weight = nn.Parameter(weight.flatten(1).T[:, :, None, None].contiguous())
    bias = cast(Tensor, convolution.bias).detach()
    one.bias = nn.Parameter(bias.repeat_interleave(side * side))
    return nn.Sequential(one, nn.PixelShuffle(side)).eval().requires_grad_(False)


def _as_convolution(pair: ConvNorm) -> nn.Module:
    """Fold a batch norm into the convolution before it."""
    return torch.nn.utils.fusion.fuse_conv_bn_eval(
        cast(nn.Conv2d, pair[0]), cast(nn.BatchNorm2d, pair[1])
    ).requires_grad_(False)


def _narrow(network: FlashDepth, dtype: torch.dtype) -> None:
    """Convert the products' weights to ``dtype`` and keep float32 where it is needed."""
    for module in network.modules():
        if isinstance(module, PRODUCT_LAYERS):
            module.to(dtype)
    _replace(network, nn.LayerNorm, lambda norm: Float32Norm(norm, dtype))
    encoder = network.pretrained
    if isinstance(encoder, NanoEncoder) and encoder.fixed_positions is not None:
        encoder.fixed_positions = encoder.fixed_positions.to(dtype)  # its tokens are maps
    output = cast(nn.Sequential, network.depth_head.scratch['output_conv2'])
    output[2] = Float32Module(output[2].float())
