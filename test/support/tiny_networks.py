# SPDX-License-Identifier: Apache-2.0
"""Small networks of every variant."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from videodepth_ros.models.dpt import DPTConfig
from videodepth_ros.models.flashdepth import FlashDepth, FlashDepthConfig
from videodepth_ros.models.fusion import HybridConfig
from videodepth_ros.models.mamba import MambaConfig
from videodepth_ros.models.nano import NANO, NANO_1
from videodepth_ros.models.vit import ViTConfig


@dataclass(frozen=True)
class Variant:
    """A network small enough for a test, and the size that it is tested at."""

    config: FlashDepthConfig
    width: int
    height: int


_VIT = ViTConfig(dim=48, depth=4, heads=3, taps=(0, 1, 2, 3))
_DPT = DPTConfig(dim=64, channels=(16, 24, 32, 40))
_MAMBA = MambaConfig(expand=4, head_dim=32, d_state=32)
_TEACHER = HybridConfig(
    ViTConfig(dim=64, depth=5, heads=4, taps=(1, 2, 3, 4)),
    DPTConfig(dim=256, channels=(24, 32, 40, 48)),
    height=126,
)

VARIANTS = {
    'tiny-s': Variant(FlashDepthConfig(_VIT, _DPT, _MAMBA, mamba_stage=3), 140, 98),
    # 24x16 tokens: more than one chunk of the scan
    'tiny-l': Variant(
        FlashDepthConfig(
            ViTConfig(dim=64, depth=4, heads=4, taps=(0, 1, 2, 3)),
            DPTConfig(dim=96, channels=(24, 32, 40, 48)),
            MambaConfig(expand=2, head_dim=64, d_state=32),
            mamba_stage=1,
        ),
        420,
        280,
    ),
    # higher than what the teacher sees: its image is made smaller within the graph
    'tiny-full': Variant(
        FlashDepthConfig(_VIT, _DPT, _MAMBA, mamba_stage=3, hybrid=_TEACHER), 196, 154
    ),
    'nano': Variant(NANO, 160, 112),
    'nano-1': Variant(NANO_1, 160, 112),
}


@dataclass(frozen=True)
class Exported:
    """A network and its graph."""

    model: FlashDepth
    path: Path
    width: int
    height: int
