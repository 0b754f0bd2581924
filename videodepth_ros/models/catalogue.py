# SPDX-License-Identifier: Apache-2.0
"""The models that this package knows: what each one is, and where its weights lie.

Free of torch, so that a robot which runs an exported engine can read it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from videodepth_ros.errors import ConfigError, ModelError

BUNDLED = Path(__file__).resolve().parents[1] / 'weights'
"""Weights that come with the package."""


class InverseDepthUnit(str, Enum):
    """What a model's inverse depth v says of the depth Z in metres."""

    NOMINAL = 'nominal'      # v = 100 / Z: FlashDepth's training unit, in truth relative
    CANONICAL = 'canonical'  # v = 100 fx / (width Z): known intrinsics give metres


@dataclass(frozen=True)
class ModelCard:
    """What is known of one model without opening its weights.

    name          what parameters and flags call it
    variant       what it is, in words
    weights_file  file name of its weights, without a directory
    licence       SPDX identifier of the licence of the weights
    commercial_use  whether that licence allows it
    mamba_stage   decoder stage, 4 (coarsest) to 1, that the temporal module follows
    unit          of the inverse depth
    patch         width and height of the network's input are multiples of this
    min_size_px   shortest side of the network's input
    max_pixels    default budget: the network's input has at most so many pixels
    source        one sentence: where a user gets the file
    sha256        of the file, where only one file is right; None where a user brings it
    """

    name: str
    variant: str
    weights_file: str
    licence: str
    commercial_use: bool
    mamba_stage: int
    unit: InverseDepthUnit
    patch: int
    min_size_px: int
    max_pixels: int
    source: str
    sha256: str | None = None

    @property
    def bundled(self) -> bool:
        """Whether the weights come with the package."""
        return self.name == 'nano'


def _flashdepth(name: str, variant: str, licence: str, mamba_stage: int, min_size_px: int,
                checkpoint: str) -> ModelCard:
    return ModelCard(
        name, variant, f'{name}.safetensors', licence, licence == 'Apache-2.0', mamba_stage,
        InverseDepthUnit.NOMINAL, patch=14, min_size_px=min_size_px, max_pixels=924 * 518,
        source=f'{checkpoint} of the FlashDepth release (github.com/Eyeline-Labs/FlashDepth), '
               'from the link in its README')


_CARDS = (
    ModelCard(
        'nano', 'small network of this package, trained on its synthetic scenes',
        'nano.safetensors', 'Apache-2.0', True, mamba_stage=3, unit=InverseDepthUnit.CANONICAL,
        patch=16, min_size_px=80, max_pixels=320 * 240, source='it comes with the package'),
    _flashdepth('flashdepth-s', 'FlashDepth-S: ViT-S, fast', 'Apache-2.0', 3, 70,
                'flashdepth-s/iter_14001.pth'),
    # Both hold weights that began as Depth Anything V2 Large, which is CC-BY-NC-4.0.
    _flashdepth('flashdepth-l', 'FlashDepth-L: ViT-L, steadiest below 518 px', 'CC-BY-NC-4.0', 1,
                28, 'flashdepth-l/iter_10001.pth'),
    _flashdepth('flashdepth', 'FlashDepth, the hybrid: ViT-S in full resolution, ViT-L beside it',
                'CC-BY-NC-4.0', 3, 70, 'flashdepth/iter_43002.pth'),
)


def cards() -> tuple[ModelCard, ...]:
    """Every model, the bundled one first."""
    return _CARDS


def card(name: str) -> ModelCard:
    """Return the card of one model.

    raises  ConfigError naming the choices
    """
    for known in _CARDS:
        if known.name == name:
            return known
    choices = ', '.join(known.name for known in _CARDS)
    raise ConfigError(f'there is no model {name!r}: choose one of {choices}')
