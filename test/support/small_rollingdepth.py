# SPDX-License-Identifier: Apache-2.0
"""A folder as that of RollingDepth's checkpoint, small and random."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer


def write_rollingdepth(folder: Path, seed: int = 0) -> Path:
    """Write all five components and return the folder."""
    torch.manual_seed(seed)
    UNet2DConditionModel(
        sample_size=8,
        in_channels=8,
        out_channels=4,
        layers_per_block=1,
        block_out_channels=(8, 16),
        norm_num_groups=4,
        cross_attention_dim=16,
        attention_head_dim=(2, 4),
        use_linear_projection=True,
        down_block_types=('CrossAttnDownBlock2D', 'DownBlock2D'),
        up_block_types=('UpBlock2D', 'CrossAttnUpBlock2D'),
    ).save_pretrained(folder / 'unet')
    AutoencoderKL(
        in_channels=3,
        out_channels=3,
        latent_channels=4,
        layers_per_block=1,
        norm_num_groups=4,
        block_out_channels=(4, 8, 8, 8),
        down_block_types=('DownEncoderBlock2D',) * 4,
        up_block_types=('UpDecoderBlock2D',) * 4,
    ).save_pretrained(folder / 'vae')
    DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule='scaled_linear',
        clip_sample=False,
        set_alpha_to_one=False,
        prediction_type='v_prediction',
        timestep_spacing='trailing',
        steps_offset=1,
    ).save_pretrained(folder / 'scheduler')
    CLIPTextModel(
        CLIPTextConfig(
            vocab_size=4,
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=8,
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=1,
        )
    ).save_pretrained(folder / 'text_encoder')
    _write_tokenizer(folder / 'tokenizer')
    return folder


def _write_tokenizer(folder: Path) -> None:
    folder.mkdir()
    begin, end = '<|startoftext|>', '<|endoftext|>'
    (folder / 'vocab.json').write_text(json.dumps({begin: 0, end: 1, 'a': 2, 'a</w>': 3}))
    (folder / 'merges.txt').write_text('#version: 0.2\n')
    CLIPTokenizer.from_pretrained(
        folder, bos_token=begin, eos_token=end, unk_token=end, pad_token=end
    ).save_pretrained(folder)
    (folder / 'vocab.json').write_text(json.dumps({begin: 0, end: 1, 'a': 2, 'a</w>': 3}))
    (folder / 'merges.txt').write_text('#version: 0.2\n')
