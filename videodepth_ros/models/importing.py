# SPDX-License-Identifier: Apache-2.0
"""Import weights into the user's store: recognised, checked, converted."""

from __future__ import annotations

import tarfile
import tempfile
from pathlib import Path

from videodepth_ros.core.errors import ConfigError, DeviceError, ModelError
from videodepth_ros.models.catalogue import (
    ALIGN3R_CARDS,
    INSTALL_PRIORS,
    WeightsCard,
    weights_card,
    weights_folder,
)

CHECKPOINT_SUFFIXES = ('.pth', '.pt', '.safetensors', '.ckpt')


def import_weights(source: Path | str, name: str | None = None) -> WeightsCard:
    """Check a checkpoint, store it among the user's weights and return its card.

    source  a file, recognised by the names and shapes of its tensors; a folder of the hub,
            recognised by its configuration, or with one checkpoint in it; or a ``.tar`` of such a
            folder
    name    in the catalogue, where files do not decide; the weights must be of that network
    raises  ModelError where it is not exactly one of the known models,
            ConfigError where the store cannot be written, DeviceError where a library is missing

    No code of the file is run. The store changes in one step: concurrent readers get the old file
    or the new one.
    """
    expected = weights_card(name) if name else None
    if not Path(source).exists():
        raise ModelError(f'{source} does not exist; give a checkpoint, or a folder of the hub')
    folder = weights_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix='.import-', dir=folder) as workspace:
            new = Path(workspace) / 'new'
            model = weights_card(_convert(Path(source), new, name))
            _check_name(source, model, expected)
            place = folder / model.weights_file
            if place.is_dir():  # only an empty folder can be replaced
                place.rename(Path(workspace) / 'old')
            new.replace(place)
    except OSError as error:
        raise ConfigError(
            f'weights cannot be stored in {folder}: {error}; free space, or set '
            'VIDEODEPTH_WEIGHTS to a writable folder'
        ) from error
    return model


def _check_name(source: Path | str, model: WeightsCard, expected: WeightsCard | None) -> None:
    same_network = expected in ALIGN3R_CARDS and model in ALIGN3R_CARDS
    if expected and expected != model and not same_network:
        raise ModelError(f'{source} holds weights of {model.name}, not of {expected.name}')


def _convert(source: Path, target: Path, name: str | None) -> str:
    """Write the weights of a file or folder in the store's form, and return their name."""
    try:
        if source.is_file() and tarfile.is_tarfile(source) and source.suffix != '.pth':
            return _convert_tar(source, target, name)
        if source.is_dir():
            from videodepth_ros.models.folders import copy_folder, has_configuration

            if has_configuration(source):
                return copy_folder(source, target)
            source = only_checkpoint(source)
        from videodepth_ros.models.variants import convert_checkpoint

        return convert_checkpoint(source, target, name)
    except ImportError as error:
        raise DeviceError(f'{source} cannot be read here: {error}; {INSTALL_PRIORS}') from error


def only_checkpoint(folder: Path) -> Path:
    """Return the one checkpoint in a folder, at any depth.

    raises  ModelError where there is none, or several
    """
    files = sorted(
        path
        for path in folder.rglob('*')
        if path.suffix in CHECKPOINT_SUFFIXES and '.cache' not in path.relative_to(folder).parts
    )
    if len(files) == 1:
        return files[0]
    if not files:
        raise ModelError(
            f'{folder} is no folder of a network: it has neither a config.json with a model_type '
            'nor a model_index.json, and no checkpoint'
        )
    names = ', '.join(str(path.relative_to(folder)) for path in files[:8])
    raise ModelError(f'{folder} holds several checkpoints: give the file, one of {names}')


def _convert_tar(source: Path, target: Path, name: str | None) -> str:
    """Extract a ``.tar`` beside the target and convert the folder with a configuration in it."""
    extracted = target.with_name('extracted')
    try:
        with tarfile.open(source) as archive:
            members = archive.getmembers()
            size = sum(member.size for member in members)
            if size > source.stat().st_size or not all(m.isfile() or m.isdir() for m in members):
                raise ModelError(
                    f'{source} is compressed or holds links: extract it yourself, then run '
                    '`videodepth weights import FOLDER`'
                )
            archive.extractall(extracted, filter='data')
    except tarfile.TarError as error:
        raise ModelError(f'{source} cannot be extracted: {error}') from error
    indices = sorted(extracted.rglob('model_index.json')) or sorted(extracted.rglob('config.json'))
    return _convert(indices[0].parent if indices else extracted, target, name)
