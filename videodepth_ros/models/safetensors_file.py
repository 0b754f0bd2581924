# SPDX-License-Identifier: Apache-2.0
"""Write and check ``.safetensors`` files tensor by tensor.

The library's own writer holds a second copy of all tensors, which for checkpoints of gigabytes is
more memory than a robot has.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from videodepth_ros.core.errors import ModelError

_DTYPES = {
    torch.float64: 'F64',
    torch.float32: 'F32',
    torch.float16: 'F16',
    torch.bfloat16: 'BF16',
    torch.int64: 'I64',
    torch.int32: 'I32',
    torch.int16: 'I16',
    torch.int8: 'I8',
    torch.uint8: 'U8',
    torch.bool: 'BOOL',
}


def write_safetensors(
    tensors: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors by name; at most one of them is copied at a time.

    raises  ModelError where a type is not supported or a value is NaN or infinite,
            OSError where the file cannot be written
    """
    # The format aligns tensors by the size of their elements, largest first.
    names = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    header: dict[str, object] = {'__metadata__': dict(metadata)} if metadata else {}
    end = 0
    for name in names:
        tensor = tensors[name]
        if tensor.dtype not in _DTYPES:
            raise ModelError(f'{name} has the type {tensor.dtype}, which cannot be stored')
        start, end = end, end + tensor.numel() * tensor.element_size()
        header[name] = {
            'dtype': _DTYPES[tensor.dtype],
            'shape': list(tensor.shape),
            'data_offsets': [start, end],
        }
    text = json.dumps(header).encode()
    text += b' ' * (-len(text) % 8)
    with path.open('wb') as file:
        file.write(struct.pack('<Q', len(text)) + text)
        for name in names:
            require_finite(name, tensors[name])
            values = tensors[name].detach().contiguous()
            file.write(values.reshape(-1).view(torch.uint8).numpy().data)


def require_finite(name: str, tensor: Tensor) -> None:
    """Raise ModelError if a tensor holds NaN or infinity."""
    if not tensor.isfinite().all():
        raise ModelError(f'{name} holds NaN or infinity: download the file again')


def iterate_safetensors(path: Path) -> Iterator[tuple[str, Tensor]]:
    """Yield names and tensors of a file one by one.

    raises  ModelError where the file cannot be read
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework='pt') as file:
            for name in file.keys():  # noqa: SIM118 (no mapping)
                yield name, file.get_tensor(name)
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelError(f'{path} cannot be read as a checkpoint: {error}') from error
