# SPDX-License-Identifier: Apache-2.0
"""Intermediate results on disk: a killed job resumes, also with other options.

Each result is a file named by a digest of its inputs. Files are written under a temporary name
and renamed when complete, so a file with its final name is whole.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.core.errors import BagError, ConfigError

PART_SUFFIX = '.part'
LOCK_NAME = 'lock'


def digest(*inputs: object) -> str:
    """Return 16 hexadecimal digits of SHA-256 over the ``repr`` of values."""
    return hashlib.sha256(repr(inputs).encode()).hexdigest()[:16]


def require_new(path: Path) -> None:
    """Check that a file or folder can be created at a path, before any work for it.

    raises  BagError with the next step if the path exists, also as a dangling link, or is below
            something that is no folder, or is not writable
    """
    if path.is_symlink() and not path.exists():
        raise BagError(
            f'{path} is a link to {os.readlink(path)}, which does not exist; remove it, or give '
            'another name'
        )
    if path.exists():
        raise BagError(f'{path} exists and is not overwritten; remove it, or give another name')
    folder = path.absolute().parent
    while not (folder.exists() or folder.is_symlink()):
        folder = folder.parent
    if not folder.is_dir():
        raise BagError(f'{path} cannot be created: {folder} is no folder; give another name')
    if not os.access(folder, os.W_OK | os.X_OK):
        raise BagError(
            f'{path} cannot be created: {folder} is not writable; give another name, or get '
            'write access'
        )


def is_disk_full(error: BaseException | None) -> bool:
    """Return whether an error, or one that it comes from, is that of a full disk."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__ or error.__context__
    return False


class WorkFolder:
    """Folder of one job's intermediate results, locked while open."""

    def __init__(self, folder: Path) -> None:
        """Create the folder if missing, and lock it.

        raises  ConfigError if that fails, if another job holds the lock, or if the folder has
                files but no lock file: `remove` would delete files of the user
        """
        self.folder = folder
        lock = folder / LOCK_NAME
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not lock.exists() and any(folder.iterdir()):
                raise ConfigError(
                    f'{folder} is the folder of intermediate results, but holds other '
                    'files; move it away, or choose another output'
                )
            self._lock = open(lock, 'w')  # noqa: SIM115 (open until __exit__)
        except OSError as error:
            raise ConfigError(
                f'{folder} cannot be used for intermediate results: {error}; give '
                'an output in a writable folder'
            ) from error
        try:
            _lock_file(
                self._lock,
                f'another job is running in {folder}; wait for it, or choose another output',
            )
        except ConfigError:
            self._lock.close()
            raise

    def __enter__(self) -> WorkFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.close()

    def path(self, name: str, key: str) -> Path:
        """Return the path of the result ``name`` whose inputs have the digest ``key``."""
        return self.folder / f'{name}-{key}'

    def remove(self) -> None:
        """Delete the folder and its content, the lock last: `__init__` needs it."""
        for path in self.folder.glob('*'):
            if path.name == LOCK_NAME:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        (self.folder / LOCK_NAME).unlink(missing_ok=True)
        with suppress(OSError):
            self.folder.rmdir()


def _lock_file(file: IO[Any], message: str) -> None:
    """Lock an open file until it is closed; raises ConfigError if another process holds it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise ConfigError(message) from error


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path; rename it to ``path`` at the end of the block."""
    part = _part(path)
    yield part
    os.replace(part, path)


def _part(path: Path) -> Path:
    return path.with_name(path.name + PART_SUFFIX)


def save_npz(path: Path, **arrays: NDArray[Any]) -> None:
    """Write named arrays to one file, atomically; the name needs no suffix."""
    with atomic_write(path) as part, open(part, 'wb') as file:
        np.savez(file, allow_pickle=False, **arrays)


@dataclass(frozen=True)
class DiskArray:
    """Array of equal records in a raw file; a plain value that any process can open.

    record_shape  of one record; the array is (N, *record_shape), C order
    """

    path: Path
    record_shape: tuple[int, ...]
    dtype: str

    @property
    def record_bytes(self) -> int:
        """Bytes of one record."""
        return int(np.prod(self.record_shape)) * np.dtype(self.dtype).itemsize

    def exists(self) -> bool:
        """Return whether the array is complete."""
        return self.path.exists()

    def open(self) -> NDArray[Any]:
        """Return the array memory-mapped, read-only."""
        count = self.path.stat().st_size // self.record_bytes
        return np.memmap(self.path, self.dtype, 'r', shape=(count, *self.record_shape))

    def records(self) -> Iterator[NDArray[Any]]:
        """Yield the records in order, read one by one: none stays mapped into memory."""
        with open(self.path, 'rb') as file:
            while data := file.read(self.record_bytes):
                yield np.frombuffer(data, self.dtype).reshape(self.record_shape)

    def record(self, index: int) -> NDArray[Any]:
        """Return one record, read from the file: it does not stay mapped into memory."""
        data = np.fromfile(
            self.path,
            self.dtype,
            int(np.prod(self.record_shape)),
            offset=index * self.record_bytes,
        )
        return data.reshape(self.record_shape)

    @contextmanager
    def writer(self, *, resume: bool = False) -> Iterator[DiskArrayWriter]:
        """Yield a writer; the array gets its final name at the end of the block.

        resume  keep the complete records of a killed job
        raises  ConfigError where another job writes it: jobs may share the user's cache
        """
        part = _part(self.path)
        with open(part, 'ab') as file:
            _lock_file(file, f'another job is writing {self.path}; wait for it')
            writer = DiskArrayWriter(self, file, file.tell() // self.record_bytes)
            writer.truncate(writer.count if resume else 0)
            yield writer
            file.flush()
            os.replace(part, self.path)  # while the lock is held


@dataclass
class DiskArrayWriter:
    """Appends records to a `DiskArray`; ``count`` records are written."""

    array: DiskArray
    file: Any
    count: int

    def truncate(self, count: int) -> None:
        """Keep the first ``count`` records."""
        self.file.truncate(count * self.array.record_bytes)
        self.count = count

    def append(self, record: NDArray[Any]) -> None:
        """Append one record; raises ValueError on another shape."""
        if record.shape != self.array.record_shape:
            raise ValueError(
                f'a record of shape {record.shape} does not fit an array of '
                f'{self.array.record_shape}'
            )
        self.file.write(np.ascontiguousarray(record, self.array.dtype).tobytes())
        self.count += 1
