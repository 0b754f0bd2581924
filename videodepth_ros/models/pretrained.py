# SPDX-License-Identifier: Apache-2.0
"""Networks that live in `transformers`: loading one whole from a folder, and whose a folder is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import DepthAnythingForDepthEstimation, DepthProForDepthEstimation
from transformers.utils import logging

from videodepth_ros.errors import ModelError
from videodepth_ros.models.catalogue import DEPTH_PRO_CARD, PRIOR_CARDS, FolderCard
from videodepth_ros.models.place import Place

SIZES = {384: 'small', 768: 'base', 1024: 'large'}
"""Which Depth Anything V2 has tokens so wide (arXiv 2406.09414)."""

RANGES_M = {20: 'metric-indoor-', 80: 'metric-outdoor-'}
"""What a metric one was trained for, by the largest depth that it can tell."""


@dataclass(frozen=True)
class Exportable:
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


def load_whole(kind: Any, folder: Path, place: Place) -> Any:
    """Return a network of `transformers` with exactly the weights of a folder, ready to run.

    kind    its class
    raises  ModelError where the folder cannot be read or lacks a tensor, which the library
            itself would fill with random numbers
    """
    try:
        with silent_library():
            model, found = kind.from_pretrained(folder, local_files_only=True, dtype=torch.float32,
                                                output_loading_info=True)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise ModelError(f'{folder} cannot be read as a {kind.__name__}: {error}; get it again'
                         ) from error
    missing = sorted(found['missing_keys'])
    if missing:
        raise ModelError(f'{folder} lacks {len(missing)} tensors of its {kind.__name__}, such as '
                         f'{missing[0]}: get it again')
    return model.to(place.device, place.dtype).eval().requires_grad_(False)


def copy_folder(source: Path, target: Path) -> str:
    """Copy the components of a known network's folder and return whose they are.

    raises  ModelError where the folder is of no known network, not whole or holds NaN;
            OSError where ``target`` cannot be written
    """
    card = recognised(source)
    absent = [name for name in card.components if not (source / name).is_file()]
    if absent:
        raise ModelError(f'{source} is of {card.name} but lacks {", ".join(absent)}: '
                         f'{card.mend}')
    kind = (DepthProForDepthEstimation if card is DEPTH_PRO_CARD
            else DepthAnythingForDepthEstimation)
    model = load_whole(kind, source, Place(torch.device('cpu'), torch.float32))
    broken = [key for key, value in model.state_dict().items() if not value.isfinite().all()]
    if broken:
        raise ModelError(f'{source} holds NaN or infinity in {len(broken)} tensors, such as '
                         f'{broken[0]}: get the folder again')
    for name in card.components:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target / name)
    return card.name


def recognised(folder: Path) -> FolderCard:
    """Return whose configuration lies in a folder.

    raises  ModelError where there is none, or that of another network
    """
    try:
        config = json.loads((folder / 'config.json').read_text())
        name = _name_of(config)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise ModelError(f'{folder} is no folder of a network: its config.json cannot be used '
                         f'({type(error).__name__}: {error})') from error
    for card in PRIOR_CARDS:
        if card.name == name:
            return card
    known = ', '.join(card.repository for card in PRIOR_CARDS)
    raise ModelError(f'{folder} holds {name}, which is of no known network: bring the folder of '
                     f'one of {known}')


def _name_of(config: dict[str, Any]) -> str:
    """Name the network of a configuration as the catalogue does, or else in the library's way."""
    if config['model_type'] == 'depth_pro':
        return DEPTH_PRO_CARD.name
    if config['model_type'] != 'depth_anything':
        return f'a {config["model_type"]}'
    backbone = config['backbone_config']
    taps = backbone['out_indices']
    if taps[-1] - taps[0] == len(taps) - 1:   # V1 reads the last blocks, V2 all along
        return 'a depth_anything of version 1'
    metric = config.get('depth_estimation_type') == 'metric'
    trained_for = RANGES_M.get(config['max_depth'], 'metric-') if metric else ''
    return f'depth-anything-v2-{trained_for}{SIZES.get(backbone["hidden_size"], "?")}'


@contextmanager
def silent_library() -> Iterator[None]:
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
