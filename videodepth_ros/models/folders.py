# SPDX-License-Identifier: Apache-2.0
"""Folders of the Hugging Face hub: recognise the network, check that it is complete, copy it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from transformers import DepthAnythingForDepthEstimation, DepthProForDepthEstimation

from videodepth_ros.core.errors import ModelError
from videodepth_ros.models.catalogue import (
    DEPTH_PRO_CARD,
    PRIOR_CARDS,
    ROLLINGDEPTH_CARD,
    FolderCard,
)
from videodepth_ros.models.device_precision import DevicePrecision
from videodepth_ros.models.pretrained import load_pretrained
from videodepth_ros.models.safetensors_file import iterate_safetensors, require_finite

KNOWN = (*PRIOR_CARDS, ROLLINGDEPTH_CARD)
CPU = DevicePrecision(torch.device('cpu'), torch.float32)

SIZES = {384: 'small', 768: 'base', 1024: 'large'}
"""Size of a Depth Anything V2 by the width of its tokens (arXiv 2406.09414)."""

RANGES_M = {20: 'metric-indoor-', 80: 'metric-outdoor-'}
"""Training of a metric variant by its largest depth [m]."""


def copy_folder(source: Path, target: Path) -> str:
    """Copy the components of a known network's folder and return its name.

    raises  ModelError where the folder is of no known network, incomplete or holds NaN;
            OSError where ``target`` cannot be written
    """
    card = identify_folder(source)
    absent = [name for name in card.components if not (source / name).is_file()]
    if absent:
        raise ModelError(
            f'{source} is of {card.name} but lacks {", ".join(absent)}: {card.how_to_get}'
        )
    _load(card, source)
    for name in card.components:
        if name.endswith('.safetensors'):
            for key, value in iterate_safetensors(source / name):
                require_finite(f'{key} of {source / name}', value)
    for name in card.components:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target / name)
    return card.name


def has_configuration(folder: Path) -> bool:
    """Return whether a folder has the configuration of a library's network or pipeline."""
    if (folder / 'model_index.json').is_file():
        return True
    try:
        return 'model_type' in json.loads((folder / 'config.json').read_text())
    except FileNotFoundError:
        return False
    except (OSError, ValueError):
        return True  # reported by `identify_folder`


def identify_folder(folder: Path) -> FolderCard:
    """Return the card of the network whose configuration lies in a folder.

    raises  ModelError where there is none, or that of another network
    """
    index = folder / 'model_index.json'  # of a pipeline of several networks
    file = index if index.is_file() else folder / 'config.json'
    try:
        config = json.loads(file.read_text())
        name = _name_of_pipeline(config) if file == index else _name_of(config)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise ModelError(
            f'{folder} is no folder of a network: its {file.name} cannot be used '
            f'({type(error).__name__}: {error})'
        ) from error
    for card in KNOWN:
        if card.name == name:
            return card
    known = ', '.join(card.repository for card in KNOWN)
    raise ModelError(
        f'{folder} holds {name}, which is not supported: give the folder of one of {known}'
    )


def _load(card: FolderCard, folder: Path) -> None:
    """Load a network once in its stored precision, which detects missing tensors."""
    if card is ROLLINGDEPTH_CARD:
        from videodepth_ros.models.rollingdepth import RollingDepth  # needs diffusers

        RollingDepth(card, folder, CPU)
    else:
        load_pretrained(
            DepthProForDepthEstimation
            if card is DEPTH_PRO_CARD
            else DepthAnythingForDepthEstimation,
            folder,
            CPU,
            stored_precision=True,
        )


def _name_of_pipeline(config: dict[str, Any]) -> str:
    kind = config['_class_name']
    return ROLLINGDEPTH_CARD.name if kind == 'RollingDepthPipeline' else f'a {kind}'


def _name_of(config: dict[str, Any]) -> str:
    """Return the catalogue's name of a configured network, else a description of it."""
    if config['model_type'] == 'depth_pro':
        return DEPTH_PRO_CARD.name
    if config['model_type'] != 'depth_anything':
        return f'a {config["model_type"]}'
    backbone = config['backbone_config']
    taps = backbone['out_indices']
    if taps[-1] - taps[0] == len(taps) - 1:  # V1 reads the last blocks, V2 all along
        return 'a depth_anything of version 1'
    metric = config.get('depth_estimation_type') == 'metric'
    trained_for = RANGES_M.get(config['max_depth'], 'metric-') if metric else ''
    return f'depth-anything-v2-{trained_for}{SIZES.get(backbone["hidden_size"], "?")}'
