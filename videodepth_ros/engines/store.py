# SPDX-License-Identifier: Apache-2.0
"""Built artefacts (exported graphs, device plans) in the user's cache, under complete keys.

An artefact and its record (a JSON file with the key in words and the SHA-256) lie side by side.
The record is renamed into place last, so that what has no record is unfinished. The checksum is
verified at every opening. The folder is the user's own, mode 0700: to load a device plan is to run
code, so one that another user could have put there is refused. What nobody has opened for long, or
the room does not suffice for, is removed whenever something is built.
"""

from __future__ import annotations

import fcntl
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

from videodepth_ros.core.errors import ConfigError, ModelError
from videodepth_ros.engines.child_process import POLL_PERIOD_S, BuildProgress, ignore_progress

Builder = Callable[[Path], str]
"""Writes an artefact to the path and returns what its self-check found, in words.

It raises ModelError if the artefact does not compute what it should; nothing is stored then.
"""

LONGEST_IDLE_S = 90 * 86400.0
"""An artefact that nobody has opened for so long is removed."""

MOST_BYTES = 16 << 30
"""Room for all artefacts; a plan of the largest network in float32 takes 1.4 GB."""

SHORTEST_IDLE_S = 3600.0
"""An artefact that was opened so recently is never removed: somebody may be about to load it."""

_ABSENT = 'absent'


@dataclass(frozen=True)
class EngineKey:
    """Everything that an artefact depends on; artefacts with equal keys are interchangeable.

    kind            what the artefact is, and the suffix of its file: ``onnx``, ``npz``, ``plan``
    precision       ``fp32`` or ``fp16``
    schema          version of the artefact's interface: tensor names, layout, metadata
    weights_sha256  of the checkpoint
    source_sha256   of what it is made from: the code of the network, or for a plan the graph
    toolchain       each tool that had a hand in it, with its version: ``torch 2.13.0``
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
        """Start of the file name: what is computed, whatever the tools were."""
        computed = {name: value for name, value in asdict(self).items() if name != 'toolchain'}
        return f'{self.model}-{self.width}x{self.height}-{self.precision}-{_digest(computed)}-'

    @property
    def file_name(self) -> str:
        """Name of the artefact in the store."""
        return f'{self.prefix}{_digest(self.toolchain)}.{self.kind}'


@dataclass(frozen=True)
class StoredArtefact:
    """An artefact whose checksum is right, and what happened on the way to it, for the log."""

    path: Path
    notes: tuple[str, ...] = ()


class EngineStore:
    """The artefacts of one user on one machine; several processes may use it at once."""

    def __init__(self, folder: Path | None = None) -> None:
        """Use ``folder``, or that of ``cache_folder``; it is made when something is built."""
        self.folder = cache_folder() if folder is None else folder

    def fetch(
        self, key: EngineKey, build: Builder | None, report: BuildProgress = ignore_progress
    ) -> StoredArtefact:
        """Return the artefact of ``key``, built first if it is missing or broken.

        build   how to make it; None where the tools are absent, and then an artefact that other
                versions of the tools have made is as good, for it was checked when it was built
        report  told while another process builds it; what it raises ends the waiting
        raises  ConfigError if the folder cannot be used, ModelError if there is no artefact and
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
                f'the engine cache {self.folder} cannot be used: {error}; set '
                'XDG_CACHE_HOME to a folder that can, and that has room'
            ) from error
        if problem == _ABSENT:
            return StoredArtefact(path, (built,))
        return StoredArtefact(path, (f'{path} was {problem} and has been replaced', built))

    def prune(self) -> None:
        """Remove what is idle for long, and the longest idle while there is too much."""
        now_s, room = time.time(), MOST_BYTES
        records = {
            path.with_name(path.name.removesuffix('.json')) for path in self.folder.glob('*.json')
        }
        opened = [
            (status.st_mtime, status.st_size, path)
            for path in records
            if (status := _status(path)) is not None
        ]
        for opened_s, size, path in sorted(opened, reverse=True):
            room -= size
            idle_s = now_s - opened_s
            if idle_s > LONGEST_IDLE_S or (room < 0 and idle_s > SHORTEST_IDLE_S):
                # The record goes first: without one the artefact counts as unfinished.
                for suffix in ('.json', ''):
                    _with_suffix(path, suffix).unlink(missing_ok=True)

    def _problem(self, path: Path) -> str | None:
        """Say in words why the artefact cannot be used; None if it can."""
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
        """Build beside the final place, then rename artefact and record; return a note."""
        began_s = time.monotonic()
        for remains in self.folder.glob(f'.{path.stem}.*'):  # of a process that was killed
            shutil.rmtree(remains, ignore_errors=True)
        workshop = Path(tempfile.mkdtemp(prefix=f'.{path.stem}.', dir=self.folder))
        try:
            artefact = workshop / path.name
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
            shutil.rmtree(workshop, ignore_errors=True)
        return f'{path.name} was built in {time.monotonic() - began_s:.1f} s ({finding})'

    @contextmanager
    def _locked(self, path: Path, report: BuildProgress) -> Iterator[None]:
        """Hold the lock of one artefact; the system frees it when its holder dies."""
        self._refuse_if_others_can_write()
        lock = os.open(_with_suffix(path, '.lock'), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            while not _holds(lock):
                report(f'Waiting for who builds {path.name}', 0.0)
                time.sleep(POLL_PERIOD_S)
            yield
        finally:
            os.close(lock)

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
    base = os.environ.get('XDG_CACHE_HOME', '')
    if os.path.isabs(base):  # the specification has relative values ignored
        return Path(base) / 'videodepth'
    try:
        return Path.home() / '.cache' / 'videodepth'
    except RuntimeError as error:
        raise ConfigError(f'no place for built engines: {error}; set XDG_CACHE_HOME') from error


def sha256_of(*paths: Path) -> str:
    """Return the SHA-256 of the files' contents one after the other, in hexadecimal."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open('rb') as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def _holds(lock: int) -> bool:
    """Take the lock of an open file, unless another one holds it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _touch(path: Path) -> None:
    """Set the time of a file to now; that of a store which root has filled stays."""
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
