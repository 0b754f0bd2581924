# SPDX-License-Identifier: Apache-2.0
"""FlashDepth: depth of a video, frame by frame, with a recurrent state that the caller holds.

Chou et al. 2025, arXiv 2504.07093. A transformer encodes the image (vit.py), a convolutional
decoder refines it in four stages from coarse to fine (dpt.py), and between two of them Mamba-2
layers align the frame with those before it (mamba.py). In the hybrid variant a large teacher,
which sees a smaller image, informs the coarsest stage (fusion.py). The attributes of the modules
are named as in the published checkpoints, so that their state dicts load unchanged.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from videodepth_ros.core.errors import InputError
from videodepth_ros.models.checkpoint import load_strict
from videodepth_ros.models.dpt import DPT, DPTConfig
from videodepth_ros.models.fusion import HybridConfig, HybridFusion, Teacher
from videodepth_ros.models.mamba import MambaConfig, TemporalMamba
from videodepth_ros.models.vit import VIT_L, VIT_S, EncoderConfig


@dataclass(frozen=True)
class FlashDepthConfig:
    """One variant of the network, by value.

    mamba_stage  the decoder stage, 4 (coarsest) to 1, whose path goes through the temporal module
    hybrid       the teacher and its fusion; None in the variants without one
    log_output   the last layer gives log(1 + inverse depth), in which an error weighs the same
                 near and far; the published variants give inverse depth itself
    """

    encoder: EncoderConfig
    decoder: DPTConfig
    mamba: MambaConfig
    mamba_stage: int
    hybrid: HybridConfig | None = None
    log_output: bool = False


_DPT_S = DPTConfig(dim=64, channels=(48, 96, 192, 384))
_DPT_L = DPTConfig(dim=256, channels=(256, 512, 1024, 1024))
_MAMBA_S = MambaConfig(expand=4, head_dim=32)
_MAMBA_L = MambaConfig(expand=2, head_dim=64)

# The paper has the temporal module behind the last stage; the released S and hybrid do not.
FLASHDEPTH_S = FlashDepthConfig(VIT_S, _DPT_S, _MAMBA_S, mamba_stage=3)
FLASHDEPTH_L = FlashDepthConfig(VIT_L, _DPT_L, _MAMBA_L, mamba_stage=1)
FLASHDEPTH_FULL = FlashDepthConfig(
    VIT_S, _DPT_S, _MAMBA_S, mamba_stage=3, hybrid=HybridConfig(VIT_L, _DPT_L)
)


class FlashDepth(nn.Module):
    """The network. A stream is a loop over ``step`` that hands the state on.

    The output is inverse depth >= 0, nearer is higher, 0 is infinitely far, in the unit that the
    catalogue states for the weights.
    """

    def __init__(self, config: FlashDepthConfig) -> None:
        super().__init__()
        self.config = config
        dim = config.decoder.dim
        self.pretrained = config.encoder.build()
        self.depth_head = DPT(config.encoder, config.decoder)
        self.mamba = TemporalMamba(dim, config.mamba)
        if config.hybrid is not None:
            self.teacher_model = Teacher(config.hybrid)
            self.hybrid_fusion = HybridFusion(dim, config.hybrid)

    def zero_state(self, batch: int = 1) -> Tensor:
        """State (layers, B, heads, head_dim, d_state) float32 before the first frame."""
        shape = self.config.mamba.state_shape(self.config.decoder.dim, batch)
        return torch.zeros(shape, device=next(self.parameters()).device)

    def step(self, image: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Compute one frame of B independent streams.

        image    (B, 3, H, W) normalised as by preprocess.py, H and W multiples of the patch
        state    what the last step returned; None starts the streams
        returns  inverse depth (B, H, W) float32, and the state after this frame
        raises   InputError where the size cannot be computed
        """
        return self._run(image, state, frames=1)

    forward = step

    def sequence(self, images: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Compute T frames at once: what ``step`` computes frame by frame, but faster.

        images   (B, T, 3, H, W)
        returns  inverse depth (B, T, H, W) float32, and the state after the last frame
        raises   InputError where the size cannot be computed
        """
        frames = images.shape[1]
        inverse_depth, state = self._run(images.flatten(0, 1), state, frames)
        return inverse_depth.unflatten(0, (-1, frames)), state

    def _run(self, images: Tensor, state: Tensor | None, frames: int) -> tuple[Tensor, Tensor]:
        """Only the temporal module sees that images (B * frames, 3, H, W) are frames."""
        size = images.shape[-2:]
        patch = self.config.encoder.patch
        if size[0] % patch or size[1] % patch:
            raise InputError(
                f'an image of {size[1]}x{size[0]} is not made of whole patches: '
                f'both sides must be multiples of {patch}'
            )
        if state is None:
            state = self.zero_state(len(images) // frames)
        decoder = self.depth_head
        levels = decoder.levels(self.pretrained(images))
        path = decoder.stage_4(levels[3], levels[2].shape[-2:])
        if self.config.hybrid is not None:
            path = self.hybrid_fusion(path, self.teacher_model(images))
        for stage in (4, 3, 2, 1):
            if stage < 4:
                path = decoder.stage(stage, path, levels)
            if stage == self.config.mamba_stage:
                path, state = self.mamba(path, state, frames)
        head = decoder.head(path, size).float()
        return head.expm1() if self.config.log_output else head, state


def load_flashdepth(config: FlashDepthConfig, path: Path | str) -> FlashDepth:
    """Return the network with the weights of a checkpoint, in float32 and ready to run.

    path    a published ``.pth``, with or without its ``model`` key, or a ``.safetensors``
    raises  ModelError where the file cannot be read or is not exactly of this variant
    """
    return load_strict(lambda: FlashDepth(config), Path(path))
