# SPDX-License-Identifier: Apache-2.0
"""Networks that live in `transformers`: loading one, whole, from a folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers.utils import logging

from videodepth_ros.core.errors import ModelError
from videodepth_ros.models.device_precision import DevicePrecision


@dataclass(frozen=True)
class ExportableNetwork:
    """A network as a function of tensors, to be written as a graph.

    example     what it is called with, of the shapes that it is written for
    outputs     names of what it returns
    mean, std   of the channels of ``image``, fractions of full scale, that it is normalised with
    """

    network: nn.Module
    example: Tensor
    outputs: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]


def load_pretrained(kind: Any, folder: Path, placement: DevicePrecision) -> Any:
    """Return a network of `transformers` with exactly the weights of a folder, ready to run.

    kind    its class
    raises  ModelError where the folder cannot be read or lacks a tensor, which the library
            itself would fill with random numbers
    """
    try:
        with quiet_transformers():
            model, found = kind.from_pretrained(
                folder, local_files_only=True, dtype=torch.float32, output_loading_info=True
            )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise ModelError(
            f'{folder} cannot be read as a {kind.__name__}: {error}; get it again'
        ) from error
    missing = sorted(found['missing_keys'])
    if missing:
        raise ModelError(
            f'{folder} lacks {len(missing)} tensors of its {kind.__name__}, such as '
            f'{missing[0]}: get it again'
        )
    return model.to(placement.device, placement.dtype).eval().requires_grad_(False)


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Let the library write no progress and no warnings of what is checked here anyway."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
