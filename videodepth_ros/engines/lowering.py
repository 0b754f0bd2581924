# SPDX-License-Identifier: Apache-2.0
"""A network as GPU engines run it: the same function, with its constants and precision fixed.

What does not depend on the image is computed once: positional embeddings, batch norms, layer
scales and the scale of attention become part of the weights before them. A transposed convolution
whose windows do not overlap is a 1x1 convolution whose channels are dealt out to pixels, which
every engine has a fast kernel for.

In half precision the products (linear layers, convolutions, attention) are half. In float32 stay
the sums that grow along the layers (a transformer's tokens), norms, the scan with its exponents
and its state, and the last convolution, whose answers reach hundreds.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any, cast

import torch
from torch import Tensor, nn

from videodepth_ros.models.flashdepth import FlashDepth
from videodepth_ros.models.fusion import CrossAttention, teacher_size
from videodepth_ros.models.nano import ConvNorm, NanoEncoder
from videodepth_ros.models.vit import Block, SelfAttention, VisionTransformer

Encoder = VisionTransformer | NanoEncoder
PRECISIONS = {'fp32': torch.float32, 'fp16': torch.float16, 'bf16': torch.bfloat16}
"""What each precision makes the products in."""

PRODUCTS = (nn.Linear, nn.Conv1d, nn.Conv2d)


def lower_network(
    model: FlashDepth, width: int, height: int, dtype: torch.dtype = torch.float32
) -> FlashDepth:
    """Return a copy of the network for images of one size only, to be run and not trained.

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
    """A module in float32 between others that are not; what it returns stays float32."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        """Any tensor to what the inner module makes of it."""
        return self.inner(x.float())


class Float32Norm(nn.Module):
    """A layer norm of float32 whose answer goes into products of another type."""

    def __init__(self, norm: nn.LayerNorm, dtype: torch.dtype) -> None:
        super().__init__()
        self.norm, self.dtype = norm, dtype

    @property
    def weight(self) -> Tensor:
        """Of the norm; its type is that of the sums which are normalised."""
        return self.norm.weight

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (..., C) of any type to the same of the type of the products."""
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
    """Make the factors of both residual branches part of the linear layers before them."""
    for layer, name in ((block.attn.proj, 'ls1'), (block.mlp.fc2, 'ls2')):
        _scale_rows(layer, slice(None), getattr(block, name).gamma)
        setattr(block, name, nn.Identity())


def _scale_rows(layer: nn.Linear, rows: slice, factor: Tensor | float) -> None:
    layer.weight.data[rows] *= factor[:, None] if isinstance(factor, Tensor) else factor
    if layer.bias is not None:
        layer.bias.data[rows] *= factor


def _replace(root: nn.Module, kind: type[nn.Module], make: Callable[[Any], nn.Module]) -> None:
    """Put ``make(module)`` in the place of every module of a kind."""
    for parent in list(root.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, kind):
                setattr(parent, name, make(child))


def _as_pixel_shuffle(convolution: nn.ConvTranspose2d) -> nn.Module:
    """Kernel equals stride: every output pixel has one tap, which its place in the cell names."""
    side = convolution.stride[0]
    weight = convolution.weight.detach()  # (C_in, C_out, side, side)
    channels = weight.shape[1] * side * side
    one = nn.Conv2d(weight.shape[0], channels, 1)
    one.weight = nn.Parameter(weight.flatten(1).T[:, :, None, None].contiguous())
    bias = cast(Tensor, convolution.bias).detach()
    one.bias = nn.Parameter(bias.repeat_interleave(side * side))
    return nn.Sequential(one, nn.PixelShuffle(side)).eval().requires_grad_(False)


def _as_convolution(pair: ConvNorm) -> nn.Module:
    """At inference a batch norm is part of the convolution before it."""
    return torch.nn.utils.fusion.fuse_conv_bn_eval(
        cast(nn.Conv2d, pair[0]), cast(nn.BatchNorm2d, pair[1])
    ).requires_grad_(False)


def _narrow(network: FlashDepth, dtype: torch.dtype) -> None:
    """Give the products' weights another type, and put float32 where it is needed."""
    for module in network.modules():
        if isinstance(module, PRODUCTS):
            module.to(dtype)
    _replace(network, nn.LayerNorm, lambda norm: Float32Norm(norm, dtype))
    encoder = network.pretrained
    if isinstance(encoder, NanoEncoder) and encoder.fixed_positions is not None:
        encoder.fixed_positions = encoder.fixed_positions.to(dtype)  # its tokens are maps
    output = cast(nn.Sequential, network.depth_head.scratch['output_conv2'])
    output[2] = Float32Module(output[2].float())
