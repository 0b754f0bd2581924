# SPDX-License-Identifier: Apache-2.0
"""Depth Pro and Depth Anything V2, small and with random weights, as folders of the hub."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from videodepth_ros.frames import Frame
from videodepth_ros.geometry.camera import Intrinsics

transformers = pytest.importorskip(
    'transformers', reason='transformers is not installed: pip install -r requirements/priors.txt'
)


def frame(width: int = 64, height: int = 48, seed: int = 0, fx: float | None = None) -> Frame:
    """Return an image of noise over a slope, so that no two rows are alike."""
    rng = np.random.default_rng(seed)
    slope = np.linspace(0, 155, height)[:, None, None]
    image = (slope + rng.integers(0, 100, (height, width, 3))).astype(np.uint8)
    camera = Intrinsics(width, height, fx, fx, width / 2, height / 2) if fx else None
    return Frame(seed * 100_000_000, 'camera', image, camera)


def small_depth_pro(folder: Path, seed: int = 0) -> Path:
    """Save a Depth Pro of 256 pixels whose answers lie around those of a room."""
    vit = {
        'model_type': 'dinov2',
        'hidden_size': 32,
        'num_hidden_layers': 2,
        'num_attention_heads': 2,
        'mlp_ratio': 2,
        'image_size': 64,
        'patch_size': 16,
        'use_mask_token': False,
        'reshape_hidden_states': True,
        'apply_layernorm': True,
    }
    torch.manual_seed(seed)
    model = transformers.DepthProForDepthEstimation(
        transformers.DepthProConfig(
            fusion_hidden_size=16,
            patch_size=64,
            intermediate_hook_ids=[1, 0],
            intermediate_feature_dims=[16, 16],
            scaled_images_feature_dims=[32, 32, 24],
            use_fov_model=True,
            image_model_config=vit,
            patch_model_config=vit,
            fov_model_config=vit,
        )
    )
    lively(model)
    with torch.no_grad():  # an inverse depth of some 0.6, and a field of view of some 60 degrees
        model.head.layers[-2].weight.mul_(0.3)
        model.head.layers[-2].bias.fill_(0.6)
        model.fov_model.head.layers[-1].bias.fill_(60)
    model.save_pretrained(folder)
    return folder


def small_depth_anything(
    folder: Path,
    *,
    metric: bool = False,
    width: int = 32,
    taps: tuple[int, ...] = (1, 2, 3, 4),
    seed: int = 0,
) -> Path:
    """Save a Depth Anything of some 70 pixels across."""
    torch.manual_seed(seed)
    backbone = transformers.Dinov2Config(
        hidden_size=width,
        num_hidden_layers=max(taps),
        num_attention_heads=2,
        mlp_ratio=2,
        image_size=70,
        patch_size=14,
        out_indices=list(taps),
        reshape_hidden_states=False,
        apply_layernorm=True,
    )
    config = transformers.DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=width,
        neck_hidden_sizes=[8, 8, 16, 16],
        fusion_hidden_size=16,
        head_hidden_size=16,
        patch_size=14,
        depth_estimation_type='metric' if metric else 'relative',
        max_depth=20 if metric else 1,
    )
    model = transformers.DepthAnythingForDepthEstimation(config)
    lively(model)
    with torch.no_grad():
        model.head.conv3.bias.fill_(0.5)
    model.save_pretrained(folder)
    transformers.DPTImageProcessorPil(
        size={'height': 70, 'width': 70},
        ensure_multiple_of=14,
        keep_aspect_ratio=True,
        image_mean=[0.485, 0.456, 0.406],
        image_std=[0.229, 0.224, 0.225],
    ).save_pretrained(folder)
    return folder


def lively(model: torch.nn.Module) -> None:
    """Let the answer of a new network vary over the image: by themselves its weights are tiny."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:
                parameter.copy_(torch.randn_like(parameter) / parameter[0].numel() ** 0.5)
            elif 'layer_scale' in name or name.endswith('norm.weight'):
                parameter.fill_(1)
