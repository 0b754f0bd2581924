# SPDX-License-Identifier: Apache-2.0
"""Where a job keeps what it has finished, so that a killed one goes on where it was.

Each result is a file whose name holds a digest of everything that it was made from. What has its
final name is whole: files grow under another name and are renamed at the end. So a job that is run
again takes what fits and makes the rest, also where other options were chosen meanwhile.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from videodepth_ros.core.errors import ConfigError

PART = '.part'
LOCK = 'lock'


def digest(*made_from: object) -> str:
    """Return a short name for values that ``repr`` tells apart: numbers, text, dataclasses."""
    return hashlib.sha256(repr(made_from).encode()).hexdigest()[:16]


class WorkFolder:
    """The folder of one job; held against a second job by a lock while it is open."""

    def __init__(self, folder: Path) -> None:
        """Make the folder unless it is there.

        raises  ConfigError if that fails, it is in use, or holds what no job has put there, which
                `remove` would take along
        """
        self.folder = folder
        lock = folder / LOCK
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not lock.exists() and any(folder.iterdir()):
                raise ConfigError(
                    f'{folder} is where intermediate results go, but holds other '
                    'files; move it away, or choose another output'
                )
            self._lock = open(lock, 'w')  # noqa: SIM115 (held until `close`)
        except OSError as error:
            raise ConfigError(
                f'{folder} cannot be used for intermediate results: {error}; give '
                'an output in a folder that can be written'
            ) from error
        try:
            _hold(
                self._lock,
                f'another job is at work in {folder}; wait for it, or choose another output',
            )
        except ConfigError:
            self._lock.close()
            raise

    def __enter__(self) -> WorkFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.close()

    def path(self, name: str, key: str) -> Path:
        """Return where the result ``name`` lies that was made from ``key``."""
        return self.folder / f'{name}-{key}'

    def remove(self) -> None:
        """Remove the folder with all that is in it."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _hold(file: IO[Any], otherwise: str) -> None:
    """Lock an open file until it is closed; raises ConfigError where another process has it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise ConfigError(otherwise) from error


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield another name to write ``path`` under, and give it its own at the end of the block."""
    part = _part(path)
    yield part
    os.replace(part, path)


def _part(path: Path) -> Path:
    return path.with_name(path.name + PART)


def save_arrays(path: Path, **arrays: NDArray[Any]) -> None:
    """Write arrays by their names, in one step."""
    with atomic_write(path) as part, open(part, 'wb') as file:
        np.savez(file, allow_pickle=False, **arrays)


@dataclass(frozen=True)
class DiskArray:
    """An array on disk, known by its file, so that any process can open it.

    shape  of one record; the array is (N, *shape), raw and in the order of C
    """

    path: Path
    shape: tuple[int, ...]
    dtype: str

    @property
    def record_bytes(self) -> int:
        """Bytes of one record."""
        return int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize

    def exists(self) -> bool:
        """Tell whether all of it is there."""
        return self.path.exists()

    def open(self) -> NDArray[Any]:
        """Return the array, read-only; pages come in as they are read, and may leave again."""
        count = self.path.stat().st_size // self.record_bytes
        return np.memmap(self.path, self.dtype, 'r', shape=(count, *self.shape))

    @contextmanager
    def writer(self, *, resume: bool = False) -> Iterator[DiskArrayWriter]:
        """Append records; the array has its final name after the block.

        resume   keep the whole records that a killed job has left
        raises  ConfigError where another job writes it: in the user's cache two may want the same
        """
        part = _part(self.path)
        with open(part, 'ab') as file:
            _hold(file, f'another job is writing {self.path}; wait for it')
            growth = DiskArrayWriter(self, file, file.tell() // self.record_bytes)
            growth.truncate(growth.count if resume else 0)
            yield growth
            file.flush()
            os.replace(part, self.path)  # before another job may have the lock


@dataclass
class DiskArrayWriter:
    """A spilled array that is being written; ``count`` records are there."""

    array: DiskArray
    file: Any
    count: int

    def truncate(self, count: int) -> None:
        """Go back to the first ``count`` records."""
        self.file.truncate(count * self.array.record_bytes)
        self.count = count

    def append(self, record: NDArray[Any]) -> None:
        """Write one more record; raises ValueError where its shape is another one."""
        if record.shape != self.array.shape:
            raise ValueError(f'a record of {record.shape} among records of {self.array.shape}')
        self.file.write(np.ascontiguousarray(record, self.array.dtype).tobytes())
        self.count += 1
