# SPDX-License-Identifier: Apache-2.0
"""Start the second generation from the first: all but the convolutions is taken over.

Transformer, decoder and temporal module have the same shapes in both. The linear layers between
the new backbone and them start as the least-squares fit of the maps that the old stem gives.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from videodepth_ros.models.dpt import resize
from videodepth_ros.models.flashdepth import FlashDepth
from videodepth_ros.models.nano import HybridEncoder, NanoEncoder

RIDGE = 1e-3
"""Of the mean square of the features: keeps the fit bounded where they depend on each other."""


def warm_start(model: FlashDepth, first: FlashDepth, images: Tensor) -> None:
    """Give a network of the second generation what one of the first has learnt.

    model   its backbone is set already and stays as it is
    images  (N, 3, H, W) float32 normalised, of the training set
    """
    own = model.state_dict()
    known = {
        name: value.float()
        for name, value in first.state_dict().items()
        if name in own and own[name].shape == value.shape
    }
    model.load_state_dict(known, strict=False)
    _fit_projections(model, first, images)


@torch.no_grad()
def _fit_projections(model: FlashDepth, first: FlashDepth, images: Tensor) -> None:
    encoder, decoder = cast(HybridEncoder, model.pretrained), model.depth_head
    maps = [encoder.backbone(image[None]) for image in images]
    wanted = [cast(NanoEncoder, first.pretrained).convolve(image[None]) for image in images]
    for i in range(2):
        _fit(
            [cast(nn.Conv2d, decoder.projects[i])],
            [[m[i]] for m in maps],
            [first.depth_head.projects[i](w[i]) for w in wanted],
        )
    _fit(
        [encoder.embed, encoder.embed_coarse],
        [[m[2], resize(m[3], m[2].shape[-2:])] for m in maps],
        [w[2] for w in wanted],
    )


def _fit(layers: list[nn.Conv2d], inputs: list[list[Tensor]], targets: list[Tensor]) -> None:
    """Set 1x1 convolutions whose sum is to be the target; the first one has the bias."""
    x = torch.cat([_rows(torch.cat(maps, 1)) for maps in inputs]).double()
    y = torch.cat([_rows(target) for target in targets]).double()
    x_mean, y_mean = x.mean(0), y.mean(0)
    x, y = x - x_mean, y - y_mean
    square = x.T @ x
    ridge = RIDGE * square.diagonal().mean() * torch.eye(len(square), dtype=square.dtype)
    weight = torch.linalg.solve(square + ridge, x.T @ y).T
    biases = [y_mean - weight @ x_mean] + [torch.zeros_like(y_mean)] * (len(layers) - 1)
    parts = weight.split([layer.in_channels for layer in layers], dim=1)
    for layer, part, bias in zip(layers, parts, biases, strict=True):
        layer.load_state_dict({'weight': part[:, :, None, None], 'bias': bias})


def _rows(maps: Tensor) -> Tensor:
    """Maps (B, C, h, w) to (B h w, C)."""
    return maps.movedim(1, -1).flatten(0, 2)
