# SPDX-License-Identifier: Apache-2.0
"""Convert a ``.pth`` of the Depth Anything V2 release to a folder of `transformers`.

Both have the same tensors under other names, except that query, key and value of an attention are
one tensor in the release. The variant follows from the width of the tokens; relative and metric
ones have the same tensors, so that the file's name or the caller decides between them.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from videodepth_ros.core.errors import ModelError
from videodepth_ros.models.checkpoint import Weights
from videodepth_ros.models.safetensors_file import write_safetensors

MARKER = 'depth_head.scratch.output_conv2.2.weight'
TOKEN = 'pretrained.cls_token'

SIZES: dict[int, tuple[str, dict[str, Any], dict[str, Any]]] = {
    384: (
        'small',
        {'num_hidden_layers': 12, 'num_attention_heads': 6, 'out_indices': [3, 6, 9, 12]},
        {'neck_hidden_sizes': [48, 96, 192, 384], 'fusion_hidden_size': 64},
    ),
    768: (
        'base',
        {'num_hidden_layers': 12, 'num_attention_heads': 12, 'out_indices': [3, 6, 9, 12]},
        {'neck_hidden_sizes': [96, 192, 384, 768], 'fusion_hidden_size': 128},
    ),
    1024: (
        'large',
        {'num_hidden_layers': 24, 'num_attention_heads': 16, 'out_indices': [5, 12, 18, 24]},
        {'neck_hidden_sizes': [256, 512, 1024, 1024], 'fusion_hidden_size': 256},
    ),
}
"""Size, backbone and decoder by the width of the tokens (arXiv 2406.09414)."""

MAX_DEPTH_M = {'metric-indoor-': 20, 'metric-outdoor-': 80}
"""Largest depth [m] of the metric variants, the scale of their last layer."""

PROCESSOR: dict[str, Any] = {
    'image_processor_type': 'DPTImageProcessor',
    'do_resize': True,
    'size': {'height': 518, 'width': 518},
    'keep_aspect_ratio': True,
    'ensure_multiple_of': 14,
    'resample': 3,
    'do_rescale': True,
    'rescale_factor': 1 / 255,
    'do_normalize': True,
    'image_mean': [0.485, 0.456, 0.406],
    'image_std': [0.229, 0.224, 0.225],
    'do_pad': False,
}
"""Preprocessing of the release, as the library's image processor has it."""

_RENAMED = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        # backbone: DINOv2
        (r'^pretrained\.(cls_token|mask_token)$', r'backbone.embeddings.\1'),
        (r'^pretrained\.pos_embed$', 'backbone.embeddings.position_embeddings'),
        (r'^pretrained\.patch_embed\.proj\.', 'backbone.embeddings.patch_embeddings.projection.'),
        (r'^pretrained\.norm\.', 'backbone.layernorm.'),
        (r'^pretrained\.blocks\.(?:\d+\.)?(\d+)\.', r'backbone.encoder.layer.\1.'),
        (r'\.attn\.proj\.', '.attention.output.dense.'),
        (r'\.ls(\d)\.gamma$', r'.layer_scale\1.lambda1'),
        # neck; the library counts the fusion stages from the coarsest
        (r'^depth_head\.projects\.(\d)\.', r'neck.reassemble_stage.layers.\1.projection.'),
        (r'^depth_head\.resize_layers\.(\d)\.', r'neck.reassemble_stage.layers.\1.resize.'),
        *((rf'^depth_head\.scratch\.layer{i}_rn\.', f'neck.convs.{i - 1}.') for i in range(1, 5)),
        *(
            (rf'^depth_head\.scratch\.refinenet{i}\.', f'neck.fusion_stage.layers.{4 - i}.')
            for i in range(1, 5)
        ),
        (r'\.resConfUnit(\d)\.conv(\d)\.', r'.residual_layer\1.convolution\2.'),
        (r'\.out_conv\.', '.projection.'),
        # head
        (r'^depth_head\.scratch\.output_conv1\.', 'head.conv1.'),
        (r'^depth_head\.scratch\.output_conv2\.0\.', 'head.conv2.'),
        (r'^depth_head\.scratch\.output_conv2\.2\.', 'head.conv3.'),
    )
)


def is_release(weights: Weights) -> bool:
    """Return whether the tensors are named as in the release of Depth Anything."""
    return MARKER in weights and TOKEN in weights and not any('mamba' in name for name in weights)


def variant_of(weights: Weights, source: Path, name: str | None) -> str:
    """Return the name in the catalogue of the variant in a file.

    name    of the catalogue, as the caller gives it; None: by the file's name
    raises  ModelError where the two do not decide, or ``name`` is of another size
    """
    width = weights[TOKEN].shape[-1]
    if width not in SIZES:
        raise ModelError(
            f'{source} is a Depth Anything with tokens of {width} channels; supported are the '
            f'sizes small, base and large: {", ".join(map(str, SIZES))}'
        )
    size = SIZES[width][0]
    trained_for = _trained_for(source.name)
    choices = [f'depth-anything-v2-{kind}{size}' for kind in ('', *MAX_DEPTH_M)]
    chosen = name or (None if trained_for is None else f'depth-anything-v2-{trained_for}{size}')
    if chosen not in choices:
        raise ModelError(
            f'{source} is a Depth Anything V2 of size {size}, relative or metric: give its name '
            f'with --as, one of {", ".join(choices)}'
        )
    return chosen


def _trained_for(file_name: str) -> str | None:
    """Return the training of a file by the release's naming; None where it does not decide."""
    text = file_name.lower()
    if 'hypersim' in text or 'indoor' in text:
        return 'metric-indoor-'
    if 'vkitti' in text or 'outdoor' in text:
        return 'metric-outdoor-'
    return '' if re.fullmatch(r'depth_anything_v2_vit[sbl]\.pth', text) else None


def write_folder(weights: Weights, name: str, target: Path) -> None:
    """Write the tensors of the release as a folder of the library.

    name    of the variant in the catalogue
    raises  ModelError where a tensor holds NaN, OSError where nothing can be written
    """
    target.mkdir(parents=True)
    (target / 'config.json').write_text(json.dumps(config_of(weights, name), indent=1))
    (target / 'preprocessor_config.json').write_text(json.dumps(PROCESSOR, indent=1))
    write_safetensors(renamed(weights), target / 'model.safetensors', {'format': 'pt'})


def config_of(weights: Weights, name: str) -> dict[str, Any]:
    """Return the library's configuration of a variant."""
    width = weights[TOKEN].shape[-1]
    _, backbone, decoder = SIZES[width]
    max_depth_m = next((m for kind, m in MAX_DEPTH_M.items() if kind in name), None)
    return {
        'architectures': ['DepthAnythingForDepthEstimation'],
        'model_type': 'depth_anything',
        'backbone_config': {
            'model_type': 'dinov2',
            'hidden_size': width,
            'image_size': 518,
            'patch_size': 14,
            'reshape_hidden_states': False,
            'apply_layernorm': True,
            **backbone,
        },
        'patch_size': 14,
        'reassemble_hidden_size': width,
        'reassemble_factors': [4, 2, 1, 0.5],
        'head_in_index': -1,
        'head_hidden_size': 32,
        'depth_estimation_type': 'metric' if max_depth_m else 'relative',
        'max_depth': max_depth_m or 1,
        **decoder,
    }


def renamed(weights: Weights) -> Weights:
    """Return the release's tensors under the library's names, without copies."""
    library: Weights = {}
    for name, tensor in weights.items():
        for pattern, replacement in _RENAMED:
            name = pattern.sub(replacement, name)
        if '.attn.qkv.' in name:
            parts = zip(('query', 'key', 'value'), tensor.chunk(3), strict=True)
            library.update(
                (name.replace('.attn.qkv.', f'.attention.attention.{part}.'), value)
                for part, value in parts
            )
        else:
            library[name] = tensor
    return library
