# SPDX-License-Identifier: Apache-2.0
"""What the network is taught: canonical inverse depth, its structure, and its edges.

Everything is measured in u = log(1 + v), with v = 100 fx / (width Z): beyond a few units an error
in u is a relative error of depth, and towards the sky, v = 0, it fades.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class LossWeights:
    """Share of each part, and scales of the gradient: ``depth_loss``."""

    structure: float
    gradient: float
    drift: float
    scales: int
    flicker: float = 0.0
    absolute: float = 1.0
    plane: float = 0.0


@dataclass(frozen=True)
class Losses:
    """The parts of the loss, each a mean over the batch in units of u."""

    total: Tensor
    absolute: Tensor
    structure: Tensor
    gradient: Tensor
    drift: Tensor
    flicker: Tensor
    plane: Tensor


STILL_U = 0.02
"""Where the truth changes less from a frame to the next, a prediction that changes flickers."""
PLANE_STRIDES = 4, 12
"""Cells between the three of a second difference: for small dents and for wide bends."""
PLANE_BEND = 0.003
"""Where the truth bends less, as a share of inverse depth, it is a plane; halves resolve .0005."""


MAX_STEP_U = 1.0
"""Bounds the gradient of a bend: on a plane so large a step is far from the truth anyway."""


def depth_loss(u: Tensor, inverse_depth: Tensor, weights: LossWeights) -> Losses:
    """Compare a prediction with the truth.

    u              (B, T, H, W) float32, log(1 + v) before rectification: below 0 is sky
    inverse_depth  (B, T, H, W) float32 true v >= 0, 0 for sky, NaN where unknown
    returns        absolute: mean |error|; structure: the same after the mean error of each image
                   is taken off, for scale may be unknowable where shape is not; gradient: mean
                   |difference of neighbours' errors|, summed over scales (Depth Pro, arXiv
                   2410.02073, section 3.2, multi-scale derivatives); drift: mean |mean error of
                   an image - that of its clip|; flicker: mean |change of the error from frame to
                   frame| where the truth stands still (temporal gradient matching, Chen et al.
                   2025, arXiv 2501.12375, section 3.2); plane: mean |bend| where the truth is a
                   plane, whose inverse depth is linear in the pixel
    """
    known = inverse_depth.isfinite()
    target = torch.log1p(torch.where(known, inverse_depth, 0))
    sky = inverse_depth == 0
    error = torch.where(sky, F.relu(u), u - target)  # any value below 0 says sky
    error = torch.where(known, error, 0)
    count = known.sum().clamp(min=1)
    absolute = error.abs().sum() / count
    solid = (known & ~sky).float()
    offset = (error * solid).sum((2, 3)) / solid.sum((2, 3)).clamp(min=1)
    structure = ((error - offset[:, :, None, None]) * solid).abs().sum() / count
    gradient = _gradient(error.flatten(0, 1), known.flatten(0, 1).float(), weights.scales)
    drift = (offset - offset.mean(1, keepdim=True)).abs().mean()
    flicker = _flicker(error, target, known)
    plane = _plane(u.flatten(0, 1), target.flatten(0, 1), (known & ~sky).flatten(0, 1))
    total = (
        weights.absolute * absolute
        + weights.structure * structure
        + weights.gradient * gradient
        + weights.drift * drift
        + weights.flicker * flicker
        + weights.plane * plane
    )
    return Losses(total, absolute, structure, gradient, drift, flicker, plane)


def _flicker(error: Tensor, target: Tensor, known: Tensor) -> Tensor:
    """Mean |change of the error| (B, T, H, W) from frame to frame; 0 of frames by themselves."""
    still = (target[:, 1:] - target[:, :-1]).abs() < STILL_U
    still = still & known[:, 1:] & known[:, :-1]
    changes = (error[:, 1:] - error[:, :-1]).abs() * still
    return changes.sum() / still.sum().clamp(min=1)


def _plane(u: Tensor, target: Tensor, solid: Tensor) -> Tensor:
    """Mean |bend| of u (N, H, W) where the target is flat, summed over strides."""
    total = u.new_zeros(())
    for stride in PLANE_STRIDES:
        for dim in (1, 2):
            inside = u.shape[dim] - 2 * stride
            if inside <= 0:
                continue
            all_solid = solid.narrow(dim, 0, inside) & solid.narrow(dim, stride, inside)
            all_solid = all_solid & solid.narrow(dim, 2 * stride, inside)
            flat = all_solid & (_bend(target, dim, stride).abs() < PLANE_BEND)
            bends = _bend(u, dim, stride).abs() * flat
            total = total + bends.sum() / flat.sum().clamp(min=1)
    return total


def _bend(u: Tensor, dim: int, stride: int) -> Tensor:
    """Second difference of 1 + v = exp(u) over 2 ``stride`` cells, a share of its middle."""
    inside = u.shape[dim] - 2 * stride
    before, middle, after = (u.narrow(dim, k * stride, inside) for k in range(3))
    down, up = ((side - middle).clamp(max=MAX_STEP_U).exp() for side in (before, after))
    return (down + up) / 2 - 1


def _gradient(error: Tensor, known: Tensor, scales: int) -> Tensor:
    """Mean |difference of known neighbours| of (N, H, W), summed over scales, each half the last.

    A cell of a coarser scale is known where all four below it are.
    """
    total = error.new_zeros(())
    for scale in range(scales):
        if scale:
            error = F.avg_pool2d(error[:, None], 2)[:, 0]
            known = (F.avg_pool2d(known[:, None], 2)[:, 0] == 1).float()
        for dim in (1, 2):
            n = error.shape[dim] - 1
            both = known.narrow(dim, 1, n) * known.narrow(dim, 0, n)
            total = total + (error.diff(dim=dim).abs() * both).sum() / both.sum().clamp(min=1)
    return total
