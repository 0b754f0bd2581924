# SPDX-License-Identifier: Apache-2.0
"""Checkpoint files: reading one without running its code, and whether it fits a network."""

from __future__ import annotations

import argparse
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from zipfile import is_zipfile

import torch
from torch import Tensor, nn

from videodepth_ros.core.errors import ModelError

Network = TypeVar('Network', bound=nn.Module)
Weights = dict[str, Tensor]
"""Tensor of each name of a state dict, inside the models floor."""

Shapes = dict[str, tuple[int, ...]]
"""Shape of each tensor by name, inside the models floor."""


def load_strict(make: Callable[[], Network], path: Path) -> Network:
    """Return a new network with the weights of a checkpoint, in float32 and ready to run.

    path    a ``.pth``, with or without its ``model`` key, or a ``.safetensors``
    raises  ModelError where the file cannot be read or is not exactly of this network
    """
    with torch.device('meta'):  # without storage: every tensor comes from the file
        model = make()
    weights = expand_tied_tensors(read_state_dict(path), model)
    problem = describe_mismatch(shapes_of(model.state_dict()), shapes_of(weights))
    if problem:
        raise ModelError(f'{path} does not hold the weights of this variant: {problem}')
    model.load_state_dict(weights, assign=True)
    return model.float().requires_grad_(True).eval()


def read_state_dict(path: Path) -> Weights:
    """Return the tensors of a checkpoint by name, on the CPU; no code of the file is run.

    raises  ModelError where the file cannot be read or holds something else
    """
    if path.suffix == '.safetensors':
        return _safe_weights(path)
    try:
        # Trainers keep their arguments beside the weights; a Namespace only holds values.
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(
                path, map_location='cpu', weights_only=True, mmap=is_zipfile(path)
            )  # torch before 1.6 wrote none
    except (AttributeError, EOFError, LookupError, TypeError, pickle.UnpicklingError) as error:
        raise ModelError(
            f'{path} cannot be read as a checkpoint: torch.save has not written it, '
            'or with objects that are no tensors'
        ) from error
    except (OSError, RuntimeError, ValueError) as error:
        raise ModelError(f'{path} cannot be read as a checkpoint: {error}') from error
    if isinstance(content, dict) and isinstance(content.get('model'), dict):
        content = content['model']
    if not isinstance(content, dict) or not all(isinstance(v, Tensor) for v in content.values()):
        raise ModelError(
            f'{path} is not a state dict: it must map names to tensors, '
            "at the top or under 'model'"
        )
    return dict(content)


def _safe_weights(path: Path) -> Weights:
    # Imported here, for a machine on which networks are only timed has torch alone.
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelError(f'{path} cannot be read as a checkpoint: {error}') from error


def expand_tied_tensors(weights: Weights, model: nn.Module) -> Weights:
    """Return the weights with each tensor under all the names that the network has for it.

    A ``.safetensors`` holds a tensor that goes by two names only once.
    """
    named = model.state_dict(keep_vars=True)
    held = {id(own): weights[name] for name, own in named.items() if name in weights}
    return {name: held[id(own)] for name, own in named.items() if id(own) in held} | weights


def shapes_of(tensors: Weights) -> Shapes:
    """Shape of each tensor by name."""
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def describe_mismatch(wanted: Shapes, found: Shapes) -> str | None:
    """Say in one line how ``found`` differs from ``wanted``; None where it does not."""
    facts = []
    for verb, names in (
        ('lacks', wanted.keys() - found.keys()),
        ('has besides', found.keys() - wanted.keys()),
    ):
        if names:
            facts.append(f'{verb} {len(names)} tensors, such as {min(names)}')
    bent = sorted(k for k in wanted.keys() & found.keys() if wanted[k] != found[k])
    if bent:
        facts.append(
            f'{len(bent)} have another shape, such as {bent[0]} with {found[bent[0]]} '
            f'instead of {wanted[bent[0]]}'
        )
    return '; '.join(facts) or None
