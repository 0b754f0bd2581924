# SPDX-License-Identifier: Apache-2.0
"""Hugging Face hub: the user's cache, and downloads with verified contents. Free of torch."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from videodepth_ros.core.errors import ConfigError, ModelError

DEFAULT_ENDPOINT = 'https://huggingface.co'

SPARE_BYTES = 256 << 20
"""Free space required besides the files themselves [B]."""


@dataclass(frozen=True)
class HubSource:
    """Files of a repository on the Hugging Face hub.

    repository  ``owner/name``
    files       paths in it
    size_bytes  of all files, as far as known; 0: unknown
    sha256      of the files where known, by path
    """

    repository: str
    files: tuple[str, ...]
    size_bytes: int = 0
    sha256: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class HubFile:
    """A file at a revision: path, size, and its digest on the hub.

    sha256   of the content, for files in large-file storage; else None
    blob_id  Git's SHA-1 of the content, for small files
    """

    path: str
    size_bytes: int
    sha256: str | None
    blob_id: str | None

    def verify(self, file: Path) -> None:
        """Raise ModelError unless a downloaded file has this size and digest."""
        size = file.stat().st_size
        if size != self.size_bytes:
            raise ModelError(f'{self.path} has {size} bytes instead of {self.size_bytes}')
        if self.sha256:
            digest, expected = hashlib.sha256(), self.sha256
        elif self.blob_id:
            digest, expected = hashlib.sha1(b'blob %d\0' % size), self.blob_id
        else:
            return
        with file.open('rb') as content:
            while block := content.read(1 << 20):
                digest.update(block)
        if digest.hexdigest() != expected:
            raise ModelError(
                f'{self.path} has {digest.name} {digest.hexdigest()} instead of {expected}'
            )


@dataclass(frozen=True)
class HubRevision:
    """Files of a source at one commit of its repository."""

    repository: str
    commit: str
    files: tuple[HubFile, ...]

    @property
    def size_bytes(self) -> int:
        """Size of all files."""
        return sum(file.size_bytes for file in self.files)


def resolve(source: HubSource, revision: str | None = None) -> HubRevision:
    """Query commit, sizes and digests of the files; a known digest must match.

    revision  commit, branch or tag; None: the main branch
    raises    ModelError where the hub is unreachable, the files are missing, access is denied, or
              a digest differs from the catalogue's
    """
    from huggingface_hub import HfApi

    with _hub_errors(source.repository):
        info = HfApi(endpoint=endpoint()).model_info(
            source.repository, revision=revision, files_metadata=True
        )
    siblings: dict[str, Any] = {each.rfilename: each for each in info.siblings or ()}
    absent = [path for path in source.files if path not in siblings]
    if absent:
        raise ModelError(f'{source.repository} on {endpoint()} lacks {", ".join(absent)}')
    files = []
    for path in source.files:
        known = siblings[path]
        sha256 = known.lfs.sha256 if known.lfs else None
        expected = source.sha256.get(path)
        if expected and sha256 != expected:
            raise ModelError(
                f'{path} of {source.repository} has sha256 {sha256} instead of {expected}: the '
                'release has changed; update this package, or download the file, check it '
                'yourself and run `videodepth weights import FILE`'
            )
        files.append(HubFile(path, int(known.size or 0), sha256, known.blob_id))
    return HubRevision(source.repository, str(info.sha), tuple(files))


def download(revision: HubRevision, folder: Path) -> None:
    """Download the files of a revision into a folder and verify them.

    Partial files stay in the folder: another call resumes them.

    raises  ConfigError where the disk has too little space, ModelError where the download fails or
            a digest differs; a file with a wrong digest is removed
    """
    from huggingface_hub import hf_hub_download

    folder.mkdir(parents=True, exist_ok=True)
    present = sum(path.stat().st_size for path in folder.rglob('*') if path.is_file())
    needed = max(0, revision.size_bytes - present) + revision.size_bytes + SPARE_BYTES
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ConfigError(
            f'{folder} has {free / 1e9:.1f} GB of free space, and the download and its import '
            f'need {needed / 1e9:.1f} GB; free space, or set VIDEODEPTH_WEIGHTS to another disk'
        )
    for file in revision.files:
        with _hub_errors(revision.repository):
            path = hf_hub_download(
                revision.repository,
                file.path,
                revision=revision.commit,
                local_dir=folder,
                endpoint=endpoint(),
            )
        try:
            file.verify(Path(path))
        except ModelError as error:
            Path(path).unlink(missing_ok=True)
            shutil.rmtree(folder / '.cache', ignore_errors=True)
            raise ModelError(
                f'{revision.repository}: {error}; the file was removed, run the command again'
            ) from error


def endpoint() -> str:
    """Return $HF_ENDPOINT, a mirror of the hub, or the hub itself."""
    return os.environ.get('HF_ENDPOINT', '').rstrip('/') or DEFAULT_ENDPOINT


def is_offline() -> bool:
    """Return whether $HF_HUB_OFFLINE forbids connections."""
    return os.environ.get('HF_HUB_OFFLINE', '').upper() in ('1', 'ON', 'YES', 'TRUE')


@contextmanager
def _hub_errors(repository: str) -> Iterator[None]:
    """Convert errors of the hub's client to ModelError with the next step."""
    from huggingface_hub import errors

    place = f'{repository} on {endpoint()}'
    try:
        yield
    except errors.GatedRepoError as error:
        raise ModelError(
            f'{place} is gated: accept its conditions on its page, then log in with '
            '`hf auth login` or set HF_TOKEN'
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise ModelError(
            f'{place} does not exist or needs a login: run `hf auth login`, or check HF_ENDPOINT'
        ) from error
    except errors.RevisionNotFoundError as error:
        raise ModelError(f'{place} has no such revision: choose another one') from error
    except errors.OfflineModeIsEnabled as error:
        raise ModelError(
            f'{place} was not contacted, since HF_HUB_OFFLINE is set: unset it, or import a '
            'local file'
        ) from error
    except errors.LocalEntryNotFoundError as error:
        raise ModelError(f'{place} is unreachable: {_CONNECTION}') from error
    except errors.HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else 'no'
        hint = 'wait some minutes' if status == 429 else 'see the status of the server'
        raise ModelError(f'{place} answered with status {status}: {hint}, then retry') from error
    except OSError as error:
        raise ModelError(f'{place}: {error}; {_CONNECTION}') from error
    except Exception as error:  # transport errors of the client's HTTP library
        if type(error).__module__.partition('.')[0] not in _TRANSPORTS:
            raise
        raise ModelError(f'{place} is unreachable ({error}): {_CONNECTION}') from error


_TRANSPORTS = ('httpx', 'httpx2', 'httpcore', 'httpcore2', 'requests', 'urllib3')
_CONNECTION = (
    'check the network, and HTTPS_PROXY or HF_ENDPOINT behind a proxy or for a mirror; the same '
    'command resumes the download'
)


def hub_snapshot(repository: str) -> Path | None:
    """Return the cached snapshot of ``owner/name`` at its main branch; None if there is none."""
    entry = _cache() / f'models--{repository.replace("/", "--")}'
    try:
        commit = (entry / 'refs' / 'main').read_text().strip()
    except OSError:
        return None
    snapshot = entry / 'snapshots' / commit
    return snapshot if commit and snapshot.is_dir() else None


def _cache() -> Path:
    """Return $HF_HUB_CACHE, else hub under $HF_HOME, $XDG_CACHE_HOME/huggingface or ~/.cache."""
    chosen = os.environ.get('HF_HUB_CACHE')
    if chosen:
        return Path(chosen).expanduser()
    cache = Path(os.environ.get('XDG_CACHE_HOME') or '~/.cache').expanduser()
    return Path(os.environ.get('HF_HOME') or cache / 'huggingface').expanduser() / 'hub'
