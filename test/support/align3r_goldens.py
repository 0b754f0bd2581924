# SPDX-License-Identifier: Apache-2.0
"""The reference data of Align3R: its configurations, and its weights, which follow from a rule.

The goldens come from the official modules, on the CPU in float32. Their weights are pseudo-random
values of each tensor's name; the README beside the goldens has the rule.
"""

from __future__ import annotations

import hashlib
from functools import partial

import numpy as np
import torch

from test.support import goldens as reference
from videodepth_ros.models.align3r import ALIGN3R, Align3R, Align3RConfig, Features, StackConfig
from videodepth_ros.models.dpt import DPTConfig

CONFIGS = {
    'tiny': Align3RConfig(
        StackConfig(dim=64, depth=3, heads=4, mlp_ratio=2),
        StackConfig(dim=48, depth=12, heads=4, mlp_ratio=2),
        DPTConfig(dim=24, channels=(12, 16, 24, 32), head_dim=12),
    ),
    'full': ALIGN3R,
}


golden = partial(reference.golden, 'align3r')
"""Return a file of this system's reference data; skips the test where it is not at hand."""


def model_of(name: str) -> Align3R:
    """Return the network of one golden with its weights by the rule."""
    return reference.by_rule(lambda: Align3R(CONFIGS[name]), weight)


def weight(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return one tensor of the rule, float32."""
    key = int.from_bytes(hashlib.sha256(f'7:{name}'.encode()).digest()[:8], 'little')
    normal = np.random.Generator(np.random.Philox(key=key)).standard_normal(shape, np.float32)
    if name.endswith('bias') or name == 'mask_token':
        return np.float32(0.02) * normal
    if len(shape) == 1:
        return 1 + np.float32(0.05) * normal
    gain = 0.9 if name.startswith('downstream_head') else 1.1
    return normal * np.float32(gain / np.sqrt(np.prod(shape[1:])))


def inputs(record: np.lib.npyio.NpzFile) -> tuple[torch.Tensor, ...]:
    """Return images and point maps of both views as the network takes them."""
    return tuple(
        torch.from_numpy(record[key].astype(np.float32)) for key in ('img1', 'pm1', 'img2', 'pm2')
    )


def encoded(model: Align3R, record: np.lib.npyio.NpzFile) -> tuple[Features, Features]:
    """Return the features of both views."""
    image_1, points_1, image_2, points_2 = inputs(record)
    return model.encode(image_1, points_1), model.encode(image_2, points_2)
