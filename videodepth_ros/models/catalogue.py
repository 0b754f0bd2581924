# SPDX-License-Identifier: Apache-2.0
"""The models that this package knows: what each one is, and where its weights lie.

Free of torch, so that a robot which runs an exported engine can read it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import TypeVar

from videodepth_ros.core.errors import ConfigError, ModelError
from videodepth_ros.models.hub import hub_snapshot

BUNDLED = Path(__file__).resolve().parents[1] / 'weights'
"""Weights that come with the package."""


class InverseDepthUnit(str, Enum):
    """What a model's inverse depth v says of the depth Z in metres."""

    NOMINAL = 'nominal'  # v = 100 / Z: FlashDepth's training unit, in truth relative
    CANONICAL = 'canonical'  # v = 100 fx / (width Z): known intrinsics give metres


Card = TypeVar('Card', bound='WeightsCard')


@dataclass(frozen=True)
class WeightsCard:
    """What is known of the weights of one network without opening them.

    name          what parameters and flags call it
    variant       what it is, in words
    weights_file  name of the file or folder of its weights, without a directory
    licence       SPDX identifier of the licence of the weights; the FlashDepth release names none,
                  so for its weights that of the Depth Anything V2 weights which they began as
    commercial_use  whether that licence allows it
    source        one sentence: where a user gets the file
    sha256        of the file, where only one file is right; None where a user brings it
    conditions    what the licence asks of a user although it allows commercial use; None: nothing
    bundled       whether weights come with the package; imported ones take precedence
    """

    name: str
    variant: str
    weights_file: str
    licence: str
    commercial_use: bool
    source: str
    sha256: str | None = field(default=None, kw_only=True)
    conditions: str | None = field(default=None, kw_only=True)
    bundled: bool = field(default=False, kw_only=True)

    @property
    def how_to_get(self) -> str:
        """What a user does who lacks the weights."""
        if self.bundled:
            return 'install the package again'
        return f'get {self.source}, then run: videodepth weights import FILE'

    @property
    def notice(self) -> str | None:
        """What a user must be told when the weights are used; None where there is nothing."""
        if self.commercial_use:
            return self.conditions
        return (
            f'the weights of {self.name} are licensed {self.licence}: they must not be used '
            'commercially'
        )


@dataclass(frozen=True)
class ModelCard(WeightsCard):
    """What is known of one model that streams depth.

    mamba_stage   decoder stage, 4 (coarsest) to 1, that the temporal module follows
    unit          of the inverse depth
    patch         width and height of the network's input are multiples of this
    min_size_px   shortest side of the network's input
    max_pixels    default budget: the network's input has at most so many pixels
    soft          whether its edges are softer than the image's, which then guides them
    drifts        whether its scale changes with the view, so that a stream of it is to be steadied
    """

    mamba_stage: int
    unit: InverseDepthUnit
    patch: int
    min_size_px: int
    max_pixels: int
    drifts: bool = field(default=False, kw_only=True)
    soft: bool = field(default=False, kw_only=True)


@dataclass(frozen=True)
class FolderCard(WeightsCard):
    """What is known of a network that a kept library reads from a folder.

    repository  of the Hugging Face hub that the folder is a copy of
    components  files that must lie in it
    """

    repository: str
    components: tuple[str, ...]

    @property
    def how_to_get(self) -> str:
        """The command with which a user gets the folder."""
        return f'hf download {self.repository} --local-dir {weights_folder() / self.weights_file}'


def _flashdepth(
    name: str, variant: str, licence: str, mamba_stage: int, min_size_px: int, checkpoint: str
) -> ModelCard:
    return ModelCard(
        name,
        variant,
        f'{name}.safetensors',
        licence,
        licence == 'Apache-2.0',
        f'{checkpoint} of the FlashDepth release (github.com/Eyeline-Labs/FlashDepth), from the '
        'link in its README',
        mamba_stage,
        InverseDepthUnit.NOMINAL,
        patch=14,
        min_size_px=min_size_px,
        max_pixels=924 * 518,
    )


_NANO = ModelCard(
    'nano',
    'small network of this package: EfficientNet-Lite0, then FlashDepth at small size',
    'nano.safetensors',
    'Apache-2.0',
    True,
    'it comes with the package',
    mamba_stage=3,
    unit=InverseDepthUnit.CANONICAL,
    patch=16,
    min_size_px=80,
    max_pixels=256 * 192,
    drifts=True,
    soft=True,
    bundled=True,
)
_CARDS = (
    _NANO,
    replace(_NANO, name='nano-1', variant='its first version', weights_file='nano-1.safetensors'),
    _flashdepth(
        'flashdepth-s',
        'FlashDepth-S: ViT-S, fast',
        'Apache-2.0',
        3,
        70,
        'flashdepth-s/iter_14001.pth',
    ),
    # Both hold a ViT-L, and that began as Depth Anything V2 Large.
    _flashdepth(
        'flashdepth-l',
        'FlashDepth-L: ViT-L, steadiest below 518 px',
        'CC-BY-NC-4.0',
        1,
        28,
        'flashdepth-l/iter_10001.pth',
    ),
    _flashdepth(
        'flashdepth',
        'FlashDepth, the hybrid: ViT-S in full resolution, ViT-L beside it',
        'CC-BY-NC-4.0',
        3,
        70,
        'flashdepth/iter_43002.pth',
    ),
)

ALIGN3R_CARD = WeightsCard(
    'align3r',
    'Align3R: point maps of pairs of frames, for the offline job',
    'align3r.safetensors',
    'CC-BY-NC-SA-4.0',
    False,
    'the checkpoint for your depth prior (Depth Pro or Depth Anything V2) of the Align3R release '
    '(github.com/jiah-cloud/Align3R), from the links in its README and its issue 18',
)


def _of_hub(
    name: str, variant: str, licence: str, repository: str, components: tuple[str, ...]
) -> FolderCard:
    return FolderCard(
        name,
        variant,
        name,
        licence,
        licence == 'Apache-2.0',
        f'{repository} from the Hugging Face hub',
        repository,
        components,
    )


def _depth_anything(size: str, trained_for: str = '') -> FolderCard:
    """Only the small ones are free: the licences of the others are those of the release."""
    name = f'depth-anything-v2-{trained_for}{size}'
    says = f'metric, {trained_for[7:-1]}' if trained_for else 'relative inverse depth'
    return _of_hub(
        name,
        f'Depth Anything V2, {size}: {says}, for the offline job',
        'Apache-2.0' if size == 'small' else 'CC-BY-NC-4.0',
        f'depth-anything/{name.title()}-hf',
        ('config.json', 'preprocessor_config.json', 'model.safetensors'),
    )


DEPTH_PRO_CARD = _of_hub(
    'depth-pro',
    'Depth Pro: metric depth and focal length, for the offline job',
    # The hub's card says so; the repository of the code states another, which grants no patents.
    'LicenseRef-Apple-AMLR',
    'apple/DepthPro-hf',
    ('config.json', 'model.safetensors'),
)

PRIOR_CARDS = (
    DEPTH_PRO_CARD,
    *(
        _depth_anything(size, trained_for)
        for trained_for in ('', 'metric-indoor-', 'metric-outdoor-')
        for size in ('small', 'base', 'large')
    ),
)
"""The monocular priors that `transformers` computes."""

METRIC_PRIORS = tuple(
    prior.name for prior in PRIOR_CARDS if prior is DEPTH_PRO_CARD or '-metric-' in prior.name
)
"""Those that tell metres."""

ROLLINGDEPTH_CARD = FolderCard(
    'rollingdepth',
    'RollingDepth: consistent relative depth of a video, for the offline job',
    'rollingdepth',
    'LicenseRef-OpenRAIL++-M',
    True,
    'prs-eth/rollingdepth-v1-0 from the Hugging Face hub',
    'prs-eth/rollingdepth-v1-0',
    (
        'unet/config.json',
        'unet/diffusion_pytorch_model.safetensors',
        'vae/config.json',
        'vae/diffusion_pytorch_model.safetensors',
        'scheduler/scheduler_config.json',
        'text_encoder/config.json',
        'text_encoder/model.safetensors',
        'tokenizer/vocab.json',
        'tokenizer/merges.txt',
    ),
    conditions='the weights of rollingdepth are licensed OpenRAIL++-M: commercial use is allowed, '
    'the uses in its Attachment A are not, and whoever you pass them or a service made '
    'with them on to must be bound by the same',
)

INSTALL_PRIORS = "`pip install torch 'diffusers>=0.30' 'pillow>=10' 'transformers>=5.4'`"
"""What brings the libraries that compute the networks of others."""


def cards() -> tuple[ModelCard, ...]:
    """Every model that streams depth, the bundled one first."""
    return _CARDS


def card(name: str) -> ModelCard:
    """Return the card of one model that streams depth.

    raises  ConfigError naming the choices
    """
    return find_card(name, _CARDS)


def weights_cards() -> tuple[WeightsCard, ...]:
    """Every network whose weights this package stores: the models, then the offline job's."""
    return (*_CARDS, ALIGN3R_CARD, *PRIOR_CARDS, ROLLINGDEPTH_CARD)


def weights_card(name: str) -> WeightsCard:
    """Return the card of one network.

    raises  ConfigError naming the choices
    """
    return find_card(name, weights_cards())


def find_card(name: str, choices: tuple[Card, ...]) -> Card:
    """Return the card of that name.

    raises  ConfigError naming the choices
    """
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
    if not data.is_absolute():  # as the XDG base directory specification demands
        data = Path.home() / '.local' / 'share'
    return data / 'videodepth' / 'weights'


def weights_path(model: WeightsCard) -> Path:
    """Return the file or folder of a network's weights.

    raises  ModelError where it is not there or not whole, which says how to get it
    """
    if isinstance(model, FolderCard):
        return _weights_folder_of(model)
    path = weights_folder() / model.weights_file
    if model.bundled and not path.is_file():
        path = BUNDLED / model.weights_file
    if path.is_file():
        return path
    raise ModelError(f'the weights of {model.name} are not at {path}: {model.how_to_get}')


def _weights_folder_of(model: FolderCard) -> Path:
    """Return the user's folder of a network, or else that in the cache of the hub."""
    own = weights_folder() / model.weights_file
    folder = own if own.is_dir() else hub_snapshot(model.repository)
    if folder is None:
        raise ModelError(
            f'the weights of {model.name} are neither at {own} nor in the cache of the Hugging '
            f'Face hub: {model.how_to_get}; where you have them, videodepth weights import FOLDER'
        )
    absent = [name for name in model.components if not (folder / name).is_file()]
    if absent:
        raise ModelError(f'{folder} lacks {", ".join(absent)} of {model.name}: {model.how_to_get}')
    return folder
