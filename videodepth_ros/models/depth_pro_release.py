# SPDX-License-Identifier: Apache-2.0
"""Convert the checkpoint of the Depth Pro release, `depth_pro.pt`, to a folder of `transformers`.

Both have the same tensors under other names, except that query, key and value of an attention are
one tensor in the release.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import DepthProConfig, DepthProForDepthEstimation

from videodepth_ros.models.catalogue import DEPTH_PRO_CARD
from videodepth_ros.models.checkpoint import Weights
from videodepth_ros.models.folders import CPU
from videodepth_ros.models.pretrained import load_pretrained
from videodepth_ros.models.safetensors_file import write_safetensors

_VIT = {
    'model_type': 'dinov2',
    'hidden_size': 1024,
    'num_hidden_layers': 24,
    'num_attention_heads': 16,
    'mlp_ratio': 4,
    'image_size': 384,
    'patch_size': 16,
    'use_mask_token': False,
    'reshape_hidden_states': True,
    'apply_layernorm': True,
}

RELEASED: dict[str, Any] = {
    'fusion_hidden_size': 256,
    'intermediate_hook_ids': [11, 5],
    'intermediate_feature_dims': [256, 256],
    'scaled_images_feature_dims': [1024, 1024, 512],
    'use_fov_model': True,
    'image_model_config': _VIT,
    'patch_model_config': _VIT,
    'fov_model_config': _VIT,
}
"""Configuration of the release's network for the library."""

_RENAMED = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        # the three vision transformers
        (r'^encoder\.(patch|image)_encoder\.', r'depth_pro.encoder.\1_encoder.model.'),
        (r'^fov\.encoder\.0\.', 'fov_model.fov_encoder.model.'),
        (r'model\.(cls_token)$', r'model.embeddings.\1'),
        (r'model\.pos_embed$', 'model.embeddings.position_embeddings'),
        (r'model\.patch_embed\.proj\.', 'model.embeddings.patch_embeddings.projection.'),
        (r'model\.norm\.', 'model.layernorm.'),
        (r'model\.blocks\.', 'model.encoder.layer.'),
        (r'\.attn\.proj\.', '.attention.output.dense.'),
        (r'\.ls(\d)\.gamma$', r'.layer_scale\1.lambda1'),
        # feature upsampling; the library counts from the coarsest
        (
            r'^encoder\.upsample_latent0\.',
            'depth_pro.neck.feature_upsample.intermediate.1.layers.',
        ),
        (
            r'^encoder\.upsample_latent1\.',
            'depth_pro.neck.feature_upsample.intermediate.0.layers.',
        ),
        (r'^encoder\.upsample0\.', 'depth_pro.neck.feature_upsample.scaled_images.2.layers.'),
        (r'^encoder\.upsample1\.', 'depth_pro.neck.feature_upsample.scaled_images.1.layers.'),
        (r'^encoder\.upsample2\.', 'depth_pro.neck.feature_upsample.scaled_images.0.layers.'),
        (r'^encoder\.upsample_lowres\.', 'depth_pro.neck.feature_upsample.image_block.layers.0.'),
        (r'^encoder\.fuse_lowres\.', 'depth_pro.neck.fuse_image_with_low_res.'),
        *(
            (rf'^decoder\.convs\.{i}\.', f'depth_pro.neck.feature_projection.projections.{4 - i}.')
            for i in range(1, 5)
        ),
        # the decoder
        (r'^decoder\.fusions\.0\.', 'fusion_stage.final.'),
        *(
            (rf'^decoder\.fusions\.{i}\.', f'fusion_stage.intermediate.{4 - i}.')
            for i in range(1, 5)
        ),
        (r'\.resnet(\d)\.residual\.1\.', r'.residual_layer\1.convolution1.'),
        (r'\.resnet(\d)\.residual\.3\.', r'.residual_layer\1.convolution2.'),
        (r'\.out_conv\.', '.projection.'),
        # the heads
        (r'^head\.', 'head.layers.'),
        (r'^fov\.encoder\.1\.', 'fov_model.fov_encoder.neck.'),
        (r'^fov\.downsample\.0\.', 'fov_model.conv.'),
        (r'^fov\.head\.', 'fov_model.head.layers.'),
    )
)


def write_folder(weights: Weights, target: Path) -> str:
    """Write the release's tensors as a folder of the library and return its name.

    raises  ModelError where a tensor is missing or holds NaN, OSError where nothing can be written
    """
    config = DepthProConfig(**RELEASED, architectures=[DepthProForDepthEstimation.__name__])
    target.mkdir(parents=True)
    config.save_pretrained(target)
    write_safetensors(renamed(weights), target / 'model.safetensors', {'format': 'pt'})
    load_pretrained(DepthProForDepthEstimation, target, CPU, stored_precision=True)
    return DEPTH_PRO_CARD.name


def renamed(weights: Weights) -> Weights:
    """Return the release's tensors under the library's names, without copies."""
    library: Weights = {}
    for name, tensor in weights.items():
        for pattern, replacement in _RENAMED:
            name = pattern.sub(replacement, name)
        library.update(_split(name, tensor) if '.attn.qkv.' in name else {name: tensor})
    return library


def _split(name: str, tensor: Tensor) -> Weights:
    """Split a tensor of query, key and value into three."""
    return {
        name.replace('.attn.qkv.', f'.attention.attention.{part}.'): value
        for part, value in zip(('query', 'key', 'value'), tensor.chunk(3), strict=True)
    }
