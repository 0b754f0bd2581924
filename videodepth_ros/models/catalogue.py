# SPDX-License-Identifier: Apache-2.0
"""Model catalogue: networks, licences, and where their weights lie.

Free of torch, so that a robot which runs an exported graph can read it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from platformdirs import user_data_path

from videodepth_ros.core.errors import ModelError
from videodepth_ros.models.cards import (
    ErrorModel,
    FolderCard,
    InverseDepthUnit,
    ModelCard,
    WeightsCard,
    find_card,
    folder_card,
    is_card,
)
from videodepth_ros.models.hub import HubSource, hub_snapshot

__all__ = [
    'ALIGN3R_CARD',
    'ALIGN3R_CARDS',
    'ALIGN3R_DEPTH_ANYTHING',
    'ALIGN3R_DEPTH_PRO',
    'BUNDLED',
    'DEPTH_PRO_CARD',
    'INSTALL_PRIORS',
    'METRIC_PRIORS',
    'PRIOR_CARDS',
    'ROLLINGDEPTH_CARD',
    'FolderCard',
    'InverseDepthUnit',
    'ModelCard',
    'WeightsCard',
    'align3r_card',
    'card',
    'cards',
    'find_card',
    'weights_card',
    'weights_cards',
    'weights_folder',
    'weights_path',
]

BUNDLED = Path(__file__).resolve().parents[1] / 'weights'
"""Weights that come with the package."""


FLASHDEPTH_HUB = 'Eyeline-Labs/FlashDepth'


def _flashdepth(
    name: str,
    variant: str,
    licence: str,
    mamba_stage: int,
    min_size_px: int,
    checkpoint: str,
    size_bytes: int,
    sha256: Mapping[str, str] | None = None,
) -> ModelCard:
    return ModelCard(
        name,
        variant,
        f'{name}.safetensors',
        licence,
        licence == 'Apache-2.0',
        f'{checkpoint} of {FLASHDEPTH_HUB} on the Hugging Face hub',
        mamba_stage,
        InverseDepthUnit.NOMINAL,
        patch=14,
        min_size_px=min_size_px,
        max_pixels=924 * 518,
        hub=HubSource(FLASHDEPTH_HUB, (checkpoint,), size_bytes, sha256 or {}),
    )


_NANO = ModelCard(
    'nano',
    'small network of this package: EfficientNet-Lite0, then FlashDepth at small size',
    'nano.safetensors',
    'Apache-2.0',
    True,
    'it comes with the package',
    mamba_stage=3,
    unit=InverseDepthUnit.CANONICAL_AREA,
    patch=16,
    min_size_px=80,
    max_pixels=256 * 192,
    drifts=True,
    soft=True,
    bundled=True,
    errors=ErrorModel(0.455, 0.148, 0.24, -0.07, usual_flicker=0.047),  # by training/confidence.py
)
_CARDS = (
    _NANO,
    replace(
        _NANO,
        name='nano-1',
        variant='its first version',
        weights_file='nano-1.safetensors',
        errors=None,
    ),
    _flashdepth(
        'flashdepth-s',
        'FlashDepth-S: ViT-S, fast',
        'Apache-2.0',
        3,
        70,
        'flashdepth-s/iter_14001.pth',
        300_000_000,
    ),
    # The card on the hub is Apache-2.0 for all three. L and the hybrid hold a ViT-L that began as
    # Depth Anything V2 Large, which is CC-BY-NC-4.0: the stricter licence is stated.
    _flashdepth(
        'flashdepth-l',
        'FlashDepth-L: ViT-L, steadiest below 518 px',
        'CC-BY-NC-4.0',
        1,
        28,
        'flashdepth-l/iter_10001.pth',
        4_070_000_000,
        {
            'flashdepth-l/iter_10001.pth': (
                'abfa97a9c35d18eb861b81fa6e53eda76bc1dddc08e41a11658a4574d68a2e01'
            )
        },
    ),
    _flashdepth(
        'flashdepth',
        'FlashDepth, the hybrid: ViT-S in full resolution, ViT-L beside it',
        'CC-BY-NC-4.0',
        3,
        70,
        'flashdepth/iter_43002.pth',
        1_650_000_000,
    ),
)


def _align3r(name: str, prior: str, repository: str | None) -> WeightsCard:
    return WeightsCard(
        name,
        f'Align3R: point maps of pairs of frames, for {prior}, for the offline job',
        f'{name}.safetensors',
        'CC-BY-NC-SA-4.0',
        False,
        f'{repository or "a checkpoint of the Align3R release"} on the Hugging Face hub',
        hub=HubSource(repository, ('model.safetensors',), 2_410_000_000) if repository else None,
    )


ALIGN3R_DEPTH_PRO = _align3r(
    'align3r-depth-pro',
    'depth in metres',
    'cyun9286/Align3R_DepthPro_ViTLarge_BaseDecoder_512_dpt',
)
ALIGN3R_DEPTH_ANYTHING = _align3r(
    'align3r-depth-anything-v2',
    'relative inverse depth',
    'cyun9286/Align3R_DepthAnythingV2_ViTLarge_BaseDecoder_512_dpt',
)
ALIGN3R_CARD = _align3r('align3r', 'a prior that its file does not name', None)
"""A checkpoint that was imported without the prior it was trained for."""

ALIGN3R_CARDS = (ALIGN3R_DEPTH_PRO, ALIGN3R_DEPTH_ANYTHING, ALIGN3R_CARD)


def align3r_card(*, metric: bool) -> WeightsCard:
    """Return the Align3R checkpoint for metric depth or for relative inverse depth.

    Falls back on a checkpoint of unnamed prior where that alone is in the store.
    """
    fitting = ALIGN3R_DEPTH_PRO if metric else ALIGN3R_DEPTH_ANYTHING
    in_store = [card for card in (fitting, ALIGN3R_CARD) if _stored_file(card).is_file()]
    return in_store[0] if in_store else fitting


_DEPTH_ANYTHING_BYTES = {'small': 99_200_000, 'base': 390_000_000, 'large': 1_340_000_000}
_DEPTH_ANYTHING_SHA256 = {
    'depth-anything-v2-small': '3152477ce0d8d6978d76b995120de97cb5b928701fd0f817769f59e249a16b70'
}


def _depth_anything(size: str, trained_for: str = '') -> FolderCard:
    """Return the card of a variant; the release licenses only the small ones freely."""
    name = f'depth-anything-v2-{trained_for}{size}'
    output = f'metric, {trained_for[7:-1]}' if trained_for else 'relative inverse depth'
    weights = 'model.safetensors'
    sha256 = {weights: _DEPTH_ANYTHING_SHA256[name]} if name in _DEPTH_ANYTHING_SHA256 else {}
    return folder_card(
        name,
        f'Depth Anything V2, {size}: {output}, for the offline job',
        'Apache-2.0' if size == 'small' else 'CC-BY-NC-4.0',
        HubSource(
            f'depth-anything/{name.title()}-hf',
            ('config.json', 'preprocessor_config.json', weights),
            _DEPTH_ANYTHING_BYTES[size],
            sha256,
        ),
    )


DEPTH_PRO_CARD = folder_card(
    'depth-pro',
    'Depth Pro: metric depth and focal length, for the offline job',
    # As on the hub's card; the code's repository states another one, without a patent grant.
    'LicenseRef-Apple-AMLR',
    HubSource(
        'apple/DepthPro-hf',
        ('config.json', 'model.safetensors'),
        1_900_000_000,
        {'model.safetensors': '9c6811e3165485b9a94a204329860cb333a79877e757eb795a179a4ea34bbcf7'},
    ),
)

PRIOR_CARDS = (
    DEPTH_PRO_CARD,
    *(
        _depth_anything(size, trained_for)
        for trained_for in ('', 'metric-indoor-', 'metric-outdoor-')
        for size in ('small', 'base', 'large')
    ),
)
"""Monocular priors of `transformers`."""

METRIC_PRIORS = tuple(
    prior.name for prior in PRIOR_CARDS if prior is DEPTH_PRO_CARD or '-metric-' in prior.name
)
"""Priors with depth in metres."""

ROLLINGDEPTH_CARD = folder_card(
    'rollingdepth',
    'RollingDepth: consistent relative depth of a video, for the offline job',
    'LicenseRef-OpenRAIL++-M',
    HubSource(
        'prs-eth/rollingdepth-v1-0',
        (
            'model_index.json',
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
        5_200_000_000,
        {
            'unet/diffusion_pytorch_model.safetensors': (
                '31946eb1b6c4853451fe44de3c075b5cf8b0bb230b1d33a192a0b4059daf1c6c'
            )
        },
    ),
    conditions='the weights of rollingdepth are licensed OpenRAIL++-M: commercial use is allowed, '
    'the uses in its Attachment A are not, and recipients of the weights or users of a service '
    'made with them must be bound by the same',
    commercial_use=True,
)

INSTALL_PRIORS = "`pip install torch 'diffusers>=0.30' 'pillow>=10' 'transformers>=5.4'`"
"""Command that installs the libraries of third-party networks."""


def cards() -> tuple[ModelCard, ...]:
    """Return every model that streams depth, the bundled one first."""
    return _CARDS


def card(name: str) -> ModelCard:
    """Return the card of a model that streams depth.

    name    in the catalogue, or the path of a card, see network_card.py
    raises  ConfigError naming the choices, or what is wrong with the card; ModelError where its
            network is missing or unfit
    """
    if is_card(name):
        from videodepth_ros.models.network_card import read_network_card

        return read_network_card(name)
    return find_card(name, _CARDS)


def weights_cards() -> tuple[WeightsCard, ...]:
    """Return every network with weights: the models, then those of the offline job."""
    return (*_CARDS, *ALIGN3R_CARDS, *PRIOR_CARDS, ROLLINGDEPTH_CARD)


def weights_card(name: str) -> WeightsCard:
    """Return the card of a network.

    raises  ConfigError naming the choices
    """
    return find_card(name, weights_cards())


def weights_folder() -> Path:
    """Return the folder of the user's weights; it need not exist.

    $VIDEODEPTH_WEIGHTS, else videodepth/weights under $XDG_DATA_HOME or ~/.local/share.
    """
    chosen = os.environ.get('VIDEODEPTH_WEIGHTS')
    if chosen:
        return Path(chosen).expanduser()
    return user_data_path('videodepth') / 'weights'


def weights_path(model: WeightsCard) -> Path:
    """Return the file or folder of a network's weights.

    raises  ModelError where it is missing or incomplete, with the command that installs it
    """
    if isinstance(model, FolderCard):
        return _weights_folder_of(model)
    path = _stored_file(model)
    if path.is_file():
        return path
    raise ModelError(f'the weights of {model.name} are not at {path}: {model.how_to_get}')


def _stored_file(model: WeightsCard) -> Path:
    path = weights_folder() / model.weights_file
    return BUNDLED / model.weights_file if model.bundled and not path.is_file() else path


def _weights_folder_of(model: FolderCard) -> Path:
    """Return the user's folder of a network, or else that in the hub's cache."""
    own = weights_folder() / model.weights_file
    folder = own if own.is_dir() else hub_snapshot(model.repository)
    if folder is None:
        raise ModelError(
            f'the weights of {model.name} are neither at {own} nor in the cache of the Hugging '
            f'Face hub: {model.how_to_get}; for a local copy: videodepth weights import FOLDER'
        )
    needed = set(model.components) - {'model_index.json'}
    absent = sorted(name for name in needed if not (folder / name).is_file())
    if absent:
        raise ModelError(f'{folder} lacks {", ".join(absent)} of {model.name}: {model.how_to_get}')
    return folder
