# SPDX-License-Identifier: Apache-2.0
"""Jobs that workers import by name: quick ones, and ones that fail in some way."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from videodepth_ros.core.errors import BagError
from videodepth_ros.fleet.task import JobFacts


def size_job(bag: Path, out: Path, settings: Any, truth: Path | None) -> JobFacts:
    """Write the content of a bag in capitals; its length is a figure."""
    text = bag.read_text()
    if 'broken' in text:
        raise BagError(f'{bag.name} is broken')
    if 'bug' in text:
        raise ZeroDivisionError('a bug')
    out.mkdir(parents=True)
    (out / 'text').write_text(text.upper())
    figures = {'frames': len(text), 'ate_rmse_m': len(text) / 10, 'unknown': float('nan')}
    return JobFacts('lidar', figures, (), (str(out), str(out / 'text')), b'jpeg')


def mortal_job(bag: Path, out: Path, settings: Any, truth: Path | None) -> JobFacts:
    """Kill its own process at the first attempt, and always if the bag is deadly."""
    part = out.with_name(out.name + '.work')
    if 'deadly' in bag.read_text():
        os.kill(os.getpid(), signal.SIGKILL)
    if not part.exists():
        part.mkdir(parents=True)
        (part / 'half').write_text('half')
        os.kill(os.getpid(), signal.SIGKILL)
    assert (part / 'half').read_text() == 'half'  # the work folder of the first attempt
    return size_job(bag, out, settings, truth)


def slow_job(bag: Path, out: Path, settings: Any, truth: Path | None) -> JobFacts:
    """Take longer than any test."""
    time.sleep(600)
    return JobFacts()


def pid() -> int:
    return os.getpid()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def gpus() -> str:
    return os.environ.get('CUDA_VISIBLE_DEVICES', '')


_started = 0


def start(value: int) -> None:
    global _started
    _started = value


def started() -> tuple[int, int]:
    return _started, os.getpid()


def fail() -> None:
    raise BagError('of a process')
