# SPDX-License-Identifier: Apache-2.0
"""Network of each name of the catalogue, and conversion of original checkpoints. Needs torch."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import nn

from videodepth_ros.core.errors import ConfigError, ModelError
from videodepth_ros.models import depth_anything_release
from videodepth_ros.models.align3r import ALIGN3R, Align3R
from videodepth_ros.models.checkpoint import (
    Weights,
    describe_mismatch,
    expand_tied_tensors,
    read_state_dict,
    shapes_of,
)
from videodepth_ros.models.flashdepth import (
    FLASHDEPTH_FULL,
    FLASHDEPTH_L,
    FLASHDEPTH_S,
    FlashDepth,
    FlashDepthConfig,
)
from videodepth_ros.models.nano import NANO, NANO_1
from videodepth_ros.models.safetensors_file import write_safetensors

_CONFIGS = {
    'nano': NANO,
    'nano-1': NANO_1,
    'flashdepth-s': FLASHDEPTH_S,
    'flashdepth-l': FLASHDEPTH_L,
    'flashdepth': FLASHDEPTH_FULL,
}

DEPTH_PRO_TENSOR = 'encoder.upsample_latent0.0.weight'
"""Tensor that only the checkpoint of the Depth Pro release has."""

UNSUPPORTED = (
    (
        'motion_modules',
        'Video Depth Anything, which needs windows of 32 frames and does not stream; fetch '
        'flashdepth-s or, for the offline job, rollingdepth instead',
    ),
    (
        'backbone.blocks.0.attn.q_norm',
        'Depth Anything 3, which is not supported; fetch depth-anything-v2-small instead',
    ),
)
"""Part of a tensor's name in networks that are recognised and rejected, and why."""

DUST3R_TENSOR, ALIGN3R_TENSOR = 'downstream_head1.dpt.head.0.weight', 'dec_blocks_pc'


def config_of(name: str) -> FlashDepthConfig:
    """Return the configuration of the streaming network ``name``.

    raises  ConfigError naming the choices
    """
    if name not in _CONFIGS:
        raise ConfigError(f'there is no model {name!r}: choose one of {", ".join(_CONFIGS)}')
    return _CONFIGS[name]


def _networks() -> dict[str, Callable[[], nn.Module]]:
    """Return the constructor of each network that is stored as one file."""
    streaming = {name: partial(FlashDepth, config) for name, config in _CONFIGS.items()}
    return {**streaming, 'align3r': partial(Align3R, ALIGN3R)}


def convert_checkpoint(source: Path, target: Path, name: str | None = None) -> str:
    """Write the weights of a checkpoint in the store's form and return their name.

    name  in the catalogue, where tensors alone do not decide; None: by the file's name

    The form is ``.safetensors``, or the folder of `transformers` for Depth Pro and Depth Anything.
    A variant is recognised by the names and shapes of its tensors. Other contents of a training
    checkpoint (optimizer, arguments) are dropped.

    raises  ModelError where the file cannot be read, is of no known variant or holds NaN;
            OSError where ``target`` cannot be written
    """
    weights = read_state_dict(source)
    if DEPTH_PRO_TENSOR in weights:
        from videodepth_ros.models.depth_pro_release import write_folder  # needs transformers

        return write_folder(weights, target)
    if depth_anything_release.is_release(weights):
        variant = depth_anything_release.variant_of(weights, source, name)
        depth_anything_release.write_folder(weights, variant, target)
        return variant
    found, complete = _recognised(weights, source)
    try:
        write_safetensors(complete, target)
    except ModelError as error:
        raise ModelError(f'{source}: {error}') from error
    return _align3r_name(source, name) if found == 'align3r' else found


def _recognised(weights: Weights, source: Path) -> tuple[str, Weights]:
    """Return the name of the network with exactly these tensors, and all tensors of it."""
    problems = {}
    for name, make in _networks().items():
        with torch.device('meta'):
            network = make()
        complete = expand_tied_tensors(weights, network)
        problem = describe_mismatch(shapes_of(network.state_dict()), shapes_of(complete))
        if problem is None:
            return name, complete
        problems[name] = problem
    for part, description in UNSUPPORTED:
        if any(part in key for key in weights):
            raise ModelError(f'{source} is a checkpoint of {description}')
    if DUST3R_TENSOR in weights and not any(ALIGN3R_TENSOR in key for key in weights):
        raise ModelError(
            f'{source} is a checkpoint of DUSt3R, without the point-map branch of Align3R: '
            '`videodepth weights fetch align3r-depth-pro`'
        )
    raise ModelError(
        f'{source} is of no known variant: '
        + ''.join(f'\n  {name}: it {problem}' for name, problem in problems.items())
    )


def _align3r_name(source: Path, name: str | None) -> str:
    """Return the card of an Align3R file by ``name`` or its path; the tensors do not decide."""
    if name:
        return name
    text = f'{source.resolve().parent.name}/{source.name}'.lower().replace('_', '')
    if 'depthpro' in text.replace('-', ''):
        return 'align3r-depth-pro'
    if 'depthanything' in text.replace('-', ''):
        return 'align3r-depth-anything-v2'
    return 'align3r'
