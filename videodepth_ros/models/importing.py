# SPDX-License-Identifier: Apache-2.0
"""Bringing weights into the user's store: checked, recognised, without what else came along."""

from __future__ import annotations

import tempfile
from pathlib import Path

from videodepth_ros.core.errors import ConfigError, DeviceError, ModelError
from videodepth_ros.models.catalogue import (
    INSTALL_PRIORS,
    WeightsCard,
    weights_card,
    weights_folder,
)


def import_weights(source: Path | str) -> WeightsCard:
    """Check a checkpoint, store it among the user's weights and return whose it is.

    source  a file, which is recognised by the names and shapes of its tensors, whatever it is
            called, and stored as ``.safetensors``; or a folder of the hub, recognised by its
            configuration
    raises  ModelError where it is not exactly one of the known models,
            ConfigError where the folder of the weights cannot be written, DeviceError where a
            library is missing that reads it

    No code can hide in what is stored, and nothing but the weights is kept. A file in the store
    is replaced in one step, so that a reader sees the old one or the new one.
    """
    if not Path(source).exists():
        raise ModelError(f'{source} does not exist; give a checkpoint, or a folder of the hub')
    folder = weights_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix='.import-', dir=folder) as workshop:
            model = weights_card(_converted(Path(source), Path(workshop) / 'new'))
            place = folder / model.weights_file
            if place.is_dir():  # only an empty folder can be replaced
                place.rename(Path(workshop) / 'old')
            (Path(workshop) / 'new').replace(place)
    except OSError as error:
        raise ConfigError(
            f'weights cannot be stored in {folder}: {error}; make room, or set '
            'VIDEODEPTH_WEIGHTS to a folder of yours'
        ) from error
    return model


def _converted(source: Path, target: Path) -> str:
    """Write the weights of a file or folder as they are stored, and return whose they are."""
    try:
        if source.is_dir():
            from videodepth_ros.models.folders import copy_folder

            return copy_folder(source, target)
        from videodepth_ros.models.variants import convert_checkpoint

        return convert_checkpoint(source, target)
    except ImportError as error:
        raise DeviceError(f'{source} cannot be read here: {error}; {INSTALL_PRIORS}') from error
