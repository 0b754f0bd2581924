# SPDX-License-Identifier: Apache-2.0
"""The checkpoint of the Depth Pro release, `depth_pro.pt`, as a folder of `transformers`.

The two have the same tensors under other names, but for query, key and value of an attention,
which lie in one tensor in the release. So a user who has the file needs no second download.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor
from transformers import DepthProConfig, DepthProForDepthEstimation

from videodepth_ros.models.checkpoint import Weights
from videodepth_ros.models.folders import copy_folder

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
"""The network of the release, in the library's words."""

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
        # what brings their features to the decoder's sizes; the library counts from the coarsest
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
    """Write the release's tensors as a folder of the library and return whose they are.

    raises  ModelError where a tensor is missing or holds NaN, OSError where nothing can be written
    """
    with tempfile.TemporaryDirectory(dir=target.parent) as draft:
        folder = Path(draft)
        config = DepthProConfig(**RELEASED, architectures=[DepthProForDepthEstimation.__name__])
        config.save_pretrained(folder)
        save_file(renamed(weights), folder / 'model.safetensors', {'format': 'pt'})
        return copy_folder(folder, target)


def renamed(weights: Weights) -> Weights:
    """Return the release's tensors under the library's names."""
    library: Weights = {}
    for name, tensor in weights.items():
        for pattern, replacement in _RENAMED:
            name = pattern.sub(replacement, name)
        library.update(
            _split(name, tensor) if '.attn.qkv.' in name else {name: tensor.contiguous()}
        )
    return library


def _split(name: str, tensor: Tensor) -> Weights:
    """Query, key and value, which lie in one tensor one after the other."""
    return {
        name.replace('.attn.qkv.', f'.attention.attention.{part}.'): value.contiguous()
        for part, value in zip(('query', 'key', 'value'), tensor.chunk(3), strict=True)
    }
