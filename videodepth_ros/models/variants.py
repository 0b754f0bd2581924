# SPDX-License-Identifier: Apache-2.0
"""The network behind each name of the catalogue; needs torch, as the catalogue does not."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from videodepth_ros.core.errors import ConfigError, ModelError
from videodepth_ros.models.align3r import ALIGN3R, Align3R
from videodepth_ros.models.checkpoint import (
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

_CONFIGS = {
    'nano': NANO,
    'nano-1': NANO_1,
    'flashdepth-s': FLASHDEPTH_S,
    'flashdepth-l': FLASHDEPTH_L,
    'flashdepth': FLASHDEPTH_FULL,
}

DEPTH_PRO_TENSOR = 'encoder.upsample_latent0.0.weight'
"""Only the checkpoint of the Depth Pro release has a tensor of this name."""


def config_of(name: str) -> FlashDepthConfig:
    """Return the network that the catalogue calls ``name``.

    raises  ConfigError naming the choices
    """
    if name not in _CONFIGS:
        raise ConfigError(f'there is no model {name!r}: choose one of {", ".join(_CONFIGS)}')
    return _CONFIGS[name]


def _networks() -> dict[str, Callable[[], nn.Module]]:
    """Return what makes the network of each name whose weights can be stored."""
    streaming = {name: partial(FlashDepth, config) for name, config in _CONFIGS.items()}
    return {**streaming, 'align3r': partial(Align3R, ALIGN3R)}


def convert_checkpoint(source: Path, target: Path) -> str:
    """Write the weights of a checkpoint as they are stored, and return whose they are.

    That is as ``.safetensors``, or, for Depth Pro, as the folder that `transformers` reads. The
    variant is the one whose tensors have exactly the names and shapes of those found. What else
    a training checkpoint carries (its optimiser, pickled objects) is left behind.

    raises  ModelError where the file cannot be read, is of no known variant or holds NaN;
            OSError where ``target`` cannot be written
    """
    weights = read_state_dict(source)
    if DEPTH_PRO_TENSOR in weights:
        from videodepth_ros.models.depth_pro_release import write_folder  # needs transformers

        return write_folder(weights, target)
    problems = {}
    for name, make in _networks().items():
        with torch.device('meta'):
            network = make()
        complete = expand_tied_tensors(weights, network)
        problem = describe_mismatch(shapes_of(network.state_dict()), shapes_of(complete))
        if problem is None:
            break
        problems[name] = problem
    else:
        raise ModelError(
            f'{source} is of no known variant: '
            + ''.join(f'\n  {name}: it {problem}' for name, problem in problems.items())
        )
    broken = [key for key, value in complete.items() if not value.isfinite().all()]
    if broken:
        raise ModelError(
            f'{source} holds NaN or infinity in {len(broken)} tensors, such as '
            f'{broken[0]}: get the file again'
        )
    own = {
        key: value.clone(memory_format=torch.contiguous_format)  # the format takes no views
        for key, value in complete.items()
    }
    save_file(own, target)
    return name
