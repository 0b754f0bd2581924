# SPDX-License-Identifier: Apache-2.0
"""Files and folders by path or URI (fsspec), and the recordings among them."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from videodepth_ros.bags.bag_file import SCANNERS, file_kind
from videodepth_ros.core.errors import ConfigError
from videodepth_ros.core.workspace import digest

MAGIC = frozenset('*?[')
VERSIONS = 'mtime', 'ETag', 'etag', 'LastModified', 'last_modified', 'updated', 'created'
"""Names under which file systems state what changes with the content of a file."""


@dataclass(frozen=True)
class Place:
    """A file or folder of a file system; picklable."""

    fs: Any
    path: str

    @staticmethod
    def of(uri: str) -> Place:
        """Return the place of a path or URI.

        raises  ConfigError if the file system is unknown or its plugin is not installed
        """
        try:
            return Place(*fsspec.core.url_to_fs(uri))
        except (ImportError, ValueError) as error:
            raise ConfigError(
                f'{uri!r} cannot be used: {error}; install the fsspec plugin of this file system '
                '(pip install s3fs for s3://, gcsfs for gs://)'
            ) from error

    def __truediv__(self, name: str) -> Place:
        return Place(self.fs, f'{self.path.rstrip("/")}/{name}')

    def __str__(self) -> str:
        return self.path if self.is_local else str(self.fs.unstrip_protocol(self.path))

    @property
    def name(self) -> str:
        """Its last part."""
        return PurePosixPath(self.path).name

    @property
    def is_local(self) -> bool:
        """Whether it is a path of this machine, or of a file system that is mounted."""
        return isinstance(self.fs, LocalFileSystem)

    @property
    def local(self) -> Path:
        """Its path, where it is local."""
        assert self.is_local
        return Path(self.path)

    def exists(self) -> bool:
        """Return whether it exists."""
        return bool(self.fs.exists(self.path))

    def read(self) -> bytes:
        """Return the content of a file."""
        return bytes(self.fs.cat_file(self.path))

    def write(self, data: bytes) -> None:
        """Write a file as a whole or not at all."""
        self.fs.makedirs(self.fs._parent(self.path), exist_ok=True)
        if not self.is_local:
            self.fs.pipe_file(self.path, data)
            return
        part = self.local.with_name(self.local.name + '.part')
        try:
            part.write_bytes(data)
            os.replace(part, self.local)
        except OSError:
            part.unlink(missing_ok=True)
            raise

    def files(self) -> list[str]:
        """Return the paths of the files in it, or its own, sorted."""
        return sorted(self.fs.find(self.path))

    def state(self) -> str:
        """Return a digest of names, sizes and versions (times) of its files.

        raises  FileNotFoundError
        """
        files = self.fs.find(self.path, detail=True)
        if not files:
            raise FileNotFoundError(errno.ENOENT, 'it has vanished', str(self))
        return digest(
            [
                (
                    path.removeprefix(self.path),
                    info['size'],
                    next((info[key] for key in VERSIONS if key in info), None),
                )
                for path, info in sorted(files.items())
            ]
        )

    def fetch(self, folder: Path) -> Path:
        """Return its path, of a copy in a folder unless it is local; a copy is made once."""
        if self.is_local:
            return self.local
        copy = folder / digest(str(self), self.state()) / self.name
        if not copy.exists():
            part = copy.with_name(copy.name + '.part')
            for path in self.files():
                target = part / path.removeprefix(self.path).lstrip('/')
                target.parent.mkdir(parents=True, exist_ok=True)
                self.fs.get_file(path, str(target))
            os.rename(part, copy)
        return copy

    def put(self, source: Path) -> None:
        """Replace it by a local file or folder, which is moved where that is possible."""
        if self.is_local:
            _move(source, self.local)
            return
        self.remove()
        for path in [source] if source.is_file() else sorted(source.rglob('*')):
            if path.is_file():
                target = self.path if path == source else f'{self.path}/{path.relative_to(source)}'
                self.fs.makedirs(self.fs._parent(target), exist_ok=True)
                self.fs.put_file(str(path), target)
        shutil.rmtree(source, ignore_errors=True)

    def remove(self) -> None:
        """Remove it if it exists."""
        with suppress(FileNotFoundError):
            self.fs.rm(self.path, recursive=True)


def _move(source: Path, target: Path) -> None:
    """Replace a folder by another one, by renaming; a copy from another disk is whole first."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.stat().st_dev != target.parent.stat().st_dev:
        part = target.with_name(target.name + '.part')
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(source, part)
        shutil.rmtree(source)
        source = part
    shutil.rmtree(target, ignore_errors=True)
    os.rename(source, target)


@dataclass(frozen=True)
class Recording:
    """A bag of a fleet; ``name`` is that of its results, with folders below the glob's."""

    name: str
    place: Place


def find_recordings(patterns: Sequence[str]) -> tuple[list[Recording], list[str]]:
    """Return the recordings that paths, globs and URIs match, by name, and notes on the others.

    raises  ConfigError if a pattern matches no recording, or two have one name
    """
    found: dict[str, Recording] = {}
    ignored: list[str] = []
    for pattern in patterns:
        place = Place.of(pattern)
        matches = _matches(place, pattern)
        recordings = [one for one in matches if is_recording(one)]
        paths = {one.path for one in recordings}
        others = [one for one in matches if one.path not in paths]
        if not recordings:
            raise ConfigError(
                f'{pattern!r}: no recording among {_listed(others)}; a recording is a '
                f'folder of rosbag2, or a file that ends in {", ".join(SCANNERS)}; quote a glob '
                f"for those in a folder: '{pattern.rstrip('/')}/*'"
            )
        ignored += [str(one) for one in others if not _is_below(one, paths)]
        outermost = [one for one in recordings if not _is_below(one, paths)]
        for recording in _named(place, outermost):
            other = found.setdefault(recording.name, recording)
            if other.place.path != recording.place.path:
                raise ConfigError(
                    f'{other.place} and {recording.place} would both be {recording.name!r} in the '
                    'output; give them in two calls with two outputs'
                )
    notes = [f'left out, as they are no recordings: {_listed(ignored)}'] if ignored else []
    return [found[name] for name in sorted(found)], notes


def is_recording(place: Place) -> bool:
    """Return whether a place is a file or folder of a recording, by its names alone."""
    is_file = place.fs.isfile(place.path)
    paths = [place.path] if is_file else place.fs.ls(place.path, detail=False)
    return any(file_kind(Path(path.removesuffix('.zstd'))) in SCANNERS for path in paths)


def _is_below(place: Place, folders: Collection[str]) -> bool:
    """Return whether a place is in one of some folders, as the files of a recording are."""
    return any(str(parent) in folders for parent in PurePosixPath(place.path).parents)


def _matches(place: Place, pattern: str) -> list[Place]:
    """Return what a glob matches, without hidden files and work folders; sorted."""
    if place.exists():
        return [place]
    paths = sorted(place.fs.glob(place.path)) if MAGIC & set(place.path) else []
    if not paths:
        raise ConfigError(f'{pattern!r} matches nothing; give the path, glob or URI of recordings')
    return [
        Place(place.fs, path) for path in paths if not PurePosixPath(path).name.startswith('.')
    ]


def _named(pattern: Place, places: Sequence[Place]) -> Iterator[Recording]:
    """Yield recordings with their path below the folders of a pattern that have no wildcard."""
    parts = PurePosixPath(pattern.path).parts
    count = next((n for n, part in enumerate(parts) if MAGIC & set(part)), len(parts))
    fixed = min(count, len(parts) - 1)
    if pattern.exists():
        fixed = len(parts) - 1
    for place in places:
        path = PurePosixPath(*PurePosixPath(place.path).parts[fixed:])
        name = path.name.removesuffix('.zstd').removesuffix('.active')
        suffix = PurePosixPath(name).suffix
        stem = name.removesuffix(suffix) if suffix.lower() in SCANNERS else name
        yield Recording(str(path.with_name(stem)), place)


def _listed(items: Sequence[object], most: int = 3) -> str:
    text = ', '.join(map(str, items[:most]))
    return text + (f' and {len(items) - most} more' if len(items) > most else '')
