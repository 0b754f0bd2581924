# SPDX-License-Identifier: Apache-2.0
"""The reference data of FlashDepth: its configurations, and its weights, which follow from a rule.

The goldens come from the official modules, on the CPU in float32. Their weights are pseudo-random
values of each tensor's name, exact in half precision; the README beside the goldens has the rule.
"""

from __future__ import annotations

import hashlib
from functools import partial

import numpy as np

from test.support import goldens as reference
from videodepth_ros.models.dpt import DPTConfig
from videodepth_ros.models.flashdepth import (
    FLASHDEPTH_FULL,
    FLASHDEPTH_L,
    FLASHDEPTH_S,
    FlashDepth,
    FlashDepthConfig,
)
from videodepth_ros.models.fusion import HybridConfig
from videodepth_ros.models.mamba import MambaConfig
from videodepth_ros.models.vit import ViTConfig

_TINY_S = FlashDepthConfig(
    ViTConfig(dim=48, depth=4, heads=3, taps=(0, 1, 2, 3)),
    DPTConfig(64, (16, 24, 32, 40)),
    MambaConfig(expand=4, head_dim=32, d_state=32),
    mamba_stage=3,
)
_TINY_L = FlashDepthConfig(
    ViTConfig(dim=64, depth=4, heads=4, taps=(0, 1, 2, 3)),
    DPTConfig(96, (24, 32, 40, 48)),
    MambaConfig(expand=2, head_dim=64, d_state=32),
    mamba_stage=1,
)
_TINY_TEACHER = HybridConfig(
    ViTConfig(dim=64, depth=5, heads=4, taps=(1, 2, 3, 4)),
    DPTConfig(256, (24, 32, 40, 48)),
    height=126,
)
CONFIGS = {
    'tiny_S': _TINY_S,
    'tiny_L': _TINY_L,
    'tiny_Full': FlashDepthConfig(
        _TINY_S.encoder, _TINY_S.decoder, _TINY_S.mamba, mamba_stage=3, hybrid=_TINY_TEACHER
    ),
    'real_S': FLASHDEPTH_S,
    'real_L': FLASHDEPTH_L,
    'real_Full': FLASHDEPTH_FULL,
}


golden = partial(reference.golden, 'flashdepth')
"""Return a file of this system's reference data; skips the test where it is not at hand."""


def model_of(name: str) -> FlashDepth:
    """Return the network of one golden with its weights by the rule."""
    return reference.by_rule(lambda: FlashDepth(CONFIGS[name]), weight)


def weight(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return one tensor of the rule, float32."""
    u = _uniform(name, int(np.prod(shape))).reshape(shape)
    coarse = np.floor(16 * u) / 16
    leaf = name.rpartition('.')[2]
    if name.endswith('A_log'):
        return 1.5 + coarse
    if name.endswith('dt_bias'):
        return -4.5 + 2 * coarse
    if name.endswith('.D'):
        return 1 + 0.25 * coarse
    if leaf == 'gamma':
        return 0.5 + 0.25 * coarse
    if leaf == 'pos_embed':
        return 0.25 * u
    if leaf in ('cls_token', 'mask_token'):
        return u / 32
    if name.endswith('output_conv2.2.bias'):
        return np.full(shape, 2, np.float32)
    if leaf == 'bias':
        return u / 32
    if len(shape) == 1:
        return 1 + 0.125 * coarse
    return u * np.float32(2.0 ** _exponent(name, shape))


def _exponent(name: str, shape: tuple[int, ...]) -> int:
    """Power of two that gives a matrix or kernel the gain which its place asks for."""
    transposed = name.endswith(('resize_layers.0.weight', 'resize_layers.1.weight'))
    fan_in = shape[0] if transposed else int(np.prod(shape[1:]))
    decoder = any(part in name for part in ('.scratch.', '.projects.', '.resize_layers.'))
    gain = 1.4 if decoder else 4.0 if 'final_layer' in name else 1.0
    return round(np.log2(gain * np.sqrt(3) / np.sqrt(fan_in)))


def _uniform(name: str, count: int) -> np.ndarray:
    """Multiples of 1/128 in (-1, 1), float32: the splitmix64 stream that the name seeds."""
    seed = int.from_bytes(hashlib.sha256(f'2025:{name}'.encode()).digest()[:8], 'little')
    values = np.empty(count, np.float32)
    block = 1 << 16  # what fits into the cache is done in a third of the time
    for start in range(0, count, block):
        part = values[start : start + block]
        x = np.arange(start, start + len(part), dtype=np.uint64)
        x += np.uint64((seed + 0x9E3779B97F4A7C15) % 2**64)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        top = ((x ^ (x >> np.uint64(31))) >> np.uint64(56)).astype(np.int16) - 128
        top[top == -128] = 0
        part[:] = top
    return values / np.float32(128)
