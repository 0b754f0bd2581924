# SPDX-License-Identifier: Apache-2.0
"""Fuzzing of the package's readers: edits of valid inputs, and what counts as a finding.

A reader returns, or raises an error of this package. Another exception, more than `MAX_CPU_S` or
more than `MAX_FACTOR` times the input and `MAX_EXTRA_BYTES` of memory is a finding.
"""

from __future__ import annotations

import random
import re
import shutil
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from videodepth_ros.core.errors import VideoDepthError

MAX_CPU_S = 1.0
MAX_FACTOR, MAX_EXTRA_BYTES = 10, 64 << 20

KINDS = ('flip', 'byte', 'number', 'cut', 'drop', 'repeat', 'insert')
NUMBERS = tuple(
    value.to_bytes(size, 'little')
    for size in (1, 2, 4, 8)
    for value in (0, 1, (1 << 8 * size - 1) - 1, 1 << 8 * size - 1, (1 << 8 * size) - 1)
)
"""Limits of the integers of one to eight bytes."""

Edit = tuple[str, float, int]
"""Kind, place as a share of the length, and a number that the kind interprets."""


@dataclass(frozen=True)
class Target:
    """A reader of bytes from outside.

    seeds  makes valid inputs
    read   reads one input; the folder is empty. Raises nothing but errors of the package
    """

    name: str
    seeds: Callable[[], list[bytes]]
    read: Callable[[bytes, Path], object]


@dataclass(frozen=True)
class Finding:
    """An input that broke a promise.

    kind   'crash', 'hang' or 'memory'
    place  exception and line, by which findings are told apart
    """

    kind: str
    place: str
    detail: str


def edited(data: bytes, edits: Sequence[Edit]) -> bytes:
    """Return the data after some edits."""
    for kind, share, number in edits:
        place = min(int(share * len(data)), max(len(data) - 1, 0))
        head, tail = data[:place], data[place:]
        if kind == 'flip' and tail:
            data = head + bytes([tail[0] ^ 1 << number % 8]) + tail[1:]
        elif kind == 'byte' and tail:
            data = head + bytes([number % 256]) + tail[1:]
        elif kind == 'number':
            value = NUMBERS[number % len(NUMBERS)]
            data = head + value + tail[len(value) :]
        elif kind == 'cut':
            data = head
        elif kind == 'drop':
            data = head + tail[1 + number % 64 :]
        elif kind == 'repeat':
            data = head + tail[: 1 + number % 64] + tail
        elif kind == 'insert':
            data = head + random.Random(number).randbytes(1 + number % 16) + tail
    return data


def random_edits(generator: random.Random) -> list[Edit]:
    """Return one to eight edits, mostly few."""
    return [
        (generator.choice(KINDS), generator.random(), generator.getrandbits(16))
        for _ in range(min(1 + int(generator.expovariate(0.7)), 8))
    ]


def check(target: Target, data: bytes, folder: Path) -> Finding | None:
    """Read one input and return what was wrong; None if nothing was."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    with _peak_memory() as used_bytes:
        begin_s = time.process_time()
        try:
            target.read(data, folder)
        except VideoDepthError:
            pass
        except Exception as error:
            return Finding('crash', _place(error), ''.join(traceback.format_exception(error)))
        spent_s = time.process_time() - begin_s
    if spent_s > MAX_CPU_S:
        return Finding('hang', 'time', f'{spent_s:.1f} s for {len(data)} bytes')
    if used_bytes() > MAX_FACTOR * len(data) + MAX_EXTRA_BYTES:
        return Finding('memory', 'memory', f'{used_bytes() / 1e6:.0f} MB for {len(data)} bytes')
    return None


def _place(error: Exception) -> str:
    frames = [
        f'{Path(frame.filename).name}:{frame.lineno}'
        for frame in traceback.extract_tb(error.__traceback__)
        if 'videodepth_ros' in frame.filename
    ]
    return f'{type(error).__name__} at {frames[-1] if frames else "?"}'


@contextmanager
def _peak_memory() -> Iterator[Callable[[], int]]:
    """Yield a function that returns by how much the resident memory rose since, at most.

    Linux resets the peak where 5 is written to clear_refs (proc(5)).
    """
    Path('/proc/self/clear_refs').write_text('5')
    before = _status_bytes('VmRSS')
    yield lambda: _status_bytes('VmHWM') - before


def _status_bytes(field: str) -> int:
    found = re.search(rf'{field}:\s+(\d+) kB', Path('/proc/self/status').read_text())
    return int(found[1]) * 1024 if found else 0
