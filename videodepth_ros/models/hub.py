# SPDX-License-Identifier: Apache-2.0
"""The user's cache of the Hugging Face hub, read only: nothing is downloaded. Free of torch."""

from __future__ import annotations

import os
from pathlib import Path


def hub_snapshot(repository: str) -> Path | None:
    """Return the folder of the newest cached snapshot of ``owner/name``; None where none is.

    It is the one that the branch `main` pointed to when the user last downloaded it.
    """
    entry = _cache() / f'models--{repository.replace("/", "--")}'
    try:
        commit = (entry / 'refs' / 'main').read_text().strip()
    except OSError:
        return None
    snapshot = entry / 'snapshots' / commit
    return snapshot if commit and snapshot.is_dir() else None


def _cache() -> Path:
    """$HF_HUB_CACHE, else hub under $HF_HOME, $XDG_CACHE_HOME/huggingface or ~/.cache/..."""
    chosen = os.environ.get('HF_HUB_CACHE')
    if chosen:
        return Path(chosen).expanduser()
    cache = Path(os.environ.get('XDG_CACHE_HOME') or '~/.cache').expanduser()
    return Path(os.environ.get('HF_HOME') or cache / 'huggingface').expanduser() / 'hub'
