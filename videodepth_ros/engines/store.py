# SPDX-License-Identifier: Apache-2.0
"""Store of built artefacts (graphs, plans) in the user's cache, under complete keys.

An artefact and its record (JSON with the key and the SHA-256) lie side by side. The record is
renamed into place last: an artefact without one is unfinished. The checksum is verified at every
opening. The folder has mode 0700, and one that other users can write is rejected: loading a plan
runs code. Artefacts that are idle for long, or exceed the space limit, are removed after a build.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from platformdirs import user_cache_path

from videodepth_ros.core.errors import ConfigError, ModelError
from videodepth_ros.engines.child_process import BuildProgress, ignore_progress
from videodepth_ros.engines.options import StoreOptions

Builder = Callable[[Path], str]
"""Write an artefact to a path and return the result of its self-check, or raise ModelError."""

DEFAULTS = StoreOptions()

_ABSENT = 'absent'


@dataclass(frozen=True)
class EngineKey:
    """All inputs of an artefact; artefacts with equal keys are interchangeable.

    kind            type of the artefact and suffix of its file: ``onnx``, ``npz``, ``plan``
    precision       ``fp32`` or ``fp16``
    schema          version of the artefact's interface: tensor names, layout, metadata
    weights_sha256  of the checkpoint
    source_sha256   of the network's code, or for a plan of the graph
    toolchain       each tool involved, with its version: ``torch 2.13.0``
    """

    model: str
    kind: str
    width: int
    height: int
    precision: str
    schema: int
    weights_sha256: str
    source_sha256: str
    toolchain: tuple[str, ...]

    @property
    def prefix(self) -> str:
        """Start of the file name: all inputs but the tools."""
        computed = {name: value for name, value in asdict(self).items() if name != 'toolchain'}
        return f'{self.model}-{self.width}x{self.height}-{self.precision}-{_digest(computed)}-'

    @property
    def file_name(self) -> str:
        """Name of the artefact in the store."""
        return f'{self.prefix}{_digest(self.toolchain)}.{self.kind}'


@dataclass(frozen=True)
class StoredArtefact:
    """An artefact with a valid checksum, and notes for the log."""

    path: Path
    notes: tuple[str, ...] = ()


class EngineStore:
    """The artefacts of one user on one machine; safe for several processes."""

    def __init__(self, folder: Path | None = None, options: StoreOptions = DEFAULTS) -> None:
        """Use ``folder``, by default ``cache_folder``; it is created by the first build."""
        self.folder = cache_folder() if folder is None else folder
        self._options = options

    def fetch(
        self, key: EngineKey, build: Builder | None, report: BuildProgress = ignore_progress
    ) -> StoredArtefact:
        """Return the artefact of ``key``, built first if it is missing or damaged.

        build   builds it; None where the tools are not installed: then an artefact of other
                versions of the tools is accepted, since it was checked when built
        report  called while another process builds it; its exceptions end the wait
        raises  ConfigError if the folder is unusable, ModelError if there is no artefact and
                ``build`` is None, and what ``build`` raises
        """
        path = self.folder / key.file_name
        try:
            if self._problem(path) is None:
                _touch(path)
                return StoredArtefact(path)
            if build is None:
                return self._of_other_tools(key)
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._locked(path, report):
                problem = self._problem(path)  # another process may have built it meanwhile
                if problem is None:
                    return StoredArtefact(path)
                built = self._build(path, key, build)
            self.prune()
        except OSError as error:
            raise ConfigError(
                f'the engine cache {self.folder} is unusable: {error}; set XDG_CACHE_HOME '
                'to a writable folder with free space'
            ) from error
        if problem == _ABSENT:
            return StoredArtefact(path, (built,))
        return StoredArtefact(path, (f'{path} was {problem} and has been replaced', built))

    def prune(self) -> None:
        """Remove artefacts that are idle for long, and the longest idle beyond the space limit."""
        now_s, free_bytes = time.time(), self._options.max_bytes
        records = {
            path.with_name(path.name.removesuffix('.json')) for path in self.folder.glob('*.json')
        }
        opened = [
            (status.st_mtime, status.st_size, path)
            for path in records
            if (status := _status(path)) is not None
        ]
        for opened_s, size, path in sorted(opened, reverse=True):
            free_bytes -= size
            idle_s = now_s - opened_s
            if idle_s > self._options.max_idle_s or (
                free_bytes < 0 and idle_s > self._options.min_idle_s
            ):
                # Remove the record first: without one the artefact counts as unfinished.
                for suffix in ('.json', ''):
                    _with_suffix(path, suffix).unlink(missing_ok=True)

    def _problem(self, path: Path) -> str | None:
        """Return why the artefact is unusable; None if it is usable."""
        if not path.exists():
            return _ABSENT
        self._refuse_if_others_can_write()
        try:
            record = json.loads(_with_suffix(path, '.json').read_text())
            expected, name = record['sha256'], EngineKey(**record['key']).file_name
        except (OSError, ValueError, KeyError, TypeError):
            return 'without a readable record'
        if name != path.name:
            return f'foreign (its record is that of {name})'
        actual = sha256_of(path)
        if actual != expected:
            return f'damaged (sha256 {actual[:12]} instead of {str(expected)[:12]})'
        return None

    def _of_other_tools(self, key: EngineKey) -> StoredArtefact:
        for path in sorted(self.folder.glob(f'{key.prefix}*.{key.kind}')):
            if self._problem(path) is None:
                return StoredArtefact(path)
        raise ModelError(
            f'no sound {key.kind} artefact of {key.model} at {key.width}x{key.height} in '
            f'{self.folder}, and the tools to build one are not installed here; install torch, '
            'onnx and onnxscript, or copy the folder from a machine that has built it'
        )

    def _build(self, path: Path, key: EngineKey, build: Builder) -> str:
        """Build in a temporary folder, then rename artefact and record; return a note."""
        began_s = time.monotonic()
        for remains in self.folder.glob(f'.{path.stem}.*'):  # of a killed process
            shutil.rmtree(remains, ignore_errors=True)
        workspace = Path(tempfile.mkdtemp(prefix=f'.{path.stem}.', dir=self.folder))
        try:
            artefact = workspace / path.name
            finding = build(artefact)
            record = _with_suffix(artefact, '.json')
            record.write_text(
                json.dumps(
                    {'sha256': sha256_of(artefact), 'self_check': finding, 'key': asdict(key)},
                    indent=1,
                )
            )
            for made in (artefact, record):
                _sync(made)
                made.replace(self.folder / made.name)
            _sync(self.folder)
        finally:
            shutil.rmtree(workspace, ignore_errors=True)
        return f'{path.name} was built in {time.monotonic() - began_s:.1f} s ({finding})'

    @contextmanager
    def _locked(self, path: Path, report: BuildProgress) -> Iterator[None]:
        """Hold the lock of one artefact; the system releases it when its holder dies."""
        self._refuse_if_others_can_write()
        lock = FileLock(_with_suffix(path, '.lock'), mode=0o600)
        while True:
            try:
                lock.acquire(timeout=0)
                break
            except Timeout:
                report(f'Waiting for another process that builds {path.name}', 0.0)
                time.sleep(self._options.poll_period_s)
        try:
            yield
        finally:
            lock.release()

    def _refuse_if_others_can_write(self) -> None:
        status = self.folder.stat()
        if status.st_uid not in (os.geteuid(), 0) or status.st_mode & 0o022:
            raise ConfigError(
                f'the engine cache {self.folder} (owner {status.st_uid}, mode '
                f'{status.st_mode & 0o777:o}) can be written by other users, who could plant an '
                'engine there; make it your own with mode 0700, or set XDG_CACHE_HOME'
            )


def cache_folder() -> Path:
    """Return the user's folder of built engines (XDG Base Directory Specification).

    raises  ConfigError if the user has no home and XDG_CACHE_HOME is not set
    """
    folder = user_cache_path('videodepth')
    if not folder.is_absolute():
        raise ConfigError(f'the user has no home for {folder}; set XDG_CACHE_HOME')
    return folder


def sha256_of(*paths: Path) -> str:
    """Return the SHA-256 of the concatenated files, in hexadecimal."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open('rb') as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def _touch(path: Path) -> None:
    """Set the time of a file to now; files of root's store are left unchanged."""
    with suppress(PermissionError):
        os.utime(path)


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:  # another process has removed it
        return None


def _with_suffix(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
