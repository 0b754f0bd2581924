# SPDX-License-Identifier: Apache-2.0
"""Load networks of `transformers` from a folder, strictly."""

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
    """A network as a function of tensors, for export.

    example     input of the shape to export
    outputs     names of the outputs
    mean, std   normalisation of the channels of ``image``, shares of full scale
    """

    network: nn.Module
    example: Tensor
    outputs: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]


def load_pretrained(
    kind: Any, folder: Path, placement: DevicePrecision, *, stored_precision: bool = False
) -> Any:
    """Return a network of `transformers` with exactly the weights of a folder, in eval mode.

    kind              its class
    stored_precision  keep the dtype of the file, to check a folder without a larger copy
    raises  ModelError where the folder cannot be read or lacks a tensor, which the library would
            initialise at random
    """
    try:
        with quiet_transformers():
            model, found = kind.from_pretrained(
                folder,
                local_files_only=True,
                dtype='auto' if stored_precision else torch.float32,
                output_loading_info=True,
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
    if stored_precision:
        return model.eval()
    return model.to(placement.device, placement.dtype).eval().requires_grad_(False)


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Suppress progress bars and warnings of `transformers`."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
