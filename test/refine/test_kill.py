# SPDX-License-Identifier: Apache-2.0
"""A job that is killed at random times, the last second included."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from videodepth_ros.cli.sample import make_sample
from videodepth_ros.refine.settings import RefineSettings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

KILLS, LAST_S = 30, 1.0
SETTINGS = RefineSettings(prior='bag', processes=1, stereo=False)
START_METHOD = 'forkserver'  # children do not import everything again


def refine(bag: Path, output: Path) -> None:
    from videodepth_ros.refine.job import refine_bag

    refine_bag(bag, output, SETTINGS)


def started(bag: Path, output: Path) -> multiprocessing.process.BaseProcess:
    context = multiprocessing.get_context(START_METHOD)
    context.set_forkserver_preload(['videodepth_ros.refine.job', 'test.refine.test_kill'])
    process = context.Process(target=refine, args=(bag, output))
    process.start()
    return process


def finish(bag: Path, output: Path) -> None:
    process = started(bag, output)
    process.join()
    assert process.exitcode == 0


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob('*'))
        if path.is_file()
    }


def test_the_results_are_the_same_after_any_kill_and_nothing_else_is_left(tmp_path):
    bag = tmp_path / 'scene'
    make_sample(str(bag), 'studios', 5, 0.6, 10.0, (96, 72))
    folder = tmp_path / 'out'
    folder.mkdir()
    for _ in range(2):  # the first one starts the server too
        output = folder / 'refined'
        if output.exists():
            output.rename(tmp_path / 'expected')
        began_s = time.monotonic()
        finish(bag, output)
        duration_s = time.monotonic() - began_s
    expected = digests(output)
    assert digests(tmp_path / 'expected') == expected
    output.rename(tmp_path / 'again')
    random = np.random.default_rng(0)
    early = random.uniform(0, duration_s, KILLS // 2)
    late = duration_s - random.uniform(0, min(LAST_S, duration_s), KILLS - len(early))
    for index, delay_s in enumerate([*early, *late]):
        process = started(bag, output)
        process.join(delay_s)
        if process.is_alive():
            os.kill(process.pid, signal.SIGKILL)
        process.join()
        if process.exitcode != 0:
            finish(bag, output)
        assert digests(output) == expected, f'killed after {delay_s:.2f} s of {duration_s:.2f} s'
        assert [path.name for path in folder.iterdir()] == ['refined']
        output.rename(tmp_path / f'done{index}')
