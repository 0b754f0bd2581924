# SPDX-License-Identifier: Apache-2.0
"""Folders of the Hugging Face hub that a user brings: whose each is, and whether it is whole."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
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

KNOWN = (*PRIOR_CARDS, ROLLINGDEPTH_CARD)
CPU = DevicePrecision(torch.device('cpu'), torch.float32)

SIZES = {384: 'small', 768: 'base', 1024: 'large'}
"""Which Depth Anything V2 has tokens so wide (arXiv 2406.09414)."""

RANGES_M = {20: 'metric-indoor-', 80: 'metric-outdoor-'}
"""What a metric one was trained for, by the largest depth that it can tell."""


def copy_folder(source: Path, target: Path) -> str:
    """Copy the components of a known network's folder and return whose they are.

    raises  ModelError where the folder is of no known network, not whole or holds NaN;
            OSError where ``target`` cannot be written
    """
    card = identify_folder(source)
    absent = [name for name in card.components if not (source / name).is_file()]
    if absent:
        raise ModelError(
            f'{source} is of {card.name} but lacks {", ".join(absent)}: {card.how_to_get}'
        )
    _load(card, source)
    broken = [
        key
        for name in card.components
        if name.endswith('.safetensors')
        for key, value in load_file(source / name).items()
        if not value.isfinite().all()
    ]
    if broken:
        raise ModelError(
            f'{source} holds NaN or infinity in {len(broken)} tensors, such as '
            f'{broken[0]}: get the folder again'
        )
    for name in card.components:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target / name)
    return card.name


def identify_folder(folder: Path) -> FolderCard:
    """Return whose configuration lies in a folder.

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
        f'{folder} holds {name}, which is of no known network: bring the folder of one of {known}'
    )


def _load(card: FolderCard, folder: Path) -> None:
    """Load a network once, for it tells what is missing."""
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
        )


def _name_of_pipeline(config: dict[str, Any]) -> str:
    kind = config['_class_name']
    return ROLLINGDEPTH_CARD.name if kind == 'RollingDepthPipeline' else f'a {kind}'


def _name_of(config: dict[str, Any]) -> str:
    """Name the network of a configuration as the catalogue does, or else in the library's way."""
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
