# SPDX-License-Identifier: Apache-2.0
"""Checkpoint files: read one without running its code, and compare it with a network."""

from __future__ import annotations

import argparse
import collections
import pathlib
import pickle
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from videodepth_ros.core.errors import ModelError

Network = TypeVar('Network', bound=nn.Module)
Weights = dict[str, Tensor]
"""Tensors of a state dict by name."""

Shapes = dict[str, tuple[int, ...]]
"""Shapes of tensors by name."""

HARMLESS: list[Any] = [
    argparse.Namespace,
    collections.defaultdict,
    pathlib.PosixPath,
    np.dtype,
    type(np.dtype(np.float64)),
    type(np.dtype(np.float32)),
    type(np.dtype(np.int64)),
    np.float64(0).__reduce__()[0],  # numpy's scalar constructor
    list,
    dict,
    int,
    float,
]
"""Types of values beside the weights, such as the trainer's arguments; they hold data only."""

STATE_KEYS = ('model', 'state_dict', 'model_state_dict')
"""Keys under which trainers store the weights."""

PREFIXES = ('module.', '_orig_mod.')
"""Prefixes of all names that DistributedDataParallel and torch.compile add."""


def load_strict(make: Callable[[], Network], path: Path) -> Network:
    """Return a new network with the weights of a checkpoint, in float32, in eval mode.

    path    a ``.pth`` or a ``.safetensors``
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
    """Return the tensors of a checkpoint by name, on the CPU, memory-mapped where possible.

    No code of the file is run, and no more memory than its size is taken.

    raises  ModelError where the file cannot be read or holds something else
    """
    if path.suffix == '.safetensors':
        return _read_safetensors(path)
    weights = _unwrapped(_unpickled(path), path)
    for name, tensor in weights.items():
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise ModelError(
                f'{path}: {name} repeats a small storage over {tuple(tensor.shape)}; no training '
                'writes this: download the file again'
            )
    return weights


def _unpickled(path: Path) -> object:
    """Return the content of a pickle of torch.save, by its restricted unpickler."""
    is_zip = _is_stored_zip(path)
    try:
        with torch.serialization.safe_globals(HARMLESS):
            return torch.load(path, map_location='cpu', weights_only=True, mmap=is_zip)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL ([\w.]+)|but got <class '([\w.]+)'>", str(error))
        if found:
            raise ModelError(
                f'{path} contains an object of {found[1] or found[2]} beside its weights, '
                'which is not loaded since that could run code; save the tensors alone where '
                'the file was written'
            ) from error
        raise _unreadable(path) from error
    except (OSError, RuntimeError) as error:
        reason = str(error).partition('\n')[0]
        raise ModelError(f'{path} cannot be read as a checkpoint: {reason}') from error
    except Exception as error:  # torch checks few of the bytes that it interprets
        raise _unreadable(path) from error


def _unreadable(path: Path) -> ModelError:
    return ModelError(
        f'{path} cannot be read as a checkpoint: torch.save has not written it, or with objects '
        'other than tensors'
    )


def _is_stored_zip(path: Path) -> bool:
    """Return whether a file is a zip, as torch.save writes since 1.6.

    Raise ModelError for one that expands: torch.save stores without compression.
    """
    try:
        if not zipfile.is_zipfile(path):
            return False
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError) as error:
        raise _unreadable(path) from error
    size = sum(entry.file_size for entry in entries)
    if size > path.stat().st_size or any(each.compress_type for each in entries):
        raise ModelError(
            f'{path} is a compressed archive of {size / 1e6:.0f} MB and no checkpoint of '
            'torch.save, which does not compress; extract it first'
        )
    return True


def _unwrapped(content: object, path: Path) -> Weights:
    """Return the state dict inside a trainer's checkpoint, without wrappers' prefixes."""
    for key in STATE_KEYS:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
            break
    if not isinstance(content, dict) or not all(isinstance(v, Tensor) for v in content.values()):
        raise ModelError(
            f'{path} is not a state dict: it must map names to tensors, '
            f'at the top or under {", ".join(map(repr, STATE_KEYS))}'
        )
    for prefix in PREFIXES:
        if content and all(str(name).startswith(prefix) for name in content):
            content = {name.removeprefix(prefix): value for name, value in content.items()}
    return dict(content)


def _read_safetensors(path: Path) -> Weights:
    # Imported here: a machine that only times networks has torch alone.
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelError(f'{path} cannot be read as a checkpoint: {error}') from error


def expand_tied_tensors(weights: Weights, model: nn.Module) -> Weights:
    """Return the weights with each tied tensor under all of its names.

    A ``.safetensors`` holds a tensor with two names only once.
    """
    named = model.state_dict(keep_vars=True)
    held = {id(own): weights[name] for name, own in named.items() if name in weights}
    return {name: held[id(own)] for name, own in named.items() if id(own) in held} | weights


def shapes_of(tensors: Weights) -> Shapes:
    """Return the shape of each tensor by name."""
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def describe_mismatch(wanted: Shapes, found: Shapes) -> str | None:
    """Return in one line how ``found`` differs from ``wanted``; None where it does not."""
    facts = []
    for verb, names in (
        ('lacks', wanted.keys() - found.keys()),
        ('has besides', found.keys() - wanted.keys()),
    ):
        if names:
            facts.append(f'{verb} {len(names)} tensors, such as {min(names)}')
    reshaped = sorted(k for k in wanted.keys() & found.keys() if wanted[k] != found[k])
    if reshaped:
        facts.append(
            f'{len(reshaped)} have another shape, such as {reshaped[0]} with '
            f'{found[reshaped[0]]} instead of {wanted[reshaped[0]]}'
        )
    return '; '.join(facts) or None
