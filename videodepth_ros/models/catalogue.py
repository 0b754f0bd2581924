# SPDX-License-Identifier: Apache-2.0
"""The models that this package knows: what each one is, and where its weights lie.

Free of torch, so that a robot which runs an exported engine can read it.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TypeVar

from videodepth_ros.errors import ConfigError, ModelError

BUNDLED = Path(__file__).resolve().parents[1] / 'weights'
"""Weights that come with the package."""


class InverseDepthUnit(str, Enum):
    """What a model's inverse depth v says of the depth Z in metres."""

    NOMINAL = 'nominal'      # v = 100 / Z: FlashDepth's training unit, in truth relative
    CANONICAL = 'canonical'  # v = 100 fx / (width Z): known intrinsics give metres


Card = TypeVar('Card', bound='WeightsCard')


@dataclass(frozen=True)
class WeightsCard:
    """What is known of the weights of one network without opening them.

    name          what parameters and flags call it
    variant       what it is, in words
    weights_file  file name of its weights, without a directory
    licence       SPDX identifier of the licence of the weights; the FlashDepth release names none,
                  so for its weights that of the Depth Anything V2 weights which they began as
    commercial_use  whether that licence allows it
    source        one sentence: where a user gets the file
    sha256        of the file, where only one file is right; None where a user brings it
    """

    name: str
    variant: str
    weights_file: str
    licence: str
    commercial_use: bool
    source: str
    sha256: str | None = field(default=None, kw_only=True)

    @property
    def bundled(self) -> bool:
        """Whether the weights come with the package."""
        return self.name == 'nano'

    @property
    def notice(self) -> str | None:
        """What a user must be told when the weights are used; None where there is nothing."""
        if self.commercial_use:
            return None
        return (f'the weights of {self.name} are licensed {self.licence}: they must not be used '
                'commercially')


@dataclass(frozen=True)
class ModelCard(WeightsCard):
    """What is known of one model that streams depth.

    mamba_stage   decoder stage, 4 (coarsest) to 1, that the temporal module follows
    unit          of the inverse depth
    patch         width and height of the network's input are multiples of this
    min_size_px   shortest side of the network's input
    max_pixels    default budget: the network's input has at most so many pixels
    """

    mamba_stage: int
    unit: InverseDepthUnit
    patch: int
    min_size_px: int
    max_pixels: int


def _flashdepth(name: str, variant: str, licence: str, mamba_stage: int, min_size_px: int,
                checkpoint: str) -> ModelCard:
    return ModelCard(
        name, variant, f'{name}.safetensors', licence, licence == 'Apache-2.0',
        f'{checkpoint} of the FlashDepth release (github.com/Eyeline-Labs/FlashDepth), from the '
        'link in its README', mamba_stage, InverseDepthUnit.NOMINAL, patch=14,
        min_size_px=min_size_px, max_pixels=924 * 518)


_CARDS = (
    ModelCard(
        'nano', 'small network of this package, trained on its synthetic scenes',
        'nano.safetensors', 'Apache-2.0', True, 'it comes with the package', mamba_stage=3,
        unit=InverseDepthUnit.CANONICAL, patch=16, min_size_px=80, max_pixels=256 * 192),
    _flashdepth('flashdepth-s', 'FlashDepth-S: ViT-S, fast', 'Apache-2.0', 3, 70,
                'flashdepth-s/iter_14001.pth'),
    # Both hold a ViT-L, and that began as Depth Anything V2 Large.
    _flashdepth('flashdepth-l', 'FlashDepth-L: ViT-L, steadiest below 518 px', 'CC-BY-NC-4.0', 1,
                28, 'flashdepth-l/iter_10001.pth'),
    _flashdepth('flashdepth', 'FlashDepth, the hybrid: ViT-S in full resolution, ViT-L beside it',
                'CC-BY-NC-4.0', 3, 70, 'flashdepth/iter_43002.pth'),
)

ALIGN3R_CARD = WeightsCard(
    'align3r', 'Align3R: point maps of pairs of frames, for the offline job',
    'align3r.safetensors', 'CC-BY-NC-SA-4.0', False,
    'the checkpoint for your depth prior (Depth Pro or Depth Anything V2) of the Align3R release '
    '(github.com/jiah-cloud/Align3R), from the links in its README and its issue 18')


def cards() -> tuple[ModelCard, ...]:
    """Every model that streams depth, the bundled one first."""
    return _CARDS


def card(name: str) -> ModelCard:
    """Return the card of one model that streams depth.

    raises  ConfigError naming the choices
    """
    return _named(name, _CARDS)


def weights_cards() -> tuple[WeightsCard, ...]:
    """Every network whose weights this package stores: the models, and that of the offline job."""
    return (*_CARDS, ALIGN3R_CARD)


def weights_card(name: str) -> WeightsCard:
    """Return the card of one network.

    raises  ConfigError naming the choices
    """
    return _named(name, weights_cards())


def _named(name: str, choices: tuple[Card, ...]) -> Card:
    for known in choices:
        if known.name == name:
            return known
    names = ', '.join(known.name for known in choices)
    raise ConfigError(f'there is no model {name!r}: choose one of {names}')


def weights_folder() -> Path:
    """Folder of the weights that the user has brought; it need not exist.

    $VIDEODEPTH_WEIGHTS, else videodepth/weights under $XDG_DATA_HOME or ~/.local/share.
    """
    chosen = os.environ.get('VIDEODEPTH_WEIGHTS')
    if chosen:
        return Path(chosen).expanduser()
    data = Path(os.environ.get('XDG_DATA_HOME', ''))
    if not data.is_absolute():   # as the XDG base directory specification demands
        data = Path.home() / '.local' / 'share'
    return data / 'videodepth' / 'weights'


def weights_path(model: WeightsCard) -> Path:
    """Return the file of a network's weights.

    raises  ModelError where it is not there, which says how to get it
    """
    path = (BUNDLED if model.bundled else weights_folder()) / model.weights_file
    if path.is_file():
        return path
    mend = ('install the package again' if model.bundled else
            f'get {model.source}, then run: videodepth weights import FILE')
    raise ModelError(f'the weights of {model.name} are not at {path}: {mend}')


def import_weights(file: Path | str) -> WeightsCard:
    """Check a checkpoint, store it among the user's weights and return whose it is.

    The file is recognised by the names and shapes of its tensors, whatever it is called, and
    stored as ``.safetensors``: no code can hide in it, and nothing but the weights is kept.
    The store is changed in one step, so that a reader sees the old file or the new one.

    raises  ModelError where the file is not exactly one of the known models,
            ConfigError where the folder of the weights cannot be written
    """
    from videodepth_ros.models.variants import convert_checkpoint  # needs torch
    folder = weights_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix='.import-', dir=folder) as workshop:
            converted = Path(workshop) / 'weights.safetensors'
            model = weights_card(convert_checkpoint(Path(file), converted))
            if model.bundled:
                raise ModelError(f'{file} holds weights of {model.name}, which come with the '
                                 'package and are not imported')
            converted.replace(folder / model.weights_file)
    except OSError as error:
        raise ConfigError(f'weights cannot be stored in {folder}: {error}; make room, or set '
                          'VIDEODEPTH_WEIGHTS to a folder of yours') from error
    return model
