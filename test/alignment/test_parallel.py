# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from bench.room import CAMERA, Room, walk
from videodepth_ros.alignment.constraints import Constraints
from videodepth_ros.alignment.hierarchy import align_hierarchy
from videodepth_ros.alignment.options import AlignmentOptions, HierarchyOptions, PairGraphOptions
from videodepth_ros.alignment.pair_graph import build_pair_graph
from videodepth_ros.alignment.parallel import (
    AlignmentFiles,
    AlignmentTask,
    align_clips_parallel,
    load_clip,
    load_keyframes,
    save_keyframes,
)
from videodepth_ros.core.errors import DeviceError

pytestmark = pytest.mark.slow

PATIENCE_S = 120.0
QUICK = AlignmentOptions(
    camera=CAMERA, max_pixels=400, rotation_smoothing=0, translation_smoothing=0
)
SETTINGS = HierarchyOptions(QUICK, QUICK)
POSES = walk(13)
GRAPH = build_pair_graph(len(POSES), PairGraphOptions(clip_length=4))
OPEN = partial(AlignmentTask, Room(POSES, 0.02), GRAPH, SETTINGS, Constraints())


@pytest.fixture
def files(tmp_path):
    files = AlignmentFiles(
        tmp_path / 'keys.npz', tuple(tmp_path / f'clip{n}.npz' for n in range(len(GRAPH.clips)))
    )
    save_keyframes(OPEN(), files.keyframes)
    return files


def everything(files):
    return list(range(len(files.clips)))


def test_stored_clips_equal_those_of_the_hierarchy(files):
    assert list(align_clips_parallel(OPEN, files, everything(files), 1)) == everything(files)
    for path, expected in zip(files.clips, align_hierarchy(*_open()), strict=True):
        found = load_clip(path)
        assert (found.frames, found.cameras) == (expected.frames, expected.cameras)
        assert found.scale_reference is expected.scale_reference
        assert found.moving is None
        for one, other in (
            (found.T_world_cam, expected.T_world_cam),
            (found.depth, expected.depth),
            (found.confidence, expected.confidence),
        ):
            np.testing.assert_array_equal(one, other)


def _open():
    task = OPEN()
    return task.provider, task.graph, task.options, task.constraints


def test_parallel_processes_write_the_same_bytes(files):
    list(align_clips_parallel(OPEN, files, everything(files), 1))
    alone = [path.read_bytes() for path in files.clips]
    for path in files.clips:
        path.unlink()
    assert sorted(align_clips_parallel(OPEN, files, everything(files), 2)) == everything(files)
    assert [path.read_bytes() for path in files.clips] == alone


def test_only_missing_clips_are_aligned(files):
    assert list(align_clips_parallel(OPEN, files, [1], 2)) == [1]
    assert [path.exists() for path in files.clips] == [n == 1 for n in everything(files)]


def test_stored_keyframes_are_loaded(files):
    keys = load_keyframes(files.keyframes)
    assert keys.frames == GRAPH.keyframes
    assert keys.depth.shape[0] == len(GRAPH.keyframes)
    assert (keys.camera.width, keys.camera.height) == (CAMERA.width, CAMERA.height)


def test_a_clip_that_is_the_whole_recording_needs_no_keyframes(tmp_path):
    graph = build_pair_graph(4, PairGraphOptions(clip_length=9))
    files = AlignmentFiles(None, (tmp_path / 'clip.npz',))
    task = partial(AlignmentTask, Room(POSES[:4], 0.0), graph, SETTINGS, Constraints())
    assert list(align_clips_parallel(task, files, [0], 1)) == [0]
    assert load_clip(files.clips[0]).frames == range(4)


class Deadly(Room):
    """A provider whose process is ended, as by the kernel when memory runs out."""

    def pairs(self, edges):
        os._exit(9)


def test_a_killed_process_raises_a_device_error(files):
    task = partial(AlignmentTask, Deadly(POSES, 0.0), GRAPH, SETTINGS, Constraints())
    with pytest.raises(DeviceError, match='fewer processes'):
        list(align_clips_parallel(task, files, everything(files), 2))


class Endless(Room):
    """A provider that leaves a note of its process, and never ends."""

    folder: Path

    def pairs(self, edges):
        (self.folder / str(os.getpid())).touch()
        threading.Event().wait()


def endless_task(folder):
    provider = Endless(POSES, 0.0)
    provider.folder = folder
    return AlignmentTask(provider, GRAPH, SETTINGS, Constraints())


JOB = """
import sys
from functools import partial
from pathlib import Path
sys.path.insert(0, {root!r})
from test.alignment.test_parallel import AlignmentFiles, align_clips_parallel, endless_task
folder = Path({folder!r})
files = AlignmentFiles(None, tuple(folder / f'clip{{n}}.npz' for n in range(2)))
list(align_clips_parallel(partial(endless_task, folder), files, [0, 1], 2))
"""


def test_processes_exit_when_their_parent_is_killed(tmp_path, root):
    code = JOB.format(root=str(root), folder=str(tmp_path))
    job = subprocess.Popen([sys.executable, '-c', code], start_new_session=True)
    try:
        until(lambda: len(list(tmp_path.iterdir())) == 2)
        job.kill()
        job.wait()
        until(lambda: not any(lives(path.name) for path in tmp_path.iterdir()))
    finally:
        with suppress(ProcessLookupError):
            os.killpg(job.pid, signal.SIGKILL)


def lives(pid):
    """Return whether a process runs; one that has ended has no command line."""
    try:
        return bool(Path('/proc', pid, 'cmdline').read_bytes())
    except OSError:
        return False


def until(condition):
    end_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end_s, 'timeout'
        time.sleep(0.01)
