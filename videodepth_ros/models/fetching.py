# SPDX-License-Identifier: Apache-2.0
"""Fetch weights from their authors: resolve, download, verify, import."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from videodepth_ros.core.errors import ConfigError, ModelError
from videodepth_ros.models.catalogue import FolderCard, WeightsCard, weights_cards, weights_folder
from videodepth_ros.models.hub import HubRevision, download, endpoint, is_offline, resolve
from videodepth_ros.models.importing import import_weights

PINS = 'fetched.json'
"""File in the store with repository, commit and digests of what was fetched, by name."""


def fetchable() -> tuple[WeightsCard, ...]:
    """Return the cards whose weights can be fetched."""
    return tuple(card for card in weights_cards() if card.hub)


def free_cards() -> tuple[WeightsCard, ...]:
    """Return the fetchable cards without licence restrictions."""
    return tuple(card for card in fetchable() if card.notice is None)


def fetch_weights(
    card: WeightsCard,
    log: Callable[[str], None],
    *,
    accept_licence: bool = False,
    revision: str | None = None,
) -> WeightsCard:
    """Download the weights of a card from its authors and import them; return the card.

    log             receives lines for the user: source, size, digests
    accept_licence  whether the user accepts a restrictive licence
    revision        commit, branch or tag; None: the one fetched before, else the main branch
    raises          ConfigError where the licence is not accepted or the disk is full, ModelError
                    where the download or the import fails

    An interrupted download is resumed by the next call. The store changes only when all files are
    verified and imported.
    """
    if card.hub is None:
        raise ConfigError(f'{card.name} cannot be fetched: {card.source}')
    if is_offline():
        raise ConfigError(
            'HF_HUB_OFFLINE is set: unset it, or copy the file here and run '
            '`videodepth weights import FILE`'
        )
    if card.notice and not accept_licence:
        raise ConfigError(f'{card.notice}; to accept, add --accept-licence')
    resolved = resolve(card.hub, revision or _pinned_commit(card))
    log(
        f'{card.name}: {resolved.repository} at {resolved.commit[:12]} on {endpoint()}, '
        f'{resolved.size_bytes / 1e6:.1f} MB, licence {card.licence}'
    )
    folder = weights_folder() / f'.fetch-{card.name}'
    _discard_other_revision(folder, resolved.commit)
    download(resolved, folder)
    for file in resolved.files:
        log(f'  {file.path}  {file.sha256 or file.blob_id}')
    source = folder if isinstance(card, FolderCard) else folder / card.hub.files[0]
    imported = import_weights(source, card.name)
    _pin(card, resolved)
    shutil.rmtree(folder, ignore_errors=True)
    return imported


def _discard_other_revision(folder: Path, commit: str) -> None:
    """Remove a partial download of another commit."""
    marker = folder / '.commit'
    if folder.is_dir() and (not marker.is_file() or marker.read_text() != commit):
        shutil.rmtree(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        marker.write_text(commit)
    except OSError as error:
        raise ConfigError(
            f'weights cannot be stored in {folder.parent}: {error}; set VIDEODEPTH_WEIGHTS to a '
            'writable folder'
        ) from error


def pins() -> dict[str, Any]:
    """Return repository, commit and digests of the fetched weights, by name."""
    try:
        content = json.loads((weights_folder() / PINS).read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ModelError(
            f'{weights_folder() / PINS} cannot be read ({error}); remove it'
        ) from error
    return dict(content)


def _pinned_commit(card: WeightsCard) -> str | None:
    commit = pins().get(card.name, {}).get('commit')
    return str(commit) if commit else None


def _pin(card: WeightsCard, revision: HubRevision) -> None:
    """Record commit and digests, so that the next fetch gets the same files."""
    content = {**pins(), card.name: asdict(revision)}
    path = weights_folder() / PINS
    draft = path.with_suffix('.part')
    draft.write_text(json.dumps(content, indent=1))
    draft.replace(path)
