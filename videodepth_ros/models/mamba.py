# SPDX-License-Identifier: Apache-2.0
"""The temporal module of FlashDepth: Mamba-2 layers that scan a video as one sequence.

Dao and Gu 2024 (arXiv 2405.21060). The pooled tokens of a frame are scanned row by row, and the
state after the last token seeds the next frame: one matrix a head for the whole image. The short
convolution in front of the scan starts anew with each frame. Attribute names are those of the
published checkpoints.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from videodepth_ros.core.errors import InputError
from videodepth_ros.models.constants import device_constant
from videodepth_ros.models.dpt import resize
from videodepth_ros.models.vit import zero_linear


@dataclass(frozen=True)
class MambaConfig:
    """Sizes of the temporal module.

    expand    inner width of a layer as a multiple of the decoder's
    head_dim  channels of one head (P)
    d_state   columns of a head's state (N)
    d_conv    taps of the causal convolution
    pool      the map is pooled to this fraction of its height and width before the scan
    """

    expand: int
    head_dim: int
    d_state: int = 256
    d_conv: int = 4
    layers: int = 4
    pool: float = 0.1

    def heads(self, dim: int) -> int:
        """Heads (H) of a layer between maps of ``dim`` channels."""
        return self.expand * dim // self.head_dim

    def state_shape(self, dim: int, batch: int) -> tuple[int, int, int, int, int]:
        """Shape (layers, B, H, P, N) of the recurrent state."""
        return self.layers, batch, self.heads(dim), self.head_dim, self.d_state


class TemporalMamba(nn.Module):
    """Mix each map of a video with the recurrent state of earlier frames."""

    def __init__(self, dim: int, config: MambaConfig) -> None:
        super().__init__()
        self.config = config
        self.blocks = nn.ModuleList(
            [nn.ModuleList(MambaBlock(dim, config) for _ in range(config.layers))]
        )
        self.final_layer = nn.Sequential(nn.GELU(), zero_linear(dim, dim))

    def forward(self, maps: Tensor, state: Tensor, frames: int = 1) -> tuple[Tensor, Tensor]:
        """Return maps of the same shape, and the state after the last frame.

        maps    (B * frames, C, h, w), the frames of a video next to each other in time order
        state   (layers, B, H, P, N) float32
        raises  InputError where the map is too small to be pooled
        """
        size = maps.shape[-2:]
        pooled = average_pool(maps, pooled_size(size, self.config.pool))
        tokens = pooled.flatten(2).transpose(1, 2).unflatten(0, (-1, frames))
        layers = cast('list[MambaBlock]', self.blocks[0])
        tokens = tokens.to(layers[0].norm1.weight.dtype)  # the maps may have fewer digits
        states = []
        for block, before in zip(layers, state.unbind(), strict=True):
            tokens, after = block(tokens, before)
            states.append(after)
        mixed = tokens.flatten(0, 1).transpose(1, 2).unflatten(2, pooled.shape[-2:])
        mixed = mixed.to(maps.dtype)
        update = self.final_layer(resize(mixed, size).movedim(1, -1)).movedim(-1, 1)
        return maps + update, torch.stack(states)


class MambaBlock(nn.Module):
    """A Mamba-2 layer and a two-layer perceptron, each behind a norm and beside an identity."""

    def __init__(self, dim: int, config: MambaConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.mamba = Mamba2(dim, config)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

    def forward(self, tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens (B, T, L, C) and state (B, H, P, N) to the same."""
        mixed, state = self.mamba(self.norm1(tokens), state)
        tokens = tokens + mixed
        return tokens + self.mlp(self.norm2(tokens)), state


class Mamba2(nn.Module):
    """One state-space layer with a scalar decay for each head and one group of B and C."""

    def __init__(self, dim: int, config: MambaConfig) -> None:
        super().__init__()
        inner, heads = config.expand * dim, config.heads(dim)
        self.head_dim = config.head_dim
        self.widths = (inner, inner + 2 * config.d_state, heads)
        self.in_proj = nn.Linear(dim, sum(self.widths), bias=False)
        convolved = self.widths[1]
        self.conv1d = nn.Conv1d(
            convolved, convolved, config.d_conv, groups=convolved, padding=config.d_conv - 1
        )
        step = torch.empty(heads).uniform_(math.log(1e-3), math.log(1e-1)).exp()
        self.dt_bias = nn.Parameter(step + torch.log(-torch.expm1(-step)))  # inverse of softplus
        self.A_log = nn.Parameter(torch.empty(heads).uniform_(1, 16).log())
        self.D = nn.Parameter(torch.ones(heads))
        self.norm = GatedRMSNorm(inner)
        self.out_proj = nn.Linear(inner, dim, bias=False)

    def forward(self, tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens (B, T, L, C) and state (B, H, P, N) to the same."""
        gate, xBC, dt = self.in_proj(tokens).split(self.widths, dim=-1)
        inner, N = self.widths[0], state.shape[-1]
        x, B, C = F.silu(self._convolve(xBC)).float().split((inner, N, N), dim=-1)
        x = x.unflatten(-1, (-1, self.head_dim))
        dt = F.softplus(dt.float() + self.dt_bias.float())
        y, state = scan(x, dt, -self.A_log.float().exp(), B, C, state)
        y = (y + x * self.D.float()[:, None]).flatten(-2)
        return self.out_proj(self.norm(y, gate)), state

    def _convolve(self, tokens: Tensor) -> Tensor:
        """Causal convolution along the tokens of each frame, (B, T, L, C) to the same.

        The window does not reach back into the frame before: the weights were trained so.
        """
        batch, _, length, _ = tokens.shape
        channels_first = tokens.flatten(0, 1).transpose(1, 2)
        convolved = self.conv1d(channels_first)[..., :length]  # padding on the left alone counts
        return convolved.transpose(1, 2).unflatten(0, (batch, -1))


class GatedRMSNorm(nn.Module):
    """Root-mean-square norm over all channels, after the gate."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor, gate: Tensor) -> Tensor:
        """Tokens (..., C) float32 and gate (..., C) to tokens (..., C) of the gate's type."""
        x = x * F.silu(gate.float())
        x = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-5)
        return (x * self.weight).to(gate.dtype)


def scan(
    x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, state: Tensor, chunk: int = 256
) -> tuple[Tensor, Tensor]:
    """Run the recurrence of ``scan_reference`` as matrix products over chunks of tokens.

    Arguments and result are those of ``scan_reference``. Section 6 of arXiv 2405.21060: within a
    chunk the outputs are a masked product as in attention; between chunks the states are passed
    on. No cumulative sum and no loop over tokens, so that the graph exports and runs in parallel.
    Everything is float32: the exponents reach hundreds, where their differences need the digits.
    """
    frames, length = dt.shape[1:3]
    count = -(-length // chunk)  # chunks in a frame, all of one size
    size = -(-length // count)
    x, dt, B, C = (_chunks(v, count, size) for v in (x, dt, B, C))  # (B, K, size, ...)

    decay = device_constant(lower_triangle, size, like=x) @ (dt * A)  # its log, up to each token
    total = decay[:, :, -1]  # (B, K, H)
    driven = x * dt[..., None]
    left = torch.exp(total[:, :, None] - decay)[..., None] * driven
    gained = left.flatten(3).transpose(2, 3) @ B  # (B, K, H * P, N)
    before, state = _pass_on(state, total.exp(), gained.unflatten(2, x.shape[-2:]))

    by_head = decay.transpose(2, 3)  # (B, K, H, size)
    between = by_head[..., :, None] - by_head[..., None, :]
    later = device_constant(upper_triangle, size, like=x)
    between = between.masked_fill(later, -torch.inf)  # before exp: it would overflow
    weights = between.exp() * (C @ B.transpose(2, 3))[:, :, None]
    within = (weights @ driven.transpose(2, 3)).transpose(2, 3)
    carried = (C @ before.flatten(2, 3).transpose(2, 3)).unflatten(-1, x.shape[-2:])
    y = within + carried * decay.exp()[..., None]
    return y.unflatten(1, (frames, count)).flatten(2, 3)[:, :, :length], state


def _chunks(x: Tensor, count: int, size: int) -> Tensor:
    """Cut (B, T, L, ...) into (B, T * count, size, ...), with zeros behind the last token.

    A token of zero dt neither decays the state nor adds to it.
    """
    missing = count * size - x.shape[2]
    if missing:
        x = F.pad(x, (0, 0) * (x.ndim - 3) + (0, missing))
    return x.unflatten(2, (count, size)).flatten(1, 2)


def _pass_on(state: Tensor, kept: Tensor, gained: Tensor) -> tuple[Tensor, Tensor]:
    """State before each chunk (B, K, H, P, N), and after the last one (B, H, P, N).

    kept    (B, K, H) factor that each chunk leaves of the state
    gained  (B, K, H, P, N) what each chunk adds
    """
    before = []
    for k in range(kept.shape[1]):
        before.append(state)
        state = kept[:, k, :, None, None] * state + gained[:, k]
    return torch.stack(before, dim=1), state


def scan_reference(
    x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    """Token by token: state = exp(dt A) state + dt x B', y = state C (arXiv 2405.21060, eq. 2).

    x        (B, T, L, H, P) T frames of L tokens, scanned one after the other
    dt       (B, T, L, H) step sizes, > 0
    A        (H) decay rates, < 0
    B, C     (B, T, L, N) what a token writes to, and reads from
    state    (B, H, P, N)
    returns  y (B, T, L, H, P), and the state after the last token; all float32
    """
    outputs = []
    tokens = (v.flatten(1, 2).unbind(1) for v in (x, dt, B, C))
    for x_t, dt_t, B_t, C_t in zip(*tokens, strict=True):
        written = (dt_t[..., None] * x_t)[..., None] * B_t[:, None, None]
        state = torch.exp(dt_t * A)[..., None, None] * state + written
        outputs.append((state * C_t[:, None, None]).sum(-1))
    return torch.stack(outputs, dim=1).unflatten(1, x.shape[1:3]), state


def pooled_size(size: torch.Size | tuple[int, int], fraction: float) -> tuple[int, int]:
    """Rows and columns that a map of ``size`` (h, w) is pooled to: rounded down.

    raises  InputError where nothing would be left
    """
    rows, columns = (int(n * fraction) for n in size)
    if min(rows, columns) < 1:
        raise InputError(
            f'a map of {size[1]}x{size[0]} is too small for the temporal module, which pools it '
            f'to {fraction} of each side: use a larger network size'
        )
    return rows, columns


def average_pool(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Adaptive average pooling (B, C, h, w) to (B, C, *size) by two constant matrices."""
    vertical, horizontal = (
        device_constant(pooling_matrix, n, m, like=maps, dtype=maps.dtype)
        for n, m in zip(maps.shape[-2:], size, strict=True)
    )
    return vertical @ maps @ horizontal.T


@lru_cache(maxsize=32)
def lower_triangle(size: int) -> NDArray[np.float32]:
    """Matrix (size, size) float32 that sums each token with those before it."""
    return np.tri(size, dtype=np.float32)


@lru_cache(maxsize=32)
def upper_triangle(size: int) -> NDArray[np.bool_]:
    """Mask (size, size) bool of the tokens that come later."""
    return ~np.tri(size, dtype=np.bool_)


@lru_cache(maxsize=32)
def pooling_matrix(source: int, target: int) -> NDArray[np.float32]:
    """Matrix (target, source) float32 that averages windows of ``source`` samples.

    Window i is [floor(i s / t), ceil((i + 1) s / t)): windows overlap where t does not divide s.
    """
    matrix = np.zeros((target, source), np.float32)
    for i in range(target):
        start, stop = i * source // target, -(-(i + 1) * source // target)
        matrix[i, start:stop] = 1 / (stop - start)
    return matrix
